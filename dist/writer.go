package dist

import (
	"context"
	"net"
	"runtime"
	"sync"
	"time"
)

// maxQueued is how much may wait for a full socket before senders wait too.
const maxQueued = 256 << 10

// manner is how a frame is to be sent.
type manner uint8

const (
	inlineFirst manner = iota // queued only where the socket does not take it at once
	queuedOnly                // left to the flush loop
	// givingWay is for fragments of large messages: there is one of them at a time in the queue, which keeps the socket
	// busy while another is being written. The rest of the queue is for small messages, which so have no more than two
	// fragments before them, however many large messages are under way.
	givingWay
)

// writer sends frames. A sender writes inline, without waiting, as long as the socket takes all of it; what does not fit
// is queued for the flush loop, and when the queue is full senders wait, each until its own deadline. So a stopped
// peer costs only those who talk to it, and nobody a goroutine switch while all is well.
type writer struct {
	nc     net.Conn
	inline *socket // nil where that is not possible (TLS, pipes): then all is queued

	mu       sync.Mutex
	pending  []byte // queued behind what the flush loop is writing
	flushing bool   // the flush loop owns the socket
	err      error
	sent     uint64        // frames
	ticked   uint64        // of them, when our ticker last asked
	answered uint64        // of them, at the peer's last tick
	room     chan struct{} // closed when the queue has room again
	wake     chan struct{}
	spare    []byte
}

func newWriter(nc net.Conn, sock *socket) *writer {
	return &writer{nc: nc, inline: sock, room: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// send writes one frame, head (with the length) and body, or queues it, or waits for room until ctx ends. A frame is
// sent whole or not at all.
func (w *writer) send(ctx context.Context, head, body []byte, how manner) error {
	limit := maxQueued
	if how == givingWay {
		limit = fragmentSize
	}
	for {
		w.mu.Lock()
		if w.err != nil {
			err := w.err
			w.mu.Unlock()
			return err
		}
		if how != queuedOnly && !w.flushing && w.inline != nil {
			n, err := w.inline.write(head, body)
			if err == nil && n == len(head)+len(body) {
				w.sent++
				w.mu.Unlock()
				return nil
			}
			if err != nil {
				w.failLocked(err)
				w.mu.Unlock()
				return err
			}
			w.queueLocked(head[min(n, len(head)):], body[max(n-len(head), 0):])
			w.mu.Unlock()
			return nil
		}
		if len(w.pending) < limit {
			w.queueLocked(head, body)
			w.mu.Unlock()
			return nil
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *writer) queueLocked(head, body []byte) {
	w.pending = append(append(w.pending, head...), body...)
	w.sent++
	w.flushing = true
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// tick sends a tick, a frame of length 0, if nothing else was sent since the last call.
func (w *writer) tick() {
	if w.quietSince(&w.ticked) {
		w.sendTick()
		w.quietSince(&w.ticked) // a tick is not a reason to skip the next one
	}
}

// answerTick sends a tick if nothing, an answer included, was sent since the peer's tick before this one: every second
// one of a row is answered, and two of us do not answer each other's answers.
func (w *writer) answerTick() {
	if w.quietSince(&w.answered) {
		w.sendTick()
	}
}

// quietSince tells whether nothing was sent since the mark, one of w's, was moved, and moves it to now.
func (w *writer) quietSince(mark *uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	quiet := *mark == w.sent
	*mark = w.sent
	return quiet
}

// sendTick never waits: what is still in the queue is proof enough of life.
func (w *writer) sendTick() {
	w.mu.Lock()
	busy := w.flushing || w.err != nil
	w.mu.Unlock()
	if !busy {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.send(ctx, []byte{0, 0, 0, 0}, nil, inlineFirst)
	}
}

// flush writes what was queued, until done or until that fails.
func (w *writer) flush(done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-w.wake:
		}
		runtime.Gosched() // senders that are ready to run add theirs first
		for more := true; more; {
			var err error
			if more, err = w.flushOnce(); err != nil {
				return err
			}
		}
	}
}

func (w *writer) flushOnce() (more bool, err error) {
	w.mu.Lock()
	if len(w.pending) == 0 || w.err != nil {
		w.flushing = false
		w.mu.Unlock()
		return false, nil
	}
	b := w.pending
	w.pending, w.spare = w.spare[:0], nil
	close(w.room)
	w.room = make(chan struct{})
	w.mu.Unlock()

	_, err = w.nc.Write(b)

	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(b) <= 2*maxQueued {
		w.spare = b[:0]
	}
	if err != nil {
		w.failLocked(err)
		return false, err
	}
	return true, nil
}

func (w *writer) failLocked(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	w.flushing = false
	close(w.room) // senders that wait see err; nobody waits on it again
}

func (w *writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(err)
}

// drain waits until all that was queued is written, the writer has failed, or the time is over.
func (w *writer) drain(most time.Duration) {
	end := time.Now().Add(most)
	for {
		w.mu.Lock()
		busy, room := w.flushing && w.err == nil, w.room
		w.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-room:
		case <-time.After(min(time.Until(end), 5*time.Millisecond)):
		}
		if !time.Now().Before(end) {
			return
		}
	}
}
