//go:build !linux

package main

import "syscall"

// mortal has no counterpart here: who kills the tests is left with their brokers.
func mortal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
