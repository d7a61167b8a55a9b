package launcher

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// The guardian is the parent of everything a cluster runs, and a child subreaper, so that nothing it runs can get out
// of its family, whoever's child it was. It does what the supervisor asks over a socket, one JSON object
// a line; when the supervisor goes, the socket closes, and the guardian ends the whole family. The supervisor does the same
// when the guardian goes.

// order is what the supervisor asks of the guardian.
type order struct {
	Op     orderOp        `json:"op"`
	Key    string         `json:"key,omitempty"`    // names the process
	Argv   []string       `json:"argv,omitempty"`   // spawn
	Env    []string       `json:"env,omitempty"`    // spawn
	Dir    string         `json:"dir,omitempty"`    // spawn
	Log    string         `json:"log,omitempty"`    // spawn: file to which stdout and stderr are appended, each line with its time
	Signal syscall.Signal `json:"signal,omitempty"` // signal: to the process group
}

// orderOp is what to do.
type orderOp string

const (
	opSpawn  orderOp = "spawn"
	opSignal orderOp = "signal"
	opEnd    orderOp = "end" // the whole family, and the guardian
)

// notice is what the guardian tells the supervisor.
type notice struct {
	Kind    noticeKind    `json:"kind"`
	Key     string        `json:"key,omitempty"`
	Process proc.ID       `json:"process,omitzero"`  // spawned
	Error   string        `json:"error,omitempty"`   // spawned, ended: what went wrong
	Missing bool          `json:"missing,omitempty"` // spawned: there is no such program
	Errno   syscall.Errno `json:"errno,omitempty"`   // spawned: what the kernel said, if it was that
	Exit    exit          `json:"exit,omitzero"`     // exited
}

// noticeKind is what has happened.
type noticeKind string

const (
	hasSpawned noticeKind = "spawned" // or could not
	hasExited  noticeKind = "exited"
	hasEnded   noticeKind = "ended" // the whole family has
)

// exit is how a process ended.
type exit struct {
	Code   int            `json:"code"`             // -1 if by a signal
	Signal syscall.Signal `json:"signal,omitempty"` // 0 if it exited by itself
}

func (e exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), unix.SignalName(e.Signal))
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// endTimeout bounds how long the guardian tries to end its family. What resists SIGKILL that long hangs in the kernel.
const endTimeout = 10 * time.Second

// guardian is the process's state.
type guardian struct {
	out *json.Encoder // under mu

	mu   sync.Mutex // held from fork to registration, so that no child is reaped before it is known
	keys map[int]string
	pids map[string]int

	logs  map[string]*logFile // by path
	pipes map[string]*logPipe // by key
}

// runGuardian is the whole life of a guardian process; conn leads to its supervisor. It returns when its family is gone.
func runGuardian(conn net.Conn) error {
	if err := proc.Subreaper(); err != nil {
		return err
	}
	g := &guardian{
		out: json.NewEncoder(conn), keys: make(map[int]string), pids: make(map[string]int),
		logs: make(map[string]*logFile), pipes: make(map[string]*logPipe),
	}
	died := make(chan os.Signal, 1) // one pending SIGCHLD stands for any number of children
	signal.Notify(died, syscall.SIGCHLD)
	defer signal.Stop(died)

	orders := make(chan order)
	go func() {
		defer close(orders)
		dec := json.NewDecoder(bufio.NewReader(conn))
		for {
			var o order
			if dec.Decode(&o) != nil { // the supervisor is gone, or no longer makes sense
				return
			}
			orders <- o
		}
	}()
	for {
		select {
		case <-died:
			g.reap()
		case o, ok := <-orders:
			if !ok || o.Op == opEnd {
				return g.end()
			}
			g.obey(o)
		}
	}
}

func (g *guardian) obey(o order) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch o.Op { //nolint:exhaustive // the end is the loop's
	case opSpawn:
		id, err := g.spawn(o)
		n := notice{Kind: hasSpawned, Key: o.Key, Process: id}
		if err != nil {
			n.Error, n.Missing = err.Error(), errors.Is(err, exec.ErrNotFound)
			n.Errno, _ = errors.AsType[syscall.Errno](err)
		}
		g.tell(n)
	case opSignal:
		if pid, ok := g.pids[o.Key]; ok { // not reaped yet, so the group is still its own
			_ = syscall.Kill(-pid, o.Signal)
		}
	}
}

// spawn starts a process in a session of its own, without a terminal and without input.
func (g *guardian) spawn(o order) (proc.ID, error) {
	path, err := lookPath(o.Argv[0], o.Env, o.Dir)
	if err != nil {
		return proc.ID{}, err
	}
	pipe, log, err := g.logPipe(o.Log)
	if err != nil {
		return proc.ID{}, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		return proc.ID{}, err
	}
	defer null.Close() //nolint:errcheck // read only
	p, err := os.StartProcess(path, o.Argv, &os.ProcAttr{
		Dir:   o.Dir,
		Env:   o.Env,
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return proc.ID{}, err
	}
	g.keys[p.Pid], g.pids[o.Key], g.pipes[o.Key] = o.Key, p.Pid, pipe
	id := proc.Identify(p.Pid)
	_ = p.Release() // reap waits for it, as for everybody
	return id, nil
}

// logPipe opens a pipe into the log at path, and returns the end to write to as well.
func (g *guardian) logPipe(path string) (*logPipe, *os.File, error) {
	l := g.logs[path]
	if l == nil {
		l = &logFile{path: path}
		g.logs[path] = l
	}
	if err := l.reopen(); err != nil {
		return nil, nil, err
	}
	return newLogPipe(l)
}

// reap collects every child that has ended, our own and those that fell to us, and reports our own.
func (g *guardian) reap() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		key, ok := g.keys[pid]
		if !ok {
			continue
		}
		delete(g.keys, pid)
		delete(g.pids, key)
		e := exit{Code: ws.ExitStatus()}
		if ws.Signaled() {
			e = exit{Code: -1, Signal: ws.Signal()}
		}
		g.pipes[key].drain() // its last words explain it
		delete(g.pipes, key)
		g.tell(notice{Kind: hasExited, Key: key, Exit: e})
	}
}

// end kills the whole family and says so.
func (g *guardian) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	err := killFamily(ctx)
	g.reap()
	n := notice{Kind: hasEnded}
	if err != nil {
		n.Error = err.Error()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(n)
	return err
}

// tell ignores an error: if the supervisor is gone, reading from it says so too.
func (g *guardian) tell(n notice) { _ = g.out.Encode(n) }

// killFamily ends every descendant of this process.
func killFamily(ctx context.Context) error {
	return proc.KillAll(ctx, func() ([]proc.ID, error) { return proc.Descendants(os.Getpid()) })
}
