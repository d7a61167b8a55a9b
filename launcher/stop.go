package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/launcher/control"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// StopConfig says how to stop a cluster.
type StopConfig struct {
	Keep     bool        // the state directory, with its logs
	Progress func(Event) // called in order, from one goroutine; may be nil
}

// StopReport is what Stop has done and proven.
type StopReport struct {
	Cluster string `json:"cluster"`
	Nodes   int    `json:"nodes"`
	// Forced says that no supervisor was there to ask, or that it didn't answer: everything was ended by its marker.
	Forced   bool    `json:"forced"`
	Kept     string  `json:"kept,omitempty"` // the state directory, if it was to be kept
	Duration float64 `json:"seconds"`
}

// ErrLeftovers says that something of a cluster is still there after it was stopped.
var ErrLeftovers = errors.New("something is left")

// Stop ends the cluster: by its supervisor if that answers, else by its marker. It returns nil when it has looked for
// itself and found nothing left: no process with the cluster's marker, no open port, no socket, no file.
func (c *Cluster) Stop(ctx context.Context, cfg StopConfig) (*StopReport, error) {
	begin := time.Now()
	rep := &StopReport{Cluster: c.Name(), Nodes: len(c.record.Nodes)}
	unasked := c.record.State == Dead || c.record.State == Skewed // there is nobody to ask, or we don't know how
	if err := c.running(); err != nil && !unasked {
		return nil, err
	}
	if !unasked {
		hangs, err := c.hangs(ctx)
		if err != nil {
			return nil, err
		}
		unasked = hangs
	}
	if unasked {
		rep.Forced = true
	} else {
		_, err := c.call(ctx, opStop, stopArgs{Keep: cfg.Keep}, cfg.Progress)
		switch {
		case errors.Is(err, control.ErrHungUp), errors.Is(err, control.ErrNoServer):
			rep.Forced = true // it has just died, or never got as far as its socket
		case errors.Is(err, ErrSkew):
			rep.Forced = true // it doesn't know how to end itself as we ask: it is ended
		case err != nil:
			return nil, err
		}
		if !errors.Is(err, ErrSkew) {
			if err := await(ctx, c.record.Supervisor); err != nil {
				return nil, err
			}
		}
		if r, err := readRecord(c.place); err == nil && r.ID == c.record.ID && !cfg.Keep {
			rep.Forced = true // it was about to end for another reason, which keeps files
		}
	}
	if rep.Forced {
		if err := c.force(ctx, cfg.Keep); err != nil {
			return nil, err
		}
	}
	if cfg.Keep {
		rep.Kept = string(c.place)
	}
	if err := c.prove(ctx, cfg.Keep); err != nil {
		return nil, err
	}
	rep.Duration = time.Since(begin).Seconds()
	return rep, nil
}

// How long a supervisor may take to say that it is there before its cluster is stopped without it. One whose process is stopped gets less:
// it will not find the time by itself.
const (
	answerTimeout  = 10 * time.Second
	stoppedTimeout = time.Second
)

// hangs tells whether the supervisor lives and does not answer. An error is ctx's.
func (c *Cluster) hangs(ctx context.Context) (bool, error) {
	within := answerTimeout
	if proc.Stopped(c.record.Supervisor.Pid) {
		within = stoppedTimeout
	}
	asking, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := c.call(asking, opPing, nil, nil) // one that does not know what that is has answered, too
	if err == nil || asking.Err() == nil {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	return true, nil
}

// await waits until a process is gone. The supervisor has said its last words by then.
func await(ctx context.Context, id proc.ID) error {
	for id.Alive() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("process %d still runs: %w", id.Pid, context.Cause(ctx))
		}
	}
	return nil
}

// force ends a cluster without its supervisor's help, and removes what it left.
func (c *Cluster) force(ctx context.Context, keep bool) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	// The supervisor first: it would clear away with us. It may be stopped (SIGSTOP), which SIGKILL doesn't mind.
	if err := c.record.Supervisor.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	// Then the guardian ends the family, also those who have shed the marker. It may be stopped, too.
	if err := c.record.Guardian.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("guardian: %w", err)
	}
	if err := await(ctx, c.record.Guardian); err != nil {
		return fmt.Errorf("guardian: %w", err)
	}
	if err := killMarked(ctx, c.record.ID); err != nil {
		return err
	}
	for _, n := range c.record.Nodes { // where markers cannot be read, the recorded processes are what we know
		if err := n.Process.Signal(syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	if err := removeIndex(c.record.ID); err != nil {
		return err
	}
	if keep {
		c.record.State, c.record.Failure = Stopped, "its supervisor was gone, and it was cleared away"
		return errors.Join(c.record.write(c.place), c.place.removeSecrets())
	}
	return c.removePlace(ctx)
}

// lockPause is the time between two looks at a lock that is about to be free.
const lockPause = 5 * time.Millisecond

// removePlace removes the files. A new cluster of that name may have begun meanwhile; then the directory is its. The lock
// may also be held by the last threads of a supervisor or guardian that is dead already by all other signs.
func (c *Cluster) removePlace(ctx context.Context) error {
	for {
		p, lock, err := lockPlace(parentDir(c.place), c.Name())
		if err == nil {
			defer lock.Close() //nolint:errcheck // it is being removed
			return p.remove()
		}
		if !errors.Is(err, ErrRunning) {
			return err
		}
		if r, rerr := readRecord(c.place); rerr != nil || r.ID != c.record.ID {
			return nil //nolint:nilerr // it is another cluster's by now
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return err
		}
	}
}

// prove looks for what may be left.
func (c *Cluster) prove(ctx context.Context, keep bool) error {
	var errs []error
	left, err := marked(c.record.ID)
	if err != nil {
		return err
	}
	for _, id := range left {
		errs = append(errs, fmt.Errorf("process %d (%s)", id.Pid, proc.Command(id.Pid)))
	}
	doors := []string{c.record.EPMD}
	for _, n := range c.record.Nodes {
		doors = append(doors, n.EPMD)
	}
	d := net.Dialer{Timeout: time.Second}
	for _, addr := range doors {
		if addr == "" {
			continue
		}
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			_ = conn.Close()
			errs = append(errs, fmt.Errorf("port %s", addr))
		}
	}
	if c.record.Socket != "" {
		if _, err := os.Lstat(c.record.Socket); err == nil {
			errs = append(errs, errors.New(c.record.Socket))
		}
	}
	if r, err := readRecord(c.place); err == nil && r.ID == c.record.ID && !keep {
		errs = append(errs, errors.New(string(c.place)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w of cluster %s: %w", ErrLeftovers, c.Name(), err)
	}
	return nil
}
