package dist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/beamctl/beamctl/dist/etf"
)

// frames are built in pooled buffers; a buffer that grew beyond this is not kept.
const keepBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Send sends one control message with its payload, a term without version byte (nil for operations that have none). It
// returns when the message is with the operating system or in the bounded queue before it; a peer that does not read
// makes it wait until ctx ends. Once the first fragment of a large payload is on its way the rest follows even if ctx
// ends, before anything else that ctl.From sends.
func (c *Conn) Send(ctx context.Context, ctl *Control, payload []byte) error {
	return c.transmit(ctx, ctl, payload, inlineFirst)
}

// SendSoon is Send for one of many senders at a time: it leaves the message to the connection's own goroutine, which
// writes what all of them have left at once. That saves both sides a system call for each message, and costs a lone
// sender a goroutine switch.
func (c *Conn) SendSoon(ctx context.Context, ctl *Control, payload []byte) error {
	return c.transmit(ctx, ctl, payload, queuedOnly)
}

func (c *Conn) transmit(ctx context.Context, ctl *Control, payload []byte, how manner) error {
	if ctl.Op.HasPayload() != (payload != nil) {
		return fmt.Errorf("dist: operation %d: payload missing or superfluous", ctl.Op)
	}
	if err := c.unfinished.wait(ctx, ctl.From); err != nil {
		return err
	}
	bp, _ := buffers.Get().(*[]byte)
	defer func() {
		if cap(*bp) <= keepBuffer {
			buffers.Put(bp)
		}
	}()
	if !c.peer.Flags.Has(FlagFragments) {
		return c.sendThrough(ctx, bp, ctl, payload)
	}
	if len(payload) > fragmentSize {
		return c.sendFragments(ctx, bp, ctl, payload)
	}
	c.pacer.small.Add(1)
	b := append((*bp)[:0], 0, 0, 0, 0, version, tagHeader, headerNoAtoms)
	b, err := AppendControl(b, ctl)
	if err != nil {
		return err
	}
	b = append(b, payload...)
	*bp = b
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameLen)) //nolint:gosec // below fragmentSize and some
	return c.write(ctx, b, nil, how)
}

// write is the writer's send; a write that fails is the end of the connection, known before its error is returned.
func (c *Conn) write(ctx context.Context, head, body []byte, how manner) error {
	err := c.w.send(ctx, head, body, how)
	if err != nil && ctx.Err() == nil {
		c.end(err)
	}
	return err
}

// sendThrough sends a message in the form that nodes without fragments (C nodes) read: one frame, however large.
func (c *Conn) sendThrough(ctx context.Context, bp *[]byte, ctl *Control, payload []byte) error {
	b := append((*bp)[:0], 0, 0, 0, 0, tagPassThrough, version)
	b, err := AppendControl(b, ctl)
	if err != nil {
		return err
	}
	if payload != nil {
		b = append(append(b, version), payload...)
	}
	*bp = b
	if len(b)-frameLen > MaxFrame {
		return fmt.Errorf("dist: a message of %d bytes for a node that takes no fragments (the limit is %d)", len(payload), MaxFrame)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-frameLen)) //nolint:gosec // bounded above
	return c.write(ctx, b, nil, inlineFirst)
}

func (c *Conn) sendFragments(ctx context.Context, bp *[]byte, ctl *Control, payload []byte) error {
	control, err := AppendControl([]byte{headerNoAtoms}, ctl)
	if err != nil {
		return err
	}
	left := uint64((len(payload) + fragmentSize - 1) / fragmentSize) //nolint:gosec // not negative
	m := fragments{seq: c.seq.Add(1), left: left, tag: tagFirstFrag, head: control, rest: payload, paced: left > maxAhead && c.answersProbes()}
	for m.left > 0 {
		if err := c.sendFragment(ctx, bp, &m); err != nil {
			if m.tag == tagNextFrag && ctx.Err() != nil {
				c.finishFragments(context.WithoutCancel(ctx), ctl.From, m)
			}
			return err
		}
	}
	return nil
}

// fragments are what is left of a message.
type fragments struct {
	seq   uint64
	left  uint64 // how many; they are numbered downwards
	tag   byte
	head  []byte // stands before the first one
	rest  []byte
	paced bool // see pacer
}

// sendFragment sends the next fragment, built in the pooled buffer.
func (c *Conn) sendFragment(ctx context.Context, bp *[]byte, m *fragments) error {
	b := (*bp)[:0]
	if m.paced {
		number, ask, err := c.pacer.pace(ctx, c)
		if err == nil && ask {
			b, err = c.appendProbe(b, number)
		}
		if err != nil {
			return err
		}
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0, version, m.tag)
	b = binary.BigEndian.AppendUint64(b, m.seq)
	b = binary.BigEndian.AppendUint64(b, m.left)
	b = append(b, m.head...)
	*bp = b
	part := m.rest[:min(fragmentSize, len(m.rest))]
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start+len(part)-frameLen)) //nolint:gosec // fragmentSize and some
	if err := c.write(ctx, b, part, givingWay); err != nil {
		return err
	}
	m.tag, m.head, m.rest = tagNextFrag, nil, m.rest[len(part):]
	m.left--
	return nil
}

// finishFragments sends the rest of a message whose sender has stopped waiting: the peer would keep the unfinished
// sequence until the connection ends. The goroutine belongs to the connection and ends with it.
func (c *Conn) finishFragments(ctx context.Context, from etf.Term, m fragments) {
	m.rest = append([]byte(nil), m.rest...)
	finished := c.unfinished.add(from)
	if !c.goLoop(func() {
		defer finished()
		var b []byte
		for m.left > 0 && c.sendFragment(ctx, &b, &m) == nil { // fails only when the connection is over
		}
	}) {
		finished()
	}
}

// unfinished are the messages that go on without their senders.
type unfinished struct {
	count atomic.Int32
	mu    sync.Mutex
	of    map[etf.Pid]chan struct{} // sender → closed when the last of its messages is finished
}

// add adds a message, until finished is called.
func (u *unfinished) add(sender etf.Term) (finished func()) {
	from, _ := sender.(etf.Pid)
	u.count.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[etf.Pid]chan struct{}{}
	}
	before, done := u.of[from], make(chan struct{})
	u.of[from] = done
	return func() {
		if before != nil { // of a sender that sent two at a time
			<-before
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.of[from] == done {
			delete(u.of, from)
		}
		close(done)
		u.count.Add(-1)
	}
}

// wait waits until the sender has no such message, or ctx ends.
func (u *unfinished) wait(ctx context.Context, sender etf.Term) error {
	if u.count.Load() == 0 {
		return nil
	}
	from, _ := sender.(etf.Pid)
	u.mu.Lock()
	done := u.of[from]
	u.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
