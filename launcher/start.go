package launcher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

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
}

// Start starts a cluster and returns when all its nodes are ready. The cluster outlives the caller. When ctx ends before,
// or anything fails, nothing of it keeps running; after a failure the state directory stays, for its logs.
//
// Errors: ErrSpec, ErrRunning, *checks.Finding for whatever is understood, ctx's.
func Start(ctx context.Context, cfg StartConfig) (*Cluster, error) {
	spec := cfg.Spec.withDefaults()
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

	p, lock, err := lockPlace(stateDir, spec.Cluster)
	if errors.Is(err, ErrRunning) {
		return nil, &checks.Finding{
			What: fmt.Sprintf("cluster %s is running already", spec.Cluster), Saw: p.lock() + " is held",
			Fix: "look at it with `beamctl status`, end it with `beamctl stop`, or start another one with --cluster NAME", Err: err,
		}
	}
	if err != nil {
		return nil, err
	}
	defer lock.Close() //nolint:errcheck // the supervisor has its own
	// The lock is ours, so whatever is there is of a cluster that ended without us.
	if err := sweep(ctx, p); err != nil {
		return nil, err
	}
	args := startArgs{ID: newID(spec.Cluster), Place: p, Spec: spec, Binary: cfg.Binary}
	if err := supervise(ctx, args, lock, cfg.Progress); err != nil {
		if ctx.Err() != nil && p.lockedBy(lock) { // the supervisor hadn't got as far as clearing away itself
			clear := context.WithoutCancel(ctx)
			err = errors.Join(err, sweep(clear, p), p.remove())
		}
		return nil, err
	}
	r, err := readRecord(p)
	if err != nil {
		return nil, err
	}
	return &Cluster{p, r}, nil
}

func preflight(ctx context.Context, spec *Spec, stateDir string) error {
	pf := checks.PreflightSpec{
		Dir: spec.Dir, State: stateDir, Tools: []string{spec.runtime().command(spec)[0]},
		Env: flatten(projectEnv(os.Environ(), spec)),
	}
	for _, n := range spec.Nodes {
		pf.Names = append(pf.Names, n.Name)
	}
	if spec.Port != 0 {
		pf.Ports = []int{spec.Port}
	}
	return checks.Preflight(ctx, pf)
}

// newID makes a cluster's id: its name, and enough randomness that no two ever meet.
func newID(cluster string) string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%s-%x", cluster, b)
}

// supervise starts the supervisor and follows it until the cluster is ready. Otherwise it returns when the supervisor has cleared
// everything away.
func supervise(ctx context.Context, args startArgs, lock *os.File, progress func(Event)) error {
	log, err := os.OpenFile(args.Place.supervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("supervisor log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the supervisor has its own
	conn, theirs, err := socketpair()
	if err != nil {
		return err
	}
	cmd := daemon(args.Binary, supervisorVerb, args.ID, theirs, lock, log)
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("supervisor: %w", err)
	}
	_, err = control.Do(ctx, conn, opStart, args, eventDecoder(progress))
	if err == nil {
		return cmd.Process.Release()
	}
	_ = cmd.Wait() // it has heard, or made, the end of it; both its own deadlines and SIGKILL bound what it does now
	if ctx.Err() != nil {
		return fmt.Errorf("start of cluster %s: %w; all of it was cleared away", args.Spec.Cluster, context.Cause(ctx))
	}
	if errors.Is(err, control.ErrHungUp) {
		return supervisorFinding(args, cmd)
	}
	return fromWire(err)
}

// supervisorFinding explains a supervisor that ended without a word.
func supervisorFinding(args startArgs, cmd *exec.Cmd) error {
	e := readEvidence("the supervisor", args.Place.supervisorLog(), args.Spec.Dir)
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
