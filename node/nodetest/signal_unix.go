//go:build unix

package nodetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ownGroup puts a VM into a process group of its own, with its port programs.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (e *Erl) kill() { _ = syscall.Kill(-e.Pid, syscall.SIGKILL) }

// Stop stops the VM (SIGSTOP) and returns when every thread of it stands still: the signal alone is only a wish.
func (e *Erl) Stop() {
	e.t.Helper()
	e.signal(syscall.SIGSTOP)
	for end := time.Now().Add(bootTime); !e.stopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("nodetest: %s does not stop", e.Name)
		}
	}
}

// Continue lets a stopped VM go on.
func (e *Erl) Continue() { e.t.Helper(); e.signal(syscall.SIGCONT) }

func (e *Erl) signal(s syscall.Signal) {
	e.t.Helper()
	if err := syscall.Kill(e.Pid, s); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Erl) stopped() bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", e.Pid))
	for _, s := range stats {
		b, err := os.ReadFile(s) //nolint:gosec // under /proc
		if _, rest, ok := strings.Cut(string(b), ") "); err != nil || !ok || rest[0] != 'T' {
			return false
		}
	}
	return len(stats) > 0
}
