package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/remsh"
)

// The exit codes. run and exec return their command's own code instead, and launcher.ExecTimedOut and so on where they have none.
const (
	exitOK          = 0
	exitFailed      = 1 // checks failed; a called function raised an exception; a shell's input broke off, or has too long a line; something is left after stop
	exitUsage       = 2
	exitNoCluster   = 3 // no such cluster, or it doesn't run; no such node
	exitNoStart     = 4
	exitTimeout     = 5
	exitRefused     = 6   // cookie, permission
	exitBug         = 70  // ours
	exitInterrupted = 130 // Ctrl-C: 128 + SIGINT
)

// errFailed is the error of a command that has shown its result, which is not good.
var errFailed = errors.New("checks failed")

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// statusError is a command's own exit status.
type statusError struct {
	status int
	err    error // why, if it is ours; nil if it is the command's
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// startError is whatever kept a cluster from starting, unless it is something more special.
type startError struct{ error }

func (e startError) Unwrap() error { return e.error }

// exitCode is the one place that turns errors into exit codes.
func exitCode(err error) int {
	var (
		status *statusError
		usage  usageError
		start  startError
		erl    *node.ErlangError

		handshake *dist.HandshakeError
		is        = func(targets ...error) bool {
			for _, t := range targets {
				if errors.Is(err, t) {
					return true
				}
			}
			return false
		}
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return status.status
	case is(context.Canceled, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), is(launcher.ErrSpec, launcher.ErrConfig, launcher.ErrAmbiguous, launcher.ErrNoCode, launcher.ErrNoBuild, node.ErrBadName, node.ErrTLSFile):
		return exitUsage
	case is(launcher.ErrNoCluster, launcher.ErrNotRunning, launcher.ErrNoNode):
		return exitNoCluster
	case is(launcher.ErrNotReady, launcher.ErrNoAnswer, context.DeadlineExceeded, node.ErrTimeout):
		return exitTimeout
	case is(node.ErrWrongCookie, dist.ErrNoCookie, dist.ErrNotAllowed, launcher.ErrRuntimeDir, node.ErrTLS):
		return exitRefused
	case errors.As(err, &start):
		return exitNoStart
	case is(fs.ErrPermission):
		return exitRefused
	case is(node.ErrUnresolved, node.ErrNoEPMD, node.ErrNoSuchName, node.ErrRefused, node.ErrNodeDown), errors.As(err, &handshake):
		return exitNoCluster
	case errors.As(err, &erl), is(errFailed, launcher.ErrLeftovers, remsh.ErrUnfinished, remsh.ErrLineTooLong), isFinding(err):
		return exitFailed
	default:
		return exitBug
	}
}

func isFinding(err error) bool {
	var f *checks.Finding
	return errors.As(err, &f)
}
