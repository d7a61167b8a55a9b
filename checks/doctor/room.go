package doctor

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// room is a limit and how much of it is used.
type room struct {
	name      string
	max, used int64
}

func (r *room) free() int64 { return max(0, r.max-r.used) }

// tightest returns the one that has the least left; nil of none.
func tightest(rooms []room) *room {
	var t *room
	for i := range rooms {
		if t == nil || rooms[i].free() < t.free() {
			t = &rooms[i]
		}
	}
	return t
}

// childFiles returns how many files a child of ours may have open. Our own limit says nothing: Go raises it, and gives
// children what it was before.
func childFiles(ctx context.Context) (uint64, error) {
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", "ulimit -n").Output()
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(out))
	if text == "unlimited" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// threadRoom finds the limit that keeps new threads from this user first.
func threadRoom() *room {
	var rooms []room
	if rl := (unix.Rlimit{}); unix.Getrlimit(unix.RLIMIT_NPROC, &rl) == nil && rl.Cur < math.MaxInt64 && os.Geteuid() != 0 {
		if used, ok := userThreads(os.Getuid()); ok {
			rooms = append(rooms, room{"ulimit -u", int64(rl.Cur), used})
		}
	}
	for _, dir := range cgroupDirs("pids") {
		limit, ok1 := number(filepath.Join(dir, "pids.max"))
		used, ok2 := number(filepath.Join(dir, "pids.current"))
		if ok1 && ok2 {
			rooms = append(rooms, room{"pids.max of " + dir, limit, used})
		}
	}
	if limit, ok := number("/proc/sys/kernel/threads-max"); ok {
		// The fourth field of /proc/loadavg is RUNNING/ALL threads.
		if f := strings.Fields(head("/proc/loadavg", maxSmall)); len(f) > 3 {
			_, all, _ := strings.Cut(f[3], "/")
			if used, err := strconv.ParseInt(all, 10, 64); err == nil {
				rooms = append(rooms, room{"kernel.threads-max", limit, used})
			}
		}
	}
	return tightest(rooms)
}

// userThreads counts the threads of a user, which is what RLIMIT_NPROC limits.
func userThreads(uid int) (n int64, ok bool) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		fi, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if st, isStat := fi.Sys().(*syscall.Stat_t); !isStat || int(st.Uid) != uid {
			continue
		}
		if threads, found := field(head(filepath.Join(dir, "status"), maxSmall), "Threads:"); found {
			n += threads
			ok = true
		}
	}
	return n, ok
}

// memoryRoom finds the limit that memory meets first: the machine's or a cgroup's.
func memoryRoom() *room {
	var rooms []room
	info := head("/proc/meminfo", maxSmall)
	total, ok1 := field(info, "MemTotal:")
	free, ok2 := field(info, "MemAvailable:")
	if ok1 && ok2 {
		rooms = append(rooms, room{"MemAvailable", total << 10, (total - free) << 10})
	}
	for _, dir := range cgroupDirs("memory") {
		// What the kernel gives back at once when it is wanted is not used.
		stat := head(filepath.Join(dir, "memory.stat"), maxSmall)
		if limit, ok := number(filepath.Join(dir, "memory.max")); ok { // v2
			used, _ := number(filepath.Join(dir, "memory.current"))
			cached, _ := field(stat, "inactive_file")
			rooms = append(rooms, room{"memory.max of " + dir, limit, used - cached})
		} else if limit, ok := number(filepath.Join(dir, "memory.limit_in_bytes")); ok { // v1, where no limit is a huge one
			used, _ := number(filepath.Join(dir, "memory.usage_in_bytes"))
			cached, _ := field(stat, "total_inactive_file")
			rooms = append(rooms, room{"memory limit of " + dir, limit, used - cached})
		}
	}
	return tightest(rooms)
}

// cgroupRoot is where control groups are mounted on every system that has any.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirs returns the directories of the control groups that this process is in, with that controller, up to the
// root: v2 (0::/PATH) and v1 (N:memory:/PATH, mounted below its name). In a container the path may be the host's, and
// only its root is there.
func cgroupDirs(controller string) []string {
	var dirs []string
	for line := range strings.Lines(head("/proc/self/cgroup", maxSmall)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root := cgroupRoot
		switch {
		case parts[0] == "0" && parts[1] == "":
		case slices.Contains(strings.Split(parts[1], ","), controller):
			root = filepath.Join(root, controller)
		default:
			continue
		}
		for at := filepath.Clean("/" + parts[2]); ; at = filepath.Dir(at) {
			if dir := filepath.Join(root, at); exists(dir) {
				dirs = append(dirs, dir)
			}
			if at == "/" {
				break
			}
		}
	}
	return dirs
}

// maxSmall bounds a file of the kernel's.
const maxSmall = 1 << 16

// number reads a file that has one number. "max", which is none, is not one.
func number(path string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(head(path, maxSmall)), 10, 64)
	return n, err == nil
}

// field finds the number behind a name at the beginning of a line.
func field(text, name string) (int64, bool) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
