package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/checks"
)

var machineChecks = []*Check{
	{
		Name: "files", Group: Machine, Start: true,
		What:  "nodes, and the cluster's supervisor, may have enough files open",
		Looks: "the soft limit that a child process gets (ulimit -n), and the hard one, which the supervisor gets",
		Fails: "fails when the supervisor may not have 40 and eight for each node; below 64 and one for each node, with which a node does not boot and connect; " +
			"warns below 1024, which sockets of an application use up soon",
		Fix: "raise it: ulimit -n 4096, /etc/security/limits.conf, LimitNOFILE= of the service",
		run: checkFiles,
	},
	{
		Name: "processes", Group: Machine,
		What:  "nodes may have enough threads",
		Looks: "RLIMIT_NPROC (not for root), pids.max of the cgroups, kernel.threads-max, and how many there are; a node has two threads for each CPU and 20 more",
		Fails: "fails when there is no room for as many nodes as are to be",
		Fix:   "raise it: ulimit -u, pids.max of the container (docker --pids-limit), or start fewer nodes",
		run:   checkProcesses,
	},
	{
		Name: "memory", Group: Machine,
		What:  "there is memory for the nodes",
		Looks: "MemAvailable in /proc/meminfo, memory limit and use of the cgroups, RLIMIT_AS",
		Fails: "fails below 40 MiB for each node, which an idle one has, and when the address space is limited to less than 1.5 GiB, of which a BEAM reserves most when it boots; warns below 128 MiB for each",
		Fix:   "free some, give the container more, or start fewer nodes",
		run:   checkMemory,
	},
	{
		Name: "state", Group: Machine, Start: true,
		What:  "the cluster's state can be written",
		Looks: "writes a file into the state directory, or the nearest directory above that is there",
		Fails: "fails when that is not possible, or the disk is full",
		Fix:   "make it writable, free some space, or choose another place with --state-dir",
		run:   checkState,
	},
	{
		Name: "disk", Group: Machine,
		What:  "there is room for logs and crash dumps",
		Looks: "free bytes and inodes of the file systems of the state directory and of TMPDIR",
		Fails: "fails below 16 MiB or 100 inodes; warns below 500 MiB: one crash dump may have that",
		Fix:   "free some space, or choose another place with --state-dir and TMPDIR",
		run:   checkDisk,
	},
	{
		Name: "directories", Group: Machine, Start: true,
		What:  "HOME and TMPDIR are there and can be written, and the directory of the control sockets is safe",
		Looks: "HOME, TMPDIR (/tmp), and BEAMCTL_RUNTIME_DIR, XDG_RUNTIME_DIR or /tmp/beamctl-UID",
		Fails: "fails when HOME is not set and Mix is used, or the directory of the sockets is somebody else's or open to others; warns when one is missing or cannot be written",
		Fix:   "make the directory, or set the variable to one that is there",
		Mends: "makes HOME and TMPDIR where they are missing; takes from the mode of the sockets' directory what group and others may, if it is this user's",
		run:   checkDirectories,
	},
	{
		Name: "clock", Group: Machine,
		What:  "the clock is right enough, and no compiled code is from its future",
		Looks: "wall clock, monotonic clock, the time that the file system gives to a new file, the times of the project's .beam files",
		Fails: "warns when the year cannot be, the wall clock runs backwards, the file system's clock differs by more than 2 s, or a .beam file is newer than now: what is compiled anew is then not taken for newer",
		Fix:   "set the clock (NTP; of a virtual machine after sleep), and compile anew",
		run:   checkClock,
	},
}

const (
	// supervisorFiles is what a supervisor has open without nodes (15), and room for clients, logs and a build.
	supervisorFiles = 40
	// filesPerNode is what it has open for each: door, registration and connection, the reservation of its ports; and room for what
	// the node asks its EPMD while it starts.
	filesPerNode = 8
	// bareFiles is what a BEAM needs to boot; it has 21 open when it has.
	bareFiles = 64
	// usualFiles is what distributions give at least.
	usualFiles = 1024
)

// FewFiles explains that a supervisor may not have as many files open as it needs for n nodes; nil: it may. Without any left it could
// neither start nor end them.
func FewFiles(n int) *checks.Finding {
	var rl unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &rl); err != nil {
		return nil //nolint:nilerr // then it shows when it happens
	}
	need := uint64(supervisorFiles + filesPerNode*n)
	if rl.Cur >= need { // which Go has raised as far as it may
		return nil
	}
	return &checks.Finding{
		What: fmt.Sprintf("beamctl may have too few files open for %d nodes", n), Saw: fmt.Sprintf("ulimit -Hn is %d", rl.Cur),
		Cause: fmt.Sprintf("the cluster's supervisor needs %d: connections with each node, and ports that it holds for them", need),
		Fix:   "raise it: ulimit -n 4096, or LimitNOFILE= of the service; or start fewer nodes",
	}
}

func checkFiles(ctx context.Context, x *exam) {
	if f := FewFiles(x.count()); f != nil {
		x.fail(*f)
		return // nodes may have no more
	}
	if x.quick {
		return
	}
	soft, err := childFiles(ctx)
	if err != nil {
		x.none("cannot be found out: %v", err)
		return
	}
	need := bareFiles + x.count()
	f := checks.Finding{Saw: fmt.Sprintf("ulimit -n is %s", limit(soft)), Fix: "raise it: ulimit -n 4096, or LimitNOFILE= of the service"}
	switch {
	case soft < uint64(need):
		f.What, f.Cause = "nodes may have too few files open", fmt.Sprintf("a node needs %d to boot and connect with %d others", need, x.count()-1)
		x.fail(f)
	case soft < usualFiles:
		f.What, f.Cause = "nodes may have few files open", "every socket of an application is one, and without any left a node refuses connections"
		x.warn(f)
	}
	x.see("%s for each process", limit(soft))
}

// limit shows a limit that may be none.
func limit(n uint64) string {
	if n >= 1<<62 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// Threads of a BEAM: a scheduler and a dirty one for each CPU, ten for dirty input and output, and some more; and what starts it.
func threadsPerNode() int { return 2*runtime.NumCPU() + 20 }

func checkProcesses(_ context.Context, x *exam) {
	need := int64(threadsPerNode() * x.count())
	tight := threadRoom()
	if tight == nil {
		x.none("not known on this system")
		return
	}
	if tight.free() < need {
		x.fail(checks.Finding{
			What: fmt.Sprintf("there is no room for the threads of %d nodes", x.count()), Saw: fmt.Sprintf("%s is %d, %d are there; some %d are needed", tight.name, tight.max, tight.used, need),
			Cause: "a BEAM that cannot have its threads aborts when it boots", Fix: "raise " + tight.name + ", or start fewer nodes",
		})
	}
	x.see("room for %d threads (%s), some %d are needed", tight.free(), tight.name, need)
}

const (
	mib = 1 << 20
	// bareMemory is what an idle node has resident.
	bareMemory = 40 * mib
	// usualMemory is what a node with a small application has.
	usualMemory = 128 * mib
	// bareSpace is the address space without which a BEAM does not boot: its literals alone reserve 1 GiB (erts_mmap).
	bareSpace = 1536 * mib
)

func checkMemory(_ context.Context, x *exam) {
	if rl := (unix.Rlimit{}); unix.Getrlimit(unix.RLIMIT_AS, &rl) == nil && rl.Cur < bareSpace {
		x.fail(checks.Finding{
			What: "the address space is limited to less than a BEAM reserves", Saw: fmt.Sprintf("ulimit -v is %d MiB", rl.Cur/mib),
			Cause: "it reserves more than 1 GiB when it boots, of which it uses little: \"Failed to create super carrier\"", Fix: "ulimit -v unlimited",
		})
	}
	tight := memoryRoom()
	if tight == nil {
		x.none("not known on this system")
		return
	}
	n := int64(x.count())
	f := checks.Finding{
		Saw: fmt.Sprintf("%d MiB are free (%s) for %d nodes", tight.free()/mib, tight.name, n), Fix: "free some, give the container more, or start fewer nodes",
	}
	switch {
	case tight.free() < n*bareMemory:
		f.What, f.Cause = "there is too little memory for the nodes", fmt.Sprintf("an idle node has %d MiB", bareMemory/mib)
		x.fail(f)
	case tight.free() < n*usualMemory:
		f.What, f.Cause = "there is little memory for the nodes", fmt.Sprintf("one with a small application may have %d MiB", usualMemory/mib)
		x.warn(f)
	}
	x.see("%d MiB free (%s), %d nodes", tight.free()/mib, tight.name, n)
}

// stateDir returns the nearest directory that is there, at or above that of the state.
func (s *Subject) stateDir() string {
	if s.Project == nil || s.Project.State == "" {
		return ""
	}
	at := s.Project.State
	for {
		if _, err := os.Stat(at); err == nil || filepath.Dir(at) == at {
			return at
		}
		at = filepath.Dir(at)
	}
}

func checkState(_ context.Context, x *exam) {
	at := x.stateDir()
	if at == "" {
		x.noProject()
		return
	}
	_, err := touch(at)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		x.fail(checks.Finding{
			What: "the disk is full", Saw: err.Error(), Fix: "free some space under " + at + ", or choose another place with --state-dir", Err: err,
		})
	case err != nil:
		x.fail(checks.Finding{
			What: "the cluster's state cannot be written", Saw: err.Error(), Fix: "make " + at + " writable, or choose another place with --state-dir", Err: err,
		})
	default:
		x.see("%s can be written", at)
	}
}

// touch writes a block into a new file, removes it, and returns the time that the file system has given it.
func touch(dir string) (time.Time, error) {
	f, err := os.CreateTemp(dir, ".beamctl-probe-*")
	if err != nil {
		return time.Time{}, err
	}
	_, werr := f.Write(make([]byte, 4096))
	fi, serr := f.Stat()
	if err := errors.Join(werr, serr, f.Close(), os.Remove(f.Name())); err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}

const (
	bareDisk   = 16 * mib
	usualDisk  = 500 * mib
	bareInodes = 100
)

func checkDisk(_ context.Context, x *exam) {
	for _, dir := range []string{x.stateDir(), x.tempDir()} {
		var st unix.Statfs_t
		if dir == "" || unix.Statfs(dir, &st) != nil {
			continue
		}
		free := uint64(st.Bavail) * uint64(st.Bsize) //nolint:unconvert // their types differ between systems
		f := checks.Finding{
			Saw: fmt.Sprintf("%d MiB are free where %s is", free/mib, dir), Cause: "logs and crash dumps are written there; one dump may have hundreds of MiB",
			Fix: "free some space, or choose another place with --state-dir or TMPDIR",
		}
		switch {
		case free < bareDisk:
			f.What = "the disk is nearly full"
			x.fail(f)
		case st.Files > 0 && uint64(st.Ffree) < bareInodes: //nolint:unconvert // their types differ between systems
			f.What, f.Saw = "the disk has no room for more files", fmt.Sprintf("%d inodes are free where %s is", st.Ffree, dir)
			x.fail(f)
		case free < usualDisk:
			f.What = "there is little room on the disk"
			x.warn(f)
		}
		x.see("%.1f GiB free in %s", float64(free)/(1<<30), dir)
	}
	if len(x.saw) == 0 {
		x.none("cannot be found out")
	}
}

func (s *Subject) tempDir() string {
	if d := s.env("TMPDIR"); d != "" {
		return d
	}
	return "/tmp"
}

func checkDirectories(_ context.Context, x *exam) {
	home := x.env("HOME")
	if home == "" {
		mix := false
		for _, path := range x.paths() {
			mix = mix || x.starts(path, "mix")
		}
		x.judge(mix, checks.Finding{
			What: "HOME is not set", Cause: "Mix does not start without, and Erlang finds no cookie", Fix: "set HOME to a directory of this user's",
		})
	} else {
		x.writable("HOME", home)
	}
	x.writable("TMPDIR", x.tempDir())
	sockets := x.Clusters.Sockets
	if sockets.Path == "" {
		return
	}
	if err := sockets.Fault(); err != nil {
		if f, ok := errors.AsType[*checks.Finding](err); ok { // it is explained already
			x.fail(*f)
			return
		}
		f := checks.Finding{
			What: "the directory of the control sockets is not safe", Saw: err.Error(), Cause: "who may write there can take a supervisor's place",
			Fix: "remove " + sockets.Path + ", or set BEAMCTL_RUNTIME_DIR to a directory of this user's alone", Err: err,
		}
		closing := closeDir(sockets)
		if closing != nil {
			f.Fix = "chmod 700 " + sockets.Path + ", or set BEAMCTL_RUNTIME_DIR to a directory of this user's alone"
			if fi, err := os.Lstat(sockets.Path); err == nil && fi.Mode().Perm()&0o022 == 0 {
				f.Cause = "others may look into it, though not write: whoever gets at a socket there rules a cluster, so it has to be closed to them"
			}
		}
		x.problem(Fail, f, closing)
		return
	}
	x.see("sockets in %s", sockets.Path)
}

// writable looks at a directory that a variable names.
func (x *exam) writable(name, dir string) {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	switch {
	case err == nil:
		x.see("%s is %s", name, dir)
	case errors.Is(err, fs.ErrNotExist):
		x.problem(Warn, checks.Finding{
			What: name + " names a directory that is not there", Saw: dir, Cause: "programs that want to write there fail",
			Fix: "mkdir -p " + dir + ", or set " + name + " to one that is there", Err: err,
		}, makeDir(dir))
	default:
		x.warn(checks.Finding{
			What: name + " names a directory that cannot be written", Saw: dir + ": " + err.Error(), Cause: "programs that want to write there fail",
			Fix: "set " + name + " to a directory of this user's", Err: err,
		})
	}
}

func makeDir(dir string) mend {
	return func(context.Context) (string, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		return "mkdir -p -m 700 " + dir, nil
	}
}

// closeDir takes from the mode of a directory of this user's what others may; nil if it is somebody else's, or none.
func closeDir(d Dir) mend {
	fi, err := os.Lstat(d.Path)
	if err != nil || !fi.IsDir() {
		return nil
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
		return nil
	}
	return func(context.Context) (string, error) {
		if err := os.Chmod(d.Path, fi.Mode().Perm()&^0o077); err != nil {
			return "", err
		}
		return fmt.Sprintf("chmod %#o %s (was %#o)", fi.Mode().Perm()&^0o077, d.Path, fi.Mode().Perm()), nil
	}
}
