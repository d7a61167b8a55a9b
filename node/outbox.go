package node

import (
	"context"
	"sync"

	"github.com/beamctl/beamctl/dist"
)

// maxAnswers bounds what a peer can make us owe it at once (answers to its links, monitors and pings). A node that
// sends more before reading its answers is not one we want to serve, and loses the connection.
const maxAnswers = 1024

// outbox is what one connection has yet to send for nobody in particular: answers, which the reader decides on and
// must not wait for, and the last signals of processes that have ended. It keeps their order.
type outbox struct {
	mu     sync.Mutex
	queue  []outgoing
	owed   int           // how many of the queue are answers
	queued uint64        // ever
	sent   uint64        // ever; the rest is in the queue, or on its way
	moved  chan struct{} // closed when sent grows, and replaced
	wake   chan struct{}
}

type outgoing struct {
	ctl     dist.Control
	payload []byte
}

func newOutbox() *outbox {
	return &outbox{moved: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// put queues a message. An answer is refused when too many wait; what is none is bounded by what it is the end of: one
// link, or one monitor.
func (o *outbox) put(m outgoing, answer bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if answer {
		if o.owed >= maxAnswers {
			return false
		}
		o.owed++
	}
	o.queue = append(o.queue, m)
	o.queued++
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns all that waits.
func (o *outbox) take() []outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue
	o.queue, o.owed = nil, 0
	return q
}

func (o *outbox) done(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent += uint64(n) //nolint:gosec // not negative
	close(o.moved)
	o.moved = make(chan struct{})
}

// settle waits until all that was queued before has been sent. Who sends past the queue calls it first: signals from one process
// to another keep their order, and the acknowledgement of an unlink comes before anything else.
func (o *outbox) settle(ctx context.Context, over <-chan struct{}) error {
	o.mu.Lock()
	upTo := o.queued
	for o.sent < upTo {
		moved := o.moved
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
		}
		o.done(len(batch))
	}
}
