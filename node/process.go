package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

const (
	// MaxMailbox is how many messages may wait for a process. A receiver that is this far behind will not catch up, and
	// Erlang, which would let it grow, dies of it.
	MaxMailbox = 100_000
	// MaxMailboxBytes is how many bytes of encoded messages may wait. A single message may be larger: it was already in
	// memory.
	MaxMailboxBytes = 64 << 20
)

// overflow is the reason with which a process ends whose mailbox is full.
const overflow = etf.Atom("mailbox_overflow")

// Process is an Erlang process in Go: a mailbox with a pid, which other processes send to, monitor, link and kill as
// they do any other. It runs nothing by itself. All methods are safe for concurrent use.
type Process struct {
	node   *Node
	number uint32
	client *link         // that of the peer that had it spawned, nil for most
	done   chan struct{} // closed when it has ended
	wake   chan struct{} // a message came
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	queue    []mail
	bytes    int // of the encoded messages in queue
	trap     bool
	reason   etf.Term // why it ended; nil while it has not
	name     etf.Atom
	leader   etf.Term
	links    map[remote]uint64 // 0, or the id of the unlink that waits to be acknowledged
	monitors map[etf.Ref]monitor
	watchers map[watching]watcher
	aliases  map[uint64]struct{}
}

// remote is a process, and the connection over which it is reached (nil: it is one of this node).
type remote struct {
	via *link
	pid etf.Pid
}

// monitor is one that a process has of another.
type monitor struct {
	via    *link
	target etf.Term // Pid, or Atom
}

// watching is a monitor that another process has of one: its reference means nothing on another connection.
type watching struct {
	via *link
	ref etf.Ref
}

// watcher is who has it.
type watcher struct {
	pid etf.Pid
	as  etf.Term // what it monitors: Pid, or Atom
}

// mail is a message in the mailbox: raw, as it came, or one of the node's own (Down, Exit).
type mail struct {
	via *link
	raw []byte
	msg any
}

// Down is what Receive returns when a monitored process has ended, or cannot be reached (noconnection, noproc).
type Down struct {
	Ref    etf.Ref
	From   etf.Term // Pid, or {Name, Node}
	Reason etf.Term
}

// Exit is what Receive returns when a process that traps exits gets an exit signal.
type Exit struct {
	From   etf.Pid
	Reason etf.Term
}

// ExitError says that a process has ended, and why. Functions that run as processes return it to choose the reason.
type ExitError struct{ Reason etf.Term }

func (e *ExitError) Error() string { return "the process has ended: " + etf.Format(e.Reason) }

const (
	normal       = etf.Atom("normal")
	shutdown     = etf.Atom("shutdown")
	noproc       = etf.Atom("noproc")
	noconnection = etf.Atom("noconnection")
)

// exitReason is the reason of a process whose function returned err.
func exitReason(err error) etf.Term {
	var exit *ExitError
	switch {
	case err == nil:
		return normal
	case errors.As(err, &exit):
		return exit.Reason
	}
	return []byte(err.Error())
}

// NewProcess makes a process. It lives until Exit, an exit signal, or the node's Close.
func (n *Node) NewProcess() (*Process, error) {
	p := &Process{
		node: n, done: make(chan struct{}), wake: make(chan struct{}, 1), cancel: func(error) {},
		links: map[remote]uint64{}, monitors: map[etf.Ref]monitor{}, watchers: map[watching]watcher{}, aliases: map[uint64]struct{}{},
	}
	if err := n.procs.add(p); err != nil {
		return nil, err
	}
	return p, nil
}

// Spawn runs fn as a process of its own, in a goroutine. The process ends when fn returns: normally with nil, with the
// reason of an *ExitError, and with the text of any other error. When the process is ended otherwise ctx is cancelled;
// fn must then return, for the node's Close waits for it.
func (n *Node) Spawn(fn func(ctx context.Context, p *Process) error) (*Process, error) {
	p, err := n.NewProcess()
	if err != nil {
		return nil, err
	}
	if err := p.run(func(ctx context.Context) etf.Term { return exitReason(fn(ctx, p)) }); err != nil {
		return nil, err
	}
	return p, nil
}

// run runs fn in the process's goroutine; its result is the exit reason. A process that a peer had spawned then gives
// its place back.
func (p *Process) run(fn func(ctx context.Context) etf.Term) error {
	ctx, cancel := context.WithCancelCause(p.node.ctx)
	p.mu.Lock()
	p.cancel = cancel
	if p.reason != nil { // ended before it ran
		cancel(&ExitError{p.reason})
	}
	p.mu.Unlock()
	err := p.node.own(func() {
		defer cancel(nil)
		p.finish(fn(ctx), p.tell)
		p.free()
	})
	if err != nil {
		cancel(err)
		p.end(shutdown)
		p.free()
	}
	return err
}

func (p *Process) free() {
	if p.client != nil {
		p.client.unreserve()
	}
}

// tell is Node.emit for the process's own goroutine. What the peer that had it spawned is told, the result of its call,
// may be large: it takes the goroutine's time, and so that peer's places, until the peer has read it.
func (p *Process) tell(via *link, ctl dist.Control, payload []byte) {
	if via == nil || via != p.client {
		p.node.emit(via, ctl, payload)
		return
	}
	if via.out.settle(via.ctx, via.conn.Done()) == nil {
		ctl, payload = via.form(ctl, payload)
		_ = via.send(via.ctx, &ctl, payload) // fails only when the connection is over
	}
}

// Self returns the pid that the process has within this node. With a Config.Name it is the pid everywhere. A node
// without a name is named by each of its peers: then what goes into messages is Pid.
func (p *Process) Self() etf.Pid { return p.pid(nil) }

// Pid returns the pid that the process has for the node with the given name, connecting first if need be. It holds as
// long as that connection.
func (p *Process) Pid(ctx context.Context, name string) (etf.Pid, error) {
	if p.node.cfg.Name != "" {
		return p.Self(), nil
	}
	via, err := p.node.route(ctx, etf.Atom(name))
	if err != nil {
		return etf.Pid{}, &OpError{"connect", name, err}
	}
	return p.pid(via), nil
}

func (p *Process) pid(via *link) etf.Pid { return pidOf(p.node.identity(via), p.number) }

// Done is closed when the process has ended; Err says why.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns an *ExitError once the process has ended, nil before.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return &ExitError{p.reason}
	default:
		return nil
	}
}

// TrapExit says whether exit signals become messages (Exit) or end the process, as they do at first. The untrappable
// kill always does.
func (p *Process) TrapExit(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = on
}

// GroupLeader returns the process that this one's output should go to: that of whoever spawned it, nil if nobody has
// set one.
func (p *Process) GroupLeader() etf.Term {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader
}

// Receive waits for the next message: a Down, an Exit, or an Erlang term. Messages of one sender come in the order in
// which they were sent. After the end of the process the error is an *ExitError.
func (p *Process) Receive(ctx context.Context) (any, error) {
	for {
		p.mu.Lock()
		m, ok := p.pop()
		p.mu.Unlock()
		switch {
		case ok && m.msg != nil:
			return m.msg, nil
		case ok:
			t, _, err := etf.Decode(m.raw)
			if err == nil {
				return t, nil
			}
			// What cannot be read costs its sender the connection, as in OTP.
			if via := m.via; via != nil {
				_ = p.node.own(via.close)
			}
			continue
		}
		select {
		case <-p.done:
			return nil, p.Err()
		case <-p.wake:
		case <-ctx.Done():
			return nil, timeout(ctx, "a message")
		}
	}
}

func (p *Process) pop() (mail, bool) {
	if len(p.queue) == 0 {
		return mail{}, false
	}
	m := p.queue[0]
	p.queue[0] = mail{}
	p.queue = p.queue[1:]
	p.bytes -= len(m.raw)
	if len(p.queue) > 0 {
		p.awake() // another receiver may be waiting
	}
	return m, true
}

func (p *Process) awake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// deliver puts a message into the mailbox; when that is full the process ends. It never waits.
func (p *Process) deliver(m mail) {
	p.mu.Lock()
	if p.reason != nil {
		p.mu.Unlock()
		return
	}
	if full := len(p.queue) > 0 && (len(p.queue) >= MaxMailbox || p.bytes+len(m.raw) > MaxMailboxBytes); full {
		p.mu.Unlock()
		p.end(overflow)
		return
	}
	p.queue = append(p.queue, m)
	p.bytes += len(m.raw)
	p.awake()
	p.mu.Unlock()
}

// Exit ends the process: those that are linked to it or monitor it get the reason.
func (p *Process) Exit(reason etf.Term) { p.end(reason) }

func (p *Process) end(reason etf.Term) { p.finish(reason, p.node.emit) }

// finish ends the process, once, and has all who are concerned told.
func (p *Process) finish(reason etf.Term, tell func(via *link, ctl dist.Control, payload []byte)) {
	if reason == nil {
		reason = normal
	}
	raw, err := etf.Append(nil, reason)
	if err != nil {
		reason = []byte(err.Error())
		raw, _ = etf.Append(nil, reason)
	}
	p.mu.Lock()
	if p.reason != nil {
		p.mu.Unlock()
		return
	}
	p.reason = reason
	links, monitors, watchers, aliases := p.links, p.monitors, p.watchers, p.aliases
	p.links, p.monitors, p.watchers, p.aliases, p.queue = nil, nil, nil, nil, nil
	cancel := p.cancel
	close(p.done)
	p.mu.Unlock()
	p.node.procs.remove(p, aliases)
	cancel(&ExitError{reason})
	for ref, m := range monitors {
		tell(m.via, dist.Control{Op: dist.OpDemonitor, From: p.pid(m.via), To: m.target, Ref: ref}, nil)
	}
	for r, unlinking := range links {
		if unlinking == 0 {
			tell(r.via, dist.Control{Op: dist.OpPayloadExit, From: p.pid(r.via), To: r.pid}, raw)
		}
	}
	for m, w := range watchers {
		tell(m.via, dist.Control{Op: dist.OpPayloadMonitorExit, From: w.as, To: w.pid, Ref: m.ref}, raw)
	}
}

// Register gives the process a name under which others reach it, {name, node}. It has one at most. ErrNameTaken:
// another process of the node has it, or the node itself (net_kernel and the like).
func (n *Node) Register(name etf.Atom, p *Process) error {
	if _, ours := services[name]; ours {
		return fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return n.procs.register(name, p)
}

// Unregister takes a name back.
func (n *Node) Unregister(name etf.Atom) { n.procs.unregister(name) }

// Whereis returns the process that is registered under the name, nil if there is none.
func (n *Node) Whereis(name etf.Atom) *Process { return n.procs.named(name) }
