package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// maxAnswers bounds what a peer can make us owe it at once (answers to its links, monitors and pings). A node that
// sends more before reading its answers is not one we want to serve, and loses the connection.
const maxAnswers = 1024

// link is one connection with its pending calls. It is the connection's Receiver.
type link struct {
	name    string
	conn    *dist.Conn
	ready   chan struct{} // closed once conn is set
	answers chan answer
	loop    sync.WaitGroup

	mu    sync.Mutex
	next  uint32
	calls map[uint32]*pending
	down  error
}

type answer struct {
	ctl     dist.Control
	payload []byte
}

func newLink(name string) *link {
	return &link{name: name, ready: make(chan struct{}), answers: make(chan answer, maxAnswers), calls: map[uint32]*pending{}}
}

// up starts the link over an established connection.
func (l *link) up(c *dist.Conn) {
	l.conn = c
	l.loop.Go(l.answerLoop)
	close(l.ready)
}

func (l *link) close() {
	_ = l.conn.Close()
	l.loop.Wait()
}

// answerLoop sends what the reader decided to answer, so that a peer which does not read cannot stop our reading.
func (l *link) answerLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case a := <-l.answers:
			if l.conn.Send(ctx, &a.ctl, a.payload) != nil {
				return // only when the connection is over
			}
		case <-l.conn.Done():
			return
		}
	}
}

var errAnswers = fmt.Errorf("%w: it does not read the answers to its requests", dist.ErrProtocol)

func (l *link) answer(ctl dist.Control, payload etf.Term) error {
	var b []byte
	if ctl.Op.HasPayload() {
		var err error
		if b, err = etf.Append(nil, payload); err != nil {
			return err
		}
	}
	select {
	case l.answers <- answer{ctl, b}:
		return nil
	default:
		return errAnswers
	}
}

// Our processes as the peer sees them: number 0 is the node itself, number n the call n.

// maxProcess bounds process numbers: what every OTP takes, 15 bits of id and 13 of serial.
const maxProcess = 1<<28 - 1

func (l *link) pid(n uint32) etf.Pid {
	id := l.conn.Local()
	return etf.Pid{Node: etf.Atom(id.Name), ID: n & 0x7fff, Serial: n >> 15, Creation: id.Creation}
}

func pidNumber(p etf.Pid) uint32 { return p.Serial<<15 | p.ID&0x7fff }

// ref makes the reference of call n. The first word has 18 bits (erl_ext_dist, NEWER_REFERENCE_EXT).
func (l *link) ref(n uint32) etf.Ref {
	id := l.conn.Local()
	return etf.Ref{Node: etf.Atom(id.Name), Creation: id.Creation, Len: 3, ID: [etf.MaxRefWords]uint32{n & 0x3ffff, n >> 18, 0}}
}

func refNumber(r etf.Ref) uint32 { return r.ID[1]<<18 | r.ID[0]&0x3ffff }

// register gives a new call its number.
func (l *link) register(p *pending) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return 0, l.down
	}
	for {
		l.next = l.next%maxProcess + 1
		if l.calls[l.next] == nil {
			l.calls[l.next] = p
			return l.next, nil
		}
	}
}

func (l *link) forget(n uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, n)
}

func (l *link) lookup(n uint32) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[n]
}

// alive tells whether a process of ours that a peer monitors exists: net_kernel, and the group leaders of calls (io:format
// monitors them). Their ends are not announced: they come with an answer to whatever was asked of them.
func (l *link) alive(to etf.Term) bool {
	switch to := to.(type) {
	case etf.Atom:
		return to == "net_kernel"
	case etf.Pid:
		return l.lookup(pidNumber(to)) != nil
	}
	return false
}

// Closed ends all pending calls.
func (l *link) Closed(_ *dist.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = fmt.Errorf("%w: %w", ErrNodeDown, err)
	for _, p := range l.calls {
		p.deliver(reply{err: l.down})
	}
}

// Receive handles one message of the peer.
func (l *link) Receive(_ *dist.Conn, ctl *dist.Control, payload []byte) error {
	<-l.ready
	switch ctl.Op { //nolint:exhaustive // what a node without processes has no use for is ignored, as Erlang does
	case dist.OpSpawnReply:
		return l.spawned(ctl)
	case dist.OpPayloadMonitorExit:
		if p := l.lookup(refNumber(ctl.Ref)); p != nil {
			p.deliver(reply{raw: append([]byte(nil), payload...)})
		}
	case dist.OpMonitorExit: // peers without EXIT_PAYLOAD
		if p := l.lookup(refNumber(ctl.Ref)); p != nil {
			raw, err := etf.Append(nil, ctl.Reason)
			p.deliver(reply{raw: raw, err: err})
		}
	case dist.OpSend, dist.OpSendSender:
		if to, ok := ctl.To.(etf.Pid); ok {
			return l.message(to, payload)
		}
	case dist.OpRegSend:
		if ctl.To == etf.Atom("net_kernel") {
			return l.netKernel(payload)
		}
	case dist.OpMonitor:
		if l.alive(ctl.To) {
			return nil
		}
		return l.answer(dist.Control{Op: dist.OpPayloadMonitorExit, From: ctl.To, To: ctl.From, Ref: ctl.Ref}, etf.Atom("noproc"))
	case dist.OpLink:
		return l.answer(dist.Control{Op: dist.OpPayloadExit, From: ctl.To, To: ctl.From}, etf.Atom("noproc"))
	case dist.OpUnlinkID:
		return l.answer(dist.Control{Op: dist.OpUnlinkIDAck, ID: ctl.ID, From: ctl.To, To: ctl.From}, nil)
	}
	return nil
}

// spawned takes the answer to a spawn request: the process that runs the call, or why there is none.
func (l *link) spawned(ctl *dist.Control) error {
	pid, ok := ctl.Result.(etf.Pid)
	l.mu.Lock()
	p := l.calls[refNumber(ctl.Ref)]
	if p != nil && ok {
		p.pid = pid
	}
	l.mu.Unlock()
	switch {
	case ok && p == nil: // its caller has gone
		return l.answer(l.killer(pid), killed)
	case !ok && p != nil:
		p.deliver(reply{err: fmt.Errorf("%w: spawn: %s", errors.ErrUnsupported, etf.Format(ctl.Result))})
	}
	return nil
}

const killed = etf.Atom("kill")

func (l *link) killer(pid etf.Pid) dist.Control {
	return dist.Control{Op: dist.OpPayloadExit2, From: l.pid(0), To: pid}
}

// message takes a message to one of our pids: the reply of a gen call, or an I/O request of a call's process.
func (l *link) message(to etf.Pid, payload []byte) error {
	t, _, err := etf.Decode(payload)
	if err != nil {
		return fmt.Errorf("%w: message: %w", dist.ErrProtocol, err)
	}
	msg, ok := t.(etf.Tuple)
	if !ok || len(msg) == 0 {
		return nil
	}
	if ref, ok := msg[0].(etf.Ref); ok && len(msg) == 2 {
		if p := l.lookup(refNumber(ref)); p != nil {
			p.deliver(reply{term: msg[1]})
		}
		return nil
	}
	req, ok := parseIORequest(msg)
	if !ok {
		return nil
	}
	if l.offerIO(to, req) {
		return nil
	}
	return l.answerIO(req, ioTerminated)
}

// netKernel answers a ping: {'$gen_call', {Pid, Tag}, {is_auth, Node}} → {Tag, yes}.
func (l *link) netKernel(payload []byte) error {
	t, _, err := etf.Decode(payload)
	if err != nil {
		return fmt.Errorf("%w: message: %w", dist.ErrProtocol, err)
	}
	msg, ok := t.(etf.Tuple)
	if !ok || len(msg) != 3 || msg[0] != etf.Atom("$gen_call") {
		return nil
	}
	from, ok := msg[1].(etf.Tuple)
	req, ok2 := msg[2].(etf.Tuple)
	if !ok || !ok2 || len(from) != 2 || len(req) != 2 || req[0] != etf.Atom("is_auth") {
		return nil
	}
	pid, ok := from[0].(etf.Pid)
	if !ok {
		return nil
	}
	return l.answer(dist.Control{Op: dist.OpSend, To: pid}, etf.Tuple{from[1], etf.Atom("yes")})
}
