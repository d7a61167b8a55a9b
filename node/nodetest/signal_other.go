//go:build !unix

package nodetest

import "syscall"

// There are no process groups and no SIGSTOP here: a node can be killed, and what stops one fails, saying so.

func ownGroup() *syscall.SysProcAttr { return nil }

func (e *Erl) kill() { _ = e.cmd.Process.Kill() }

// Stop fails the test.
func (e *Erl) Stop() {
	e.t.Helper()
	e.t.Fatal("nodetest: a VM cannot be stopped on this system (SIGSTOP)")
}

// Continue fails the test.
func (e *Erl) Continue() {
	e.t.Helper()
	e.t.Fatal("nodetest: a VM cannot be continued on this system (SIGCONT)")
}
