package node

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// link is one connection with its pending calls. It is the connection's Receiver.
type link struct {
	node  *Node
	peer  *peer
	conn  *dist.Conn
	ready chan struct{} // closed once the link is the peer's
	out   *outbox

	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	calls    map[uint32]*pending
	answered int  // calls that were, up to rexAfter
	rexLate  bool // rex has not answered in time
	polls    int  // lone calls since the last that waited as others do; negative: so many more do
	spawned  int  // processes that run for the peer
	down     error
}

func newLink(n *Node) *link {
	return &link{node: n, ready: make(chan struct{}), out: newOutbox(), calls: map[uint32]*pending{}}
}

// close delivers what is queued, ends the connection, and waits until its goroutines are gone and Closed has run.
func (l *link) close() {
	ctx, cancel := context.WithTimeout(context.Background(), dist.CloseFlush)
	defer cancel()
	_ = l.out.settle(ctx, l.conn.Done())
	_ = l.conn.Close()
}

// run belongs to the node: it ends when the connection and all its goroutines have.
func (l *link) run() {
	l.out.run(l.conn)
	_ = l.conn.Close()
}

var errAnswers = fmt.Errorf("%w: it does not read the answers to its requests", dist.ErrProtocol)

// answer queues what the peer is owed for a request. It does not wait.
func (l *link) answer(ctl dist.Control, payload etf.Term) error {
	var b []byte
	if ctl.Op.HasPayload() {
		var err error
		if b, err = etf.Append(nil, payload); err != nil {
			return err
		}
	}
	ctl, b = l.form(ctl, b)
	l.out.put(outgoing{ctl: ctl, payload: b}, true)
	return nil
}

// withReason maps the operations whose reason is a payload to those that have it in the tuple, for peers without
// EXIT_PAYLOAD.
var withReason = map[dist.Op]dist.Op{
	dist.OpPayloadExit: dist.OpExit, dist.OpPayloadExit2: dist.OpExit2, dist.OpPayloadMonitorExit: dist.OpMonitorExit,
}

// form gives an exit the form that the peer reads.
func (l *link) form(ctl dist.Control, payload []byte) (dist.Control, []byte) {
	op, exits := withReason[ctl.Op]
	if !exits || l.conn.Peer().Flags.Has(dist.FlagExitPayload) {
		return ctl, payload
	}
	ctl.Op, ctl.Reason = op, etf.Raw(payload)
	return ctl, nil
}

// Numbers of what the peer knows of us: pid 0 is the node itself, the numbers below firstProcess are calls, the others
// processes. They are the node's, not the connection's: peers hand them on to each other, and they come back after a
// reconnect. References have their kind in the third word.

const (
	// maxNumber bounds pid numbers: what every OTP takes, 15 bits of id and 13 of serial.
	maxNumber = 1<<28 - 1
	// firstProcess divides them. Neither half is near to being used up: a number is free again when its owner is gone.
	firstProcess = 1 << 27
)

const (
	refOfCall = iota
	refOfMonitor
	refOfAlias
)

func pidOf(id dist.Identity, n uint32) etf.Pid {
	return etf.Pid{Node: etf.Atom(id.Name), ID: n & 0x7fff, Serial: n >> 15, Creation: id.Creation}
}

func pidNumber(p etf.Pid) uint32 { return p.Serial<<15 | p.ID&0x7fff }

// refOf makes a reference. Its first word has 18 bits (erl_ext_dist, NEWER_REFERENCE_EXT).
func refOf(id dist.Identity, n uint64, kind uint32) etf.Ref {
	return etf.Ref{
		Node: etf.Atom(id.Name), Creation: id.Creation, Len: 3,
		ID: [etf.MaxRefWords]uint32{uint32(n & 0x3ffff), uint32(n >> 18), kind}, //nolint:gosec // 50 bits, cut on purpose
	}
}

func refNumber(r etf.Ref) uint64 { return uint64(r.ID[1])<<18 | uint64(r.ID[0]&0x3ffff) }

func (l *link) pid(n uint32) etf.Pid { return pidOf(l.conn.Local(), n) }
func (l *link) ref(n uint32) etf.Ref { return refOf(l.conn.Local(), uint64(n), refOfCall) }

// register gives a new call its number.
func (l *link) register(p *pending) (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return 0, l.down
	}
	for {
		n := uint32(l.node.called.Add(1)%(firstProcess-1)) + 1 //nolint:gosec // cut on purpose
		if l.calls[n] == nil {
			l.calls[n] = p
			return n, nil
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

// called returns the call that a reference of ours stands for.
func (l *link) called(r etf.Ref) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calledLocked(r)
}

func (l *link) calledLocked(r etf.Ref) *pending {
	if n := refNumber(r); r.ID[2] == refOfCall && n < firstProcess {
		return l.calls[uint32(n)]
	}
	return nil
}

// Closed ends all pending calls, and tells the node's processes.
func (l *link) Closed(_ *dist.Conn, err error) {
	if <-l.ready; l.peer == nil {
		return // never was the node's
	}
	l.cancel(ErrNodeDown)
	l.mu.Lock()
	l.down = fmt.Errorf("%w: %w", ErrNodeDown, err)
	for _, p := range l.calls {
		p.deliver(reply{err: l.down})
	}
	l.mu.Unlock()
	l.node.lost(l, err)
}

// Receive handles one message of the peer.
func (l *link) Receive(_ *dist.Conn, ctl *dist.Control, payload []byte) error {
	<-l.ready
	if !l.out.room(l.conn.Done()) {
		return errAnswers
	}
	switch ctl.Op { //nolint:exhaustive // the others are signals to processes
	case dist.OpSpawnReply:
		return l.spawnReply(ctl)
	case dist.OpSpawnRequest:
		return l.spawnRequest(ctl, payload)
	case dist.OpPayloadMonitorExit:
		if p := l.called(ctl.Ref); p != nil {
			p.deliver(reply{raw: keep(ctl, payload)})
			return nil
		}
	case dist.OpMonitorExit: // peers without EXIT_PAYLOAD
		if p := l.called(ctl.Ref); p != nil {
			raw, err := etf.Append(nil, ctl.Reason)
			p.deliver(reply{raw: raw, err: err})
			return nil
		}
	case dist.OpSend, dist.OpSendSender:
		if to, ok := ctl.To.(etf.Pid); ok && pidNumber(to) < firstProcess {
			return l.message(to, ctl, payload)
		}
	case dist.OpRegSend:
		if service, ok := services[ctl.To]; ok {
			return service(l, payload)
		}
	}
	return l.node.signal(l, ctl, payload)
}

// keep returns a payload that outlives the call of Receive.
func keep(ctl *dist.Control, payload []byte) []byte {
	if ctl.Owned {
		return payload
	}
	return append([]byte(nil), payload...)
}

// spawnReply takes the answer to a spawn request: the process that runs the call, or why there is none.
func (l *link) spawnReply(ctl *dist.Control) error {
	pid, ok := ctl.Result.(etf.Pid)
	l.mu.Lock() // for both: abandon, which comes after forget, either sees the pid or leaves it to us
	p := l.calledLocked(ctl.Ref)
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

// message takes a message to the pid of a call: the reply of a gen call, or an I/O request of the call's process.
func (l *link) message(to etf.Pid, ctl *dist.Control, payload []byte) error {
	if ref, result, ok := genReply(payload); ok {
		if p := l.called(ref); p != nil {
			p.deliver(reply{raw: keep(ctl, result)})
		}
		return nil
	}
	msg, err := tuple(payload)
	if err != nil || len(msg) == 0 {
		return err
	}
	req, ok := parseIORequest(msg)
	if !ok || l.offerIO(to, req) {
		return nil
	}
	return l.answerIO(req, ioTerminated)
}

// genReply takes {Ref, Result} apart, without decoding the result, which may be large: its caller does that.
func genReply(payload []byte) (ref etf.Ref, result []byte, ok bool) {
	const smallTuple, pair = 104, 2
	if len(payload) < 2 || payload[0] != smallTuple || payload[1] != pair {
		return ref, nil, false
	}
	t, result, err := etf.Decode(payload[2:])
	ref, ok = t.(etf.Ref)
	return ref, result, err == nil && ok
}

// tuple decodes a message; nil if it is no tuple.
func tuple(payload []byte) (etf.Tuple, error) {
	t, _, err := etf.Decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: message: %w", dist.ErrProtocol, err)
	}
	msg, _ := t.(etf.Tuple)
	return msg, nil
}
