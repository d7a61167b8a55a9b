package dist

import "syscall"

// yield lets other threads use this one's core.
func yield() bool {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
	return true
}
