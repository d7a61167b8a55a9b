//go:build !linux

package proc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// BootID is unknown here: pids are trusted within one boot.
func BootID() string { return "" }

// stat asks ps(1), which POSIX has, for what Linux tells in /proc.
func stat(pid int) (status, error) {
	out, err := exec.Command("ps", "-o", "ppid=,state=,comm=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx // local and short
	f := strings.Fields(string(out))
	if err != nil || len(f) < 3 {
		return status{}, errors.Join(os.ErrProcessDone, err)
	}
	ppid, err := strconv.Atoi(f[0])
	if err != nil {
		return status{}, err
	}
	return status{ppid: ppid, zombie: f[1][0] == 'Z', halted: f[1][0] == 'T', comm: f[2]}, nil
}

// Usage cannot be told here.
func Usage(int) (resident int64, cpu time.Duration) { return 0, 0 }

func signalExactly(id ID, sig syscall.Signal) error { return syscall.Kill(id.Pid, sig) }

// Descendants returns the living descendants of root, without root. What lost its parent is not among them:
// there are no subreapers here.
func Descendants(root int) ([]ID, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,state=").Output() //nolint:noctx // local and short
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	zombie := make(map[int]bool)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		pid, err1 := strconv.Atoi(f[0])
		ppid, err2 := strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			continue
		}
		children[ppid] = append(children[ppid], pid)
		zombie[pid] = f[2][0] == 'Z'
	}
	var ids []ID
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children[queue[0]] {
			queue = append(queue, pid)
			if !zombie[pid] {
				ids = append(ids, ID{Pid: pid})
			}
		}
	}
	return ids, nil
}

// Marked cannot be told here: the environment of another process is not to be read.
func Marked(string) (map[string][]ID, error) { return map[string][]ID{}, nil }

// Getenv cannot be told here.
func Getenv(int, string) string { return "" }

// Args returns nil.
func Args(int) []string { return nil }

// UID cannot be told here.
func UID(int) int { return -1 }

// Subreaper has no counterpart here.
func Subreaper() error { return nil }

// Dependent has no counterpart here: a command outlives us if we are killed.
func Dependent() *syscall.SysProcAttr { return nil }
