package launcher

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// Env returns the variables that tell a program how to reach the cluster. The cookie itself is not among them: its file is.
func (c *Cluster) Env() map[string]string {
	var names []string
	for _, n := range c.record.Nodes {
		names = append(names, n.Name)
	}
	_, port, _ := net.SplitHostPort(c.record.EPMD)
	return map[string]string{
		"ERL_EPMD_PORT":        port,
		"BEAMCTL_NODES":        strings.Join(names, ","),
		"BEAMCTL_COOKIE_FILE":  c.CookieFile(),
		"BEAMCTL_CLUSTER_NAME": c.Name(),
	}
}

// The exit statuses of Exec that are not the command's own, as timeout(1) and shells have them.
const (
	ExecTimedOut  = 124
	ExecFailed    = 125 // before the command ran
	ExecCannotRun = 126
	ExecNotFound  = 127
	execSignalled = 128 // plus the signal's number
)

// execGrace is what a command gets between SIGTERM and SIGKILL when its time is up.
const execGrace = 5 * time.Second

// Streams are a command's standard input, output and error.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exec runs a command in the cluster's Env and returns the status that a shell would give: its own, or 128 plus the number of
// the signal that ended it. Signals that we get are passed on. When ctx ends, it is ended with all its children, and
// the status is ExecTimedOut. err explains a status of ours.
func (c *Cluster) Exec(ctx context.Context, std Streams, argv []string) (status int, err error) {
	env := environment(os.Environ())
	delete(env, MarkerEnv) // it is the user's, not the cluster's: stopping the cluster leaves it alone
	delete(env, roleEnv)
	maps.Copy(env, c.Env())
	path, err := exec.LookPath(argv[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return ExecNotFound, err
		}
		return ExecCannotRun, err
	}
	cmd := exec.Command(path) //nolint:noctx // ended gently, below
	cmd.Args = argv
	cmd.Env = flatten(env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.In, std.Out, std.Err

	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	defer signal.Stop(signals)
	_ = proc.Subreaper() // so that all its children are found when its time is up
	if err := cmd.Start(); err != nil {
		return ExecCannotRun, err
	}
	var waited error
	done := make(chan struct{})
	go func() { waited = cmd.Wait(); close(done) }()
	for {
		select {
		case sig := <-signals:
			if s, ok := sig.(syscall.Signal); ok && !fromTerminal(s) {
				_ = cmd.Process.Signal(s)
			}
		case <-done:
			return exitStatus(cmd, waited)
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-done:
			case <-time.After(execGrace):
			}
			kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), execGrace)
			defer cancel()
			return ExecTimedOut, errors.Join(context.Cause(ctx), killFamily(kill))
		}
	}
}

func exitStatus(cmd *exec.Cmd, err error) (int, error) {
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && ws.Signaled():
		return execSignalled + int(ws.Signal()), nil
	case ok && ws.Exited():
		return ws.ExitStatus(), nil
	default:
		return ExecFailed, err
	}
}

// fromTerminal tells whether the command has got the signal already: what is typed at a terminal goes to its
// whole foreground process group, in which the command is with us.
func fromTerminal(s syscall.Signal) bool {
	switch s {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
	default:
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close() //nolint:errcheck // read only
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}
