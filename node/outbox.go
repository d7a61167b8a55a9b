package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/beamctl/beamctl/dist"
)

const (
	// maxOwed bounds the bytes of answers (to links, monitors, pings and the like) that wait for one peer, each counted
	// with its share of the queue. Beyond it we stop reading from that peer, which real nodes never need: thousands of
	// requests fit.
	maxOwed = 4 << 20
	// answerTime is how long a peer that goes on asking may take to read answers, before it loses the connection.
	answerTime = 5 * time.Second
	// outgoingSize is about what a message takes besides its payload.
	outgoingSize = 256
)

// outbox is what one connection has yet to send for nobody in particular: answers, which the reader decides on and
// must not wait for, and the last signals of processes that have ended (but see Process.tell). It keeps their order.
type outbox struct {
	mu     sync.Mutex
	queue  []outgoing
	owed   atomic.Int64  // bytes of answers that are not yet sent
	queued uint64        // ever
	sent   uint64        // ever; the rest is in the queue, or on its way
	moved  chan struct{} // closed when something is sent; nil while nobody waits for that
	wake   chan struct{}
}

type outgoing struct {
	ctl     dist.Control
	payload []byte
	owed    int64 // what it counts for room
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1)}
}

// put queues a message, at once. Answers are counted, for room; what is none is bounded by what it is the end of: a
// link, a monitor, a call.
func (o *outbox) put(m outgoing, answer bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if answer {
		m.owed = outgoingSize + int64(len(m.payload))
		o.owed.Add(m.owed)
	}
	o.queue = append(o.queue, m)
	o.queued++
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns all that waits.
func (o *outbox) take() []outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	o.queue = nil
	return q
}

// room waits, before the next request is read, until the answers to the last ones are few enough; false if that takes
// too long.
func (o *outbox) room(over <-chan struct{}) bool {
	if o.owed.Load() < maxOwed {
		return true
	}
	late := time.After(answerTime)
	for {
		o.mu.Lock()
		moved := o.move()
		o.mu.Unlock()
		if o.owed.Load() < maxOwed {
			return true
		}
		select {
		case <-moved:
		case <-over:
			return true // reading will say why
		case <-late:
			return false
		}
	}
}

// done counts a message that was sent, and wakes all who wait for that.
func (o *outbox) done(m *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent++
	o.owed.Add(-m.owed)
	if o.moved != nil {
		close(o.moved)
		o.moved = nil
	}
}

// move is closed when the next message has been sent. o.mu is held.
func (o *outbox) move() <-chan struct{} {
	if o.moved == nil {
		o.moved = make(chan struct{})
	}
	return o.moved
}

// settle waits until all that was queued before has been sent. Who sends past the queue calls it first: signals from
// one process to another keep their order, and the acknowledgement of an unlink comes before anything else.
func (o *outbox) settle(ctx context.Context, over <-chan struct{}) error {
	o.mu.Lock()
	upTo := o.queued
	for o.sent < upTo {
		moved := o.move()
		o.mu.Unlock()
		select {
		case <-moved:
		case <-over:
			return nil // sending will say why
		case <-ctx.Done():
			return timeout(ctx, "the node to read what it is sent")
		}
		o.mu.Lock()
	}
	o.mu.Unlock()
	return nil
}

// run sends what is queued until the connection is over.
func (o *outbox) run(c *dist.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-o.wake:
		case <-c.Done():
			return
		}
		batch := o.take()
		for i := range batch {
			_ = c.Send(ctx, &batch[i].ctl, batch[i].payload) // fails only when the connection is over
			o.done(&batch[i])
			batch[i] = outgoing{} // the others may take long
		}
	}
}
