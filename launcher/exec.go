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
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// erlFlagsEnv is the variable in which every erl looks for flags, after those of its command line.
const erlFlagsEnv = "ERL_FLAGS"

// Env returns the variables that tell a program how to reach the cluster. The cookie itself is not among them: its file is.
func (c *Cluster) Env() map[string]string {
	var names []string
	for _, n := range c.record.Nodes {
		names = append(names, n.Name)
	}
	_, port, _ := net.SplitHostPort(c.record.EPMD)
	env := map[string]string{
		"ERL_EPMD_PORT":        port,
		"BEAMCTL_NODES":        strings.Join(names, ","),
		"BEAMCTL_COOKIE_FILE":  c.CookieFile(),
		"BEAMCTL_CLUSTER_NAME": c.Name(),
	}
	if ours := c.record.ERLFlags; ours != "" {
		user := os.Getenv(erlFlagsEnv)
		if !strings.Contains(user, ours) { // a second time they would undo themselves
			user = strings.TrimSpace(user + " " + ours)
		}
		env[erlFlagsEnv] = user
	}
	return env
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

// ExecConfig says what to run.
type ExecConfig struct {
	Streams
	Argv []string // at least the command
	// AsNode makes the first BEAM that the command is, or runs, a node of the cluster: its name, with or without @host. "": none.
	AsNode string
	Hidden bool // that node
}

// Exec runs a command in the cluster's Env and returns the status that a shell would give: its own, or 128 plus the number of
// the signal that ended it. Signals that we get are passed on. When ctx ends, it is ended with all its children, and
// the status is ExecTimedOut, or ExecFailed if it wasn't a deadline that ended ctx. err explains a status of ours.
func (c *Cluster) Exec(ctx context.Context, cfg ExecConfig) (status int, err error) {
	path, status, err := findCommand(cfg.Argv[0])
	if err != nil {
		return status, err
	}
	env := c.execEnv()
	if cfg.AsNode != "" {
		g, gerr := c.guestNode(ctx, cfg)
		if gerr != nil {
			return ExecFailed, gerr
		}
		own, gerr := g.env(env)
		if gerr != nil {
			return ExecFailed, gerr
		}
		maps.Copy(env, own)
		cfg.Argv = g.argv(cfg.Argv)
		defer func() { status, err = g.check(status, err) }()
	}
	cmd := exec.Command(path) //nolint:noctx // ended gently, below
	cmd.Args = cfg.Argv
	cmd.Env = flatten(env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = cfg.In, cfg.Out, cfg.Err
	cmd.SysProcAttr = proc.Dependent()

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
			status, cause := ExecFailed, context.Cause(ctx)
			if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, ErrNotReady) {
				status = ExecTimedOut
			}
			return status, errors.Join(cause, c.killCommand(context.WithoutCancel(ctx)))
		}
	}
}

// findCommand finds a command as a shell would, and says with a shell's status why it can't.
func findCommand(name string) (path string, status int, err error) {
	path, err = exec.LookPath(name)
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return path, 0, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", ExecNotFound, err
	default:
		return "", ExecCannotRun, err
	}
}

// execEnv is the environment of a command: ours, and the cluster's Env. A command of a tied cluster is the cluster's to
// end; any other is the user's, and stopping the cluster leaves it alone.
func (c *Cluster) execEnv() map[string]string {
	env := environment(os.Environ())
	delete(env, MarkerEnv)
	delete(env, roleEnv)
	if c.tie != nil {
		env[MarkerEnv], env[roleEnv] = c.record.ID, "command"
	}
	maps.Copy(env, c.Env())
	return env
}

// killCommand ends whatever the command has left: all our descendants but the cluster itself, if that is ours.
func (c *Cluster) killCommand(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, execGrace)
	defer cancel()
	return proc.KillAll(ctx, func() ([]proc.ID, error) {
		all, err := proc.Descendants(os.Getpid())
		if err != nil {
			return nil, err
		}
		cluster, err := proc.Descendants(c.record.Supervisor.Pid)
		return slices.DeleteFunc(all, func(id proc.ID) bool {
			return id == c.record.Supervisor || slices.Contains(cluster, id)
		}), err
	})
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
