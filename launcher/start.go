package launcher

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher/control"
)

// ErrNotReady says that the cluster was not ready in Spec.Ready; it comes inside a *checks.Finding.
var ErrNotReady = errors.New("not ready in time")

// StartConfig says how to start a cluster.
type StartConfig struct {
	Spec     Spec
	StateDir string      // parent of the cluster's state directory; "": Spec.Dir/.beamctl
	Binary   string      // whose [Daemon] is the supervisor; "": this one
	Progress func(Event) // called in order, from one goroutine; may be nil
	// Tied makes the cluster end with the calling process, however that ends. Otherwise it outlives the caller.
	Tied bool
	// GoOn leaves the other nodes running when some don't start. Start then returns the cluster, and a *PartialError.
	GoOn bool
	// Stale allows what would otherwise be refused with ErrStale: sources that are newer than what was compiled from them.
	Stale bool
	// forget says that the caller removes the state directory, with its logs, after a failure: no finding points there.
	forget bool
}

// PartialError says which nodes did not start of a cluster that runs without them.
type PartialError struct{ *checks.Finding }

// Unwrap returns the finding.
func (e *PartialError) Unwrap() error { return e.Finding }

// Start starts a cluster and returns when all its nodes are ready. When ctx ends before, or anything fails, nothing of it
// keeps running; after a failure the state directory stays, for its logs, and so does a Cluster with which to read them.
//
// Errors: ErrSpec, ErrRunning, ErrStale, *checks.Finding for whatever is understood, ctx's.
func Start(ctx context.Context, cfg StartConfig) (*Cluster, error) {
	spec := cfg.Spec.withDefaults()
	spec.Pin(os.Environ())
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	stateDir := cfg.StateDir
	if stateDir == "" {
		stateDir = filepath.Join(spec.Dir, StateDirName)
	}
	stateDir, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, err
	}
	if err := preflight(ctx, &spec, stateDir); err != nil {
		return nil, err
	}
	if cfg.Binary == "" {
		if cfg.Binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("own binary: %w", err)
		}
	}

	p, lock, err := takePlace(ctx, stateDir, spec.Cluster)
	if errors.Is(err, ErrRunning) {
		return nil, runningFinding(ctx, p, &spec, err)
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close() //nolint:errcheck // the supervisor has its own
	// The lock is ours, so whatever is there is of a cluster that ended without us.
	if err := sweep(ctx, p); err != nil {
		return nil, err
	}
	args := startArgs{ID: newID(spec.Cluster), Place: p, Spec: spec, Binary: cfg.Binary, Tied: cfg.Tied, GoOn: cfg.GoOn, Stale: cfg.Stale, Forget: cfg.forget}
	tie, err := supervise(ctx, args, lock, cfg.Progress)
	if err != nil && ctx.Err() != nil && p.lockedBy(lock) { // the supervisor hadn't got as far as clearing away itself
		return nil, errors.Join(err, sweep(context.WithoutCancel(ctx), p), p.remove())
	}
	r, rerr := readRecord(p)
	if err != nil && errors.Is(rerr, fs.ErrNotExist) { // cleared away, with the record
		return nil, err
	}
	if rerr != nil || r.ID != args.ID {
		return nil, errors.Join(err, rerr)
	}
	return &Cluster{place: p, record: r, tie: tie}, err
}

// runningFinding explains that the lock of a place is held: by a cluster that runs, of which a start of spec may have meant more nodes, or by
// what is left of one.
func runningFinding(ctx context.Context, p place, spec *Spec, err error) error {
	f := &checks.Finding{
		What: fmt.Sprintf("cluster %s is running already", spec.Cluster), Saw: p.lock() + " is held",
		Fix: "look at it with `beamctl status`, end it with `beamctl stop`, or start another one with --cluster NAME", Err: err,
	}
	r, rerr := readRecord(p)
	switch {
	case rerr != nil:
	case r.State == Dead:
		f.What = fmt.Sprintf("cluster %s is dead, and something of it still runs", spec.Cluster)
		f.Cause = "its supervisor was killed, and its guardian did not end the rest"
		f.Fix = "`beamctl stop` ends it"
	case r.State == Ready:
		if more := len(spec.Nodes) - len(r.Spec.Nodes); more > 0 {
			f.Fix = fmt.Sprintf("it has %d of %d nodes; start the others: beamctl add -n %d\n%s", len(r.Spec.Nodes), len(spec.Nodes), more, f.Fix)
		}
		if down := (&Cluster{place: p, record: r}).ended(ctx); len(down) > 0 {
			f.Fix = "start its nodes that do not run: beamctl start " + strings.Join(down, " ") + "\n" + f.Fix
		}
	}
	return f
}

// newID makes a cluster's id: its name, and enough randomness that no two ever meet.
func newID(cluster string) string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%s-%x", cluster, b)
}

// tie is what holds a tied cluster: its supervisor ends when the connection does, which only the supervisor's end, or ours, closes.
type tie struct {
	ending chan struct{} // closed when the cluster begins to end
	ended  chan struct{} // closed when the supervisor is gone
}

// supervise starts the supervisor and follows it until the cluster is ready. Otherwise it returns when the supervisor has cleared
// everything away.
func supervise(ctx context.Context, args startArgs, lock *os.File, progress func(Event)) (*tie, error) {
	log, err := os.OpenFile(args.Place.supervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("supervisor log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the supervisor has its own
	conn, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	cmd := daemon(args.Binary, supervisorVerb, args.ID, theirs, lock, log)
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	t, err := follow(ctx, conn, cmd, args, progress)
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("start of cluster %s: %w; all of it was cleared away", args.Spec.Cluster, context.Cause(ctx))
	case errors.Is(err, control.ErrHungUp):
		return nil, supervisorFinding(args, cmd)
	}
	return nil, fromWire(err)
}

// follow sends the start request and waits for its end: the start's, or the tied cluster's, of which a ready one is rid.
// After an error the supervisor is gone.
func follow(ctx context.Context, conn net.Conn, cmd *exec.Cmd, args startArgs, progress func(Event)) (*tie, error) {
	// Once a tied cluster is ready, ctx no longer bears on it.
	asking, withdraw := context.WithCancel(context.WithoutCancel(ctx))
	release := context.AfterFunc(ctx, withdraw)
	ready := make(chan struct{})
	t := &tie{ending: make(chan struct{}), ended: make(chan struct{})}
	var (
		raw    json.RawMessage
		result error
	)
	go func() {
		defer close(t.ended)
		defer withdraw()
		raw, result = control.Do(asking, conn, opStart, args, eventDecoder(func(e Event) {
			if progress != nil {
				progress(e)
			}
			switch {
			case e.Node != "":
			case e.Stage == StageReady && args.Tied:
				close(ready)
			case e.Stage == StageStopping:
				closeOnce(t.ending)
			default:
			}
		}))
		closeOnce(t.ending)
		if result != nil || args.Tied {
			_ = cmd.Wait() // it has heard, or made, the end of it; both its own deadlines and SIGKILL bound what it does now
		} else {
			_ = cmd.Process.Release()
		}
	}()
	select {
	case <-ready:
		if release() {
			return t, nil
		}
		<-t.ended // ctx ended in the same moment
		return nil, errors.Join(context.Cause(ctx), result)
	case <-t.ended:
		release()
		var r startResult
		switch {
		case result != nil:
			return nil, result
		case args.Tied:
			return nil, control.ErrHungUp
		case json.Unmarshal(raw, &r) == nil && r.Partial != nil:
			return nil, &PartialError{r.Partial}
		}
		return nil, nil //nolint:nilnil // it is not tied
	}
}

// supervisorFinding explains a supervisor that ended without a word.
func supervisorFinding(args startArgs, cmd *exec.Cmd) error {
	e := readEvidence("the supervisor", args.Place.supervisorLog())
	if e.file = relative(e.file, args.Spec.Dir); args.Forget {
		e.file = ""
	}
	return &checks.Finding{
		What: fmt.Sprintf("the supervisor ended while the cluster started (%s)", cmd.ProcessState),
		Saw:  e.tail(), Fix: "start again; if it wasn't killed on purpose, please report this",
		Err: control.ErrHungUp,
	}
}

// sweep clears away what an earlier cluster left in p, whose lock is held: processes first, then files.
func sweep(ctx context.Context, p place) error {
	r, err := readRecord(p)
	if err == nil {
		if err := killMarked(ctx, r.ID); err != nil {
			return fmt.Errorf("an earlier cluster %s: %w", r.Spec.Cluster, err)
		}
		if err := removeIndex(r.ID); err != nil {
			return err
		}
	}
	return p.empty()
}

// Daemon is the other end of Start: a binary that starts clusters calls it first thing in main, and exits with the status
// it returns if it is one of the cluster's own processes.
func Daemon(args []string) (status int, isDaemon bool) {
	if len(args) < 2 || os.Getenv(roleEnv) == "" {
		return 0, false
	}
	var run func(net.Conn) error
	switch args[1] {
	case supervisorVerb:
		run = func(conn net.Conn) error { return runSupervisor(conn, os.NewFile(lockFD, "lock")) }
	case guardianVerb:
		run = runGuardian
	default:
		return 0, false
	}
	unix.CloseOnExec(lockFD) // a node that held it would keep the cluster from ever being free
	conn, err := inherited(connFD)
	if err == nil {
		err = run(conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, args[1], err)
		return 1, true
	}
	return 0, true
}
