package main

import "syscall"

// mortal is how a process is started that ends with the tests, even if they are killed; with the thread that has started it, to be exact.
func mortal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
