package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// RunConfig says what to run in which cluster.
type RunConfig struct {
	Start StartConfig
	Exec  ExecConfig
	// Timeout is for all of it, from before the start to the command's end; 0: none. The end of the cluster comes on top.
	Timeout time.Duration
	Keep    bool // the state directory, with its logs, if the command fails or doesn't get to run

	Ready func(*Cluster)               // called when the command is about to run; may be nil
	Ended func(c *Cluster, status int) // called when the command has ended, or won't run: the logs are there still; c may be nil, and so may Ended
}

// errClusterGone is the cause of ending a command whose cluster has ended under it.
var errClusterGone = errors.New("the cluster ended under it")

// clearTimeout bounds the end of a cluster; each of its steps has a shorter deadline.
const clearTimeout = 60 * time.Second

// Run starts a cluster, runs a command in it, and clears the cluster away, whatever happens: the cluster is tied to this process,
// so even SIGKILL ends it. The status is the command's as of [Cluster.Exec], or ExecTimedOut if the time was up before, 128 plus the
// number of a signal that we got before, ExecFailed for whatever else went wrong. err explains a status of ours.
func Run(ctx context.Context, cfg RunConfig) (status int, err error) {
	if _, status, err := findCommand(cfg.Exec.Argv[0]); err != nil {
		return status, err // known before anything is started
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals) // until the end, so that nothing interrupts the clearing away
	if cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cfg.Timeout, errTimeUp{cfg.Timeout})
		defer cancel()
	}
	cfg.Start.Tied, cfg.Start.forget = true, !cfg.Keep
	c, status, err := startOrSignal(ctx, cfg.Start, signals)
	if err == nil {
		if cfg.Ready != nil {
			cfg.Ready(c)
		}
		status, err = c.execWhileUp(ctx, cfg.Exec)
	}
	if cfg.Ended != nil {
		cfg.Ended(c, status)
	}
	if c == nil {
		return status, err
	}
	if cerr := c.clearAway(context.WithoutCancel(ctx), cfg.Keep && status != 0); cerr != nil {
		if status == 0 {
			status = ExecFailed
		}
		err = errors.Join(err, cerr)
	}
	return status, err
}

// errTimeUp says that a run took all the time that it had.
type errTimeUp struct{ after time.Duration }

func (e errTimeUp) Error() string { return fmt.Sprintf("timed out after %s", e.after) }

// Is makes it one of the errors that are a deadline.
func (errTimeUp) Is(target error) bool { return target == context.DeadlineExceeded }

// startOrSignal starts a cluster unless a signal comes before it is ready.
func startOrSignal(ctx context.Context, cfg StartConfig, signals <-chan os.Signal) (c *Cluster, status int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan struct{})
	var got os.Signal
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case got = <-signals:
			cancel(fmt.Errorf("got the signal %s", got))
		case <-over:
		}
	}()
	c, err = Start(ctx, cfg)
	close(over)
	<-watching
	switch s, isSignal := got.(syscall.Signal); {
	case isSignal && err == nil:
		return c, execSignalled + int(s), context.Cause(ctx)
	case isSignal:
		return c, execSignalled + int(s), err
	case errors.Is(err, ErrNotReady), errors.Is(err, context.DeadlineExceeded):
		return c, ExecTimedOut, err
	case err != nil:
		return c, ExecFailed, err
	}
	return c, 0, nil
}

// execWhileUp is Exec in a tied cluster. It ends the command when the cluster ends, and whatever the command leaves.
func (c *Cluster) execWhileUp(ctx context.Context, cfg ExecConfig) (int, error) {
	up, down := context.WithCancelCause(ctx)
	defer down(nil)
	go func() {
		select {
		case <-c.tie.ending:
			down(errClusterGone)
		case <-up.Done():
		}
	}()
	status, err := c.Exec(up, cfg)
	err = errors.Join(err, c.killCommand(context.WithoutCancel(ctx)))
	select {
	case <-c.tie.ending:
		if errors.Is(err, errClusterGone) || status == execSignalled+int(syscall.SIGKILL) { // the cluster's end takes the command with it
			<-c.tie.ended
			return ExecFailed, c.goneFinding(cfg.Argv, errClusterGone)
		}
	default:
	}
	return status, err
}

// goneFinding says what became of a cluster in the middle of a command.
func (c *Cluster) goneFinding(argv []string, err error) error {
	f := &checks.Finding{
		What: fmt.Sprintf("cluster %s ended while %s ran, which was ended, too", c.Name(), argv[0]), Err: err,
		Cause: "its supervisor was killed",
	}
	if r, rerr := readRecord(c.place); rerr == nil && r.Failure != "" {
		f.Cause = r.Failure
	} else if errors.Is(rerr, os.ErrNotExist) {
		f.Cause = "somebody stopped it"
	}
	return f
}

// clearAway ends what runs of the cluster, and removes its files unless they are to be kept.
func (c *Cluster) clearAway(ctx context.Context, keep bool) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	if c.tie != nil {
		select {
		case <-c.tie.ending: // by itself
			<-c.tie.ended
		default:
		}
	}
	fresh, err := readRecord(c.place)
	if errors.Is(err, os.ErrNotExist) || (err == nil && fresh.ID != c.record.ID) {
		return nil // it was stopped meanwhile, by its supervisor, and the place may be another's
	}
	if err == nil {
		c.record = fresh
	}
	if c.running() == nil {
		_, err := c.Stop(ctx, StopConfig{Keep: keep})
		return err
	}
	if err := c.force(ctx, keep); err != nil {
		return err
	}
	return c.prove(ctx, keep)
}
