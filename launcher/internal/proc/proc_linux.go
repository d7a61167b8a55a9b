package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// BootID returns the kernel's random id of this boot.
var BootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

// stat reads /proc/PID/stat (proc_pid_stat(5)). The command is in parentheses and may itself hold any character,
// so the fields are counted from the last ')'.
func stat(pid int) (status, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return status{}, err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return status{}, fmt.Errorf("unreadable /proc/%d/stat", pid)
	}
	f := bytes.Fields(b[end+1:]) // f[0] is field 3, the state
	if len(f) < 20 {
		return status{}, fmt.Errorf("unreadable /proc/%d/stat", pid)
	}
	ppid, err := strconv.Atoi(string(f[1]))
	if err != nil {
		return status{}, fmt.Errorf("unreadable /proc/%d/stat: %w", pid, err)
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return status{}, fmt.Errorf("unreadable /proc/%d/stat: %w", pid, err)
	}
	return status{
		ppid:   ppid,
		start:  start,
		zombie: f[0][0] == 'Z' || f[0][0] == 'X',
		halted: f[0][0] == 'T',
		comm:   string(b[open+1 : end]),
	}, nil
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 wherever Go runs.
const clockTick = 10 * time.Millisecond

// Usage returns how much memory of its own and of files a process has resident, in bytes, and how much time of a CPU it
// has taken; zeros if it is gone.
func Usage(pid int) (resident int64, cpu time.Duration) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // f[0] is field 3
	if len(f) < 22 {
		return 0, 0
	}
	var n [3]int64
	for i, field := range []int{11, 12, 21} { // utime, stime, rss
		if n[i], err = strconv.ParseInt(string(f[field]), 10, 64); err != nil {
			return 0, 0
		}
	}
	return n[2] * int64(os.Getpagesize()), time.Duration(n[0]+n[1]) * clockTick
}

// signalExactly signals through a pidfd: once it is open the pid cannot be reused under our feet, so
// checking the start time after opening it leaves no gap.
func signalExactly(id ID, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(id.Pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel, or a sandbox that forbids it
		return syscall.Kill(id.Pid, sig)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	if !id.Alive() {
		return nil
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// pids lists every process.
func pids() ([]int, error) {
	d, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // read only
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}

// Descendants returns the living descendants of root, without root. They are complete where root is a
// child subreaper: whatever loses its parent falls to root.
func Descendants(root int) ([]ID, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	stats := make(map[int]status, len(all))
	for _, pid := range all {
		if s, err := stat(pid); err == nil { // else it ended meanwhile
			stats[pid] = s
			children[s.ppid] = append(children[s.ppid], pid)
		}
	}
	var out []ID
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children[queue[0]] {
			queue = append(queue, pid)
			if s := stats[pid]; !s.zombie {
				out = append(out, ID{Pid: pid, Start: s.start, Boot: BootID()})
			}
		}
	}
	return out, nil
}

// Marked returns the living processes whose environment has the variable key, by its value. The environment of
// another user's process cannot be read, except by root.
func Marked(key string) (map[string][]ID, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	out := make(map[string][]ID)
	for _, pid := range all {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil || len(env) == 0 { // ended, a kernel thread, or not ours to read
			continue
		}
		value, ok := lookup(env, key)
		if !ok {
			continue
		}
		if s, err := stat(pid); err == nil && !s.zombie {
			out[value] = append(out[value], ID{Pid: pid, Start: s.start, Boot: BootID()})
		}
	}
	return out, nil
}

// Getenv returns the variable key of the environment that pid was started with.
func Getenv(pid int, key string) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	value, _ := lookup(env, key)
	return value
}

// Args returns the command line of pid, word by word; nil if it cannot be read.
func Args(pid int) []string {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(line) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}

// UID returns the user that pid runs as, or -1.
func UID(pid int) int {
	var st unix.Stat_t
	if unix.Stat("/proc/"+strconv.Itoa(pid), &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// lookup finds key in an environment block of zero-terminated KEY=VALUE strings.
func lookup(env []byte, key string) (string, bool) {
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if v, ok := bytes.CutPrefix(kv, []byte(key+"=")); ok {
			return string(v), true
		}
	}
	return "", false
}

// Subreaper makes orphaned descendants fall to this process instead of init.
func Subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a child subreaper: %w", err)
	}
	return nil
}

// Dependent is how a command is started that must not outlive us, whatever ends us. The kernel means the thread that
// starts it; Go ends no thread that a goroutine did not take with it.
func Dependent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
