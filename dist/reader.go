package dist

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// pollTime is how long Poll reads: what a lone call to a node nearby takes, also when that node's core was asleep. Who
// is slower is so because of others who need the core that Poll keeps busy.
const pollTime = 100 * time.Microsecond

// reader is what comes on a connection, on its way to the Receiver. Two may read: the connection's own goroutine, and
// who waits in Poll.
type reader struct {
	reads atomic.Uint64 // that brought something

	mu     sync.Mutex // held from a read until all that it brought is handed on: so it stays in order
	stream stream
	ctl    Control
}

// readLoop keeps c.in.mu in the end: after Closed nobody hands anything on.
func (c *Conn) readLoop() {
	c.end(c.read())
	c.recv.Closed(c, c.err)
}

// read reads and hands on until that fails; then c.in.mu is held.
func (c *Conn) read() error {
	for {
		n, err := c.await()
		if err == nil {
			err = c.handOn(n)
		}
		if err != nil {
			return c.in.stream.ended(err)
		}
		c.in.mu.Unlock()
	}
}

// await waits until something comes and reads it. When it returns c.in.mu is held.
func (c *Conn) await() (n int, err error) {
	if c.sock != nil {
		return c.sock.await(&c.in.mu, c.in.stream.room)
	}
	n, err = c.nc.Read(c.in.stream.room()) // nobody else reads
	c.in.mu.Lock()
	if n > 0 {
		err = nil // comes again
	}
	return n, err
}

// Poll is for a lone caller who has sent a request that is answered at once: it reads what comes, and hands it to the
// Receiver, in the caller's own goroutine, until done, or for a fraction of a millisecond, and tells whether done. That
// saves the reply two goroutine switches, and where cores fall asleep the time to wake one, for which it keeps a core
// busy, with whatever else is to run on it. It returns false at once where somebody reads already, or where there is no
// way to do that (TLS, systems other than Linux). done is called before Poll waits, and after each read; Receiver must
// not wait.
func (c *Conn) Poll(done func() bool) bool {
	if c.sock == nil || !c.in.mu.TryLock() {
		return false
	}
	defer c.in.mu.Unlock()
	for end := time.Now().Add(pollTime); !done(); {
		if !time.Now().Before(end) || !yield() {
			return false
		}
		runtime.Gosched()
		n, err := c.sock.read(c.in.stream.room())
		if n > 0 && err == nil {
			err = c.handOn(n)
		}
		if err != nil {
			c.end(c.in.stream.ended(err))
			return false
		}
	}
	return true
}

// handOn hands on what is complete with the n bytes that were read.
func (c *Conn) handOn(n int) error {
	in := &c.in
	in.reads.Add(1)
	in.stream.add(n)
	for {
		msg, owned, ok, err := in.stream.next()
		if err != nil || !ok {
			return err
		}
		if msg == nil {
			c.w.answerTick()
			continue
		}
		payload, err := ParseControl(msg, &in.ctl)
		if err != nil {
			return err
		}
		if number, ok := c.probed(&in.ctl); ok {
			c.pacer.answered(number)
			continue
		}
		in.ctl.Owned = owned
		if err := c.recv.Receive(c, &in.ctl, payload); err != nil {
			return err
		}
	}
}
