package dist

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A peer reads large messages more slowly than its system takes them in: megabytes wait there, and behind them each
// small message sent after them. So while there are small ones only a few fragments are sent ahead of what the peer is
// known to have read.

const (
	// maxAhead is how many fragments may be unread on the shortest of ways: what keeps a peer on the same machine busy.
	maxAhead = 4
	// fragmentTime is how long a fragment takes at a gigabyte a second, which few peers read: over a longer way more of
	// them are under way.
	fragmentTime = 64 * time.Microsecond
	// crowdedFor is for how many fragments after a small message others are expected: a tenth of a second, or some.
	crowdedFor = 1024
	// probeTime is how long we wait for a peer that does not say what it has read.
	probeTime = time.Second
)

// pacer knows how many fragments the peer has read.
type pacer struct {
	small atomic.Uint64 // messages sent that have no fragments

	mu     sync.Mutex
	seen   uint64        // of them
	until  uint64        // up to which fragment it is crowded
	sent   uint64        // fragments
	read   uint64        // of them, at least
	moved  chan struct{} // closed by the next answer; nil while nobody waits for it
	silent bool          // the peer does not answer
	timed  uint64        // which probe's answer is timed, 0 for none
	since  time.Time
	least  time.Duration // that an answer took
}

// pace waits, before a fragment is sent, for the peer to have read most of those before it. ask says that a probe with
// the number is to go ahead of the fragment, to learn when it has read all of them.
func (p *pacer) pace(ctx context.Context, c *Conn) (number uint32, ask bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if small := p.small.Load(); small != p.seen {
		if p.sent >= p.until { // nothing was asked of late: one more, and the answer to its probe tells
			p.read = p.sent - min(p.sent, maxAhead-1)
		}
		p.seen, p.until = small, p.sent+crowdedFor
	}
	for p.sent < p.until && !p.silent && p.sent-p.read >= max(maxAhead, uint64(p.least/fragmentTime)) { //nolint:gosec // not negative
		if err := p.wait(ctx, c); err != nil {
			return 0, false, err
		}
	}
	number, ask = uint32(p.sent), p.sent < p.until //nolint:gosec // cut on purpose
	if ask && p.timed == 0 {
		p.timed, p.since = p.sent, time.Now()
	}
	p.sent++
	return number, ask, nil
}

// wait waits for the next answer, and gives up a peer that gives none. p.mu is held, but not meanwhile.
func (p *pacer) wait(ctx context.Context, c *Conn) error {
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	moved := p.moved
	late := time.NewTimer(probeTime)
	defer late.Stop()
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-moved:
	case <-late.C:
		p.mu.Lock()
		p.silent = true
		p.mu.Unlock()
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// next is the number of a probe sent now.
func (p *pacer) next() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint32(p.sent) //nolint:gosec // cut on purpose
}

// answered takes the answer to a probe.
func (p *pacer) answered(number uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = false
	if unread := uint64(uint32(p.sent) - number); unread < p.sent-p.read { //nolint:gosec // cut on purpose
		p.read = p.sent - unread
	}
	if p.timed != 0 && uint32(p.timed) == number { //nolint:gosec // cut on purpose
		if took := time.Since(p.since); p.least == 0 || took < p.least {
			p.least = took
		}
		p.timed = 0
	}
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}
