package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// The arguments by which the binary knows that it is to be a supervisor or a guardian; see [Daemon]. The cluster's id follows,
// for people who read ps.
const (
	supervisorVerb = "__supervisor"
	guardianVerb   = "__guardian"
)

// Descriptors that a daemon inherits.
const (
	connFD = 3 // one end of a socketpair: the start request (supervisor), orders (guardian)
	lockFD = 4
)

// errNoGuardian says that the guardian is gone.
var errNoGuardian = errors.New("the guardian process is gone")

// guard is the supervisor's side of the guardian.
type guard struct {
	cmd *exec.Cmd
	id  proc.ID

	mu      sync.Mutex
	conn    net.Conn
	enc     *json.Encoder
	spawned map[string]chan notice
	onExit  map[string]func(exit)
	gone    chan struct{} // closed when nothing more comes from the guardian
	endErr  error         // of its last words; valid once gone is closed
	ended   bool          // it had last words
}

// startGuardian starts the guardian from the same binary.
func startGuardian(binary, id string, lock, log *os.File) (*guard, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close() //nolint:errcheck // the child has its own
	cmd := daemon(binary, guardianVerb, id, theirs, lock, log)
	if err := cmd.Start(); err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("guardian: %w", err)
	}
	g := &guard{
		cmd: cmd, id: proc.Identify(cmd.Process.Pid), conn: ours, enc: json.NewEncoder(ours),
		spawned: make(map[string]chan notice), onExit: make(map[string]func(exit)), gone: make(chan struct{}),
	}
	go g.listen()
	return g, nil
}

// daemon prepares a process that has no terminal, no input, and conn and lock as its descriptors 3 and 4.
func daemon(binary, verb, id string, conn, lock, log *os.File) *exec.Cmd {
	cmd := exec.Command(binary, verb, id) //nolint:noctx,gosec // it outlives us; it is ourselves
	cmd.Args[0] = "beamctl"
	cmd.Dir = "/" // no mount is kept busy
	cmd.Env = daemonEnv(id, verb[len("__"):])
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{conn, lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// socketpair returns two connected unix sockets, one as a connection and one to be inherited.
func socketpair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "socketpair"), os.NewFile(uintptr(fds[1]), "socketpair")
	defer ours.Close() //nolint:errcheck // FileConn has its own
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return conn, theirs, nil
}

// inherited returns the connection that a daemon got.
func inherited(fd uintptr) (net.Conn, error) {
	f := os.NewFile(fd, "inherited")
	defer f.Close() //nolint:errcheck // FileConn has its own
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("inherited connection: %w", err)
	}
	return conn, nil
}

func (g *guard) listen() {
	defer close(g.gone)
	dec := json.NewDecoder(g.conn)
	for {
		var n notice
		if err := dec.Decode(&n); err != nil {
			g.mu.Lock()
			if !g.ended {
				g.endErr = errNoGuardian
			}
			_ = g.conn.Close()
			g.mu.Unlock()
			_ = g.cmd.Wait()
			return
		}
		g.mu.Lock()
		var exited func(exit)
		switch n.Kind {
		case hasSpawned:
			if ch := g.spawned[n.Key]; ch != nil {
				ch <- n // has room for it
				delete(g.spawned, n.Key)
			}
			if n.Error != "" {
				delete(g.onExit, n.Key)
			}
		case hasExited:
			exited = g.onExit[n.Key]
			delete(g.onExit, n.Key)
		case hasEnded:
			g.ended = true
			if n.Error != "" {
				g.endErr = errors.New(n.Error)
			}
		}
		g.mu.Unlock()
		if exited != nil {
			exited(n.Exit)
		}
	}
}

// spawnError is what the guardian says of a process that it could not start.
type spawnError struct {
	text  string
	errno syscall.Errno
}

func (e *spawnError) Error() string { return e.text }
func (e *spawnError) Unwrap() error { return e.errno }

// errMissing says that a program is not there.
var errMissing = errors.New("no such program")

// spawn has the guardian start a process. onExit is called once, when it has ended.
func (g *guard) spawn(ctx context.Context, o order, onExit func(exit)) (proc.ID, error) {
	o.Op = opSpawn
	ch := make(chan notice, 1)
	g.mu.Lock()
	g.spawned[o.Key], g.onExit[o.Key] = ch, onExit
	err := g.enc.Encode(o)
	g.mu.Unlock()
	if err != nil {
		return proc.ID{}, fmt.Errorf("%w: %w", errNoGuardian, err)
	}
	select {
	case n := <-ch:
		if n.Missing {
			return proc.ID{}, fmt.Errorf("%w: %s", errMissing, n.Error)
		}
		if n.Error != "" {
			return proc.ID{}, &spawnError{n.Error, n.Errno}
		}
		return n.Process, nil
	case <-g.gone:
		return proc.ID{}, errNoGuardian
	case <-ctx.Done():
		return proc.ID{}, context.Cause(ctx)
	}
}

// signal sends sig to the process group of a spawned process.
func (g *guard) signal(key string, sig syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.enc.Encode(order{Op: opSignal, Key: key, Signal: sig}) // an error is told by gone
}

// end has the guardian end its whole family, and waits until it is gone itself.
func (g *guard) end(ctx context.Context) error {
	g.mu.Lock()
	_ = g.enc.Encode(order{Op: opEnd})
	g.mu.Unlock()
	select {
	case <-g.gone:
		return g.endErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
