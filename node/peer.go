package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist"
)

// peer is one node that we know of. sem is held while connecting to it.
type peer struct {
	name string
	sem  chan struct{}

	mu      sync.Mutex
	how     Peer
	link    *link
	dialing context.CancelCauseFunc // of our attempt under way
	changed chan struct{}           // closed, and replaced, when link is set
	failed  error                   // of our last attempt; nil while there is a link
	guest   bool                    // known only because it connected to us: forgotten when it goes
	wanted  bool                    // we connected to it, and have not disconnected since
	trying  bool                    // to connect again: there is one goroutine that does
}

func newPeer(p Peer) *peer {
	return &peer{name: p.Name, how: p, sem: make(chan struct{}, 1), changed: make(chan struct{})}
}

// errSetupTime ends an attempt to connect that takes longer than OTP allows for one.
var errSetupTime error = setupTimeError{}

// setupTimeError is a deadline's, and says it in its own words.
type setupTimeError struct{}

func (setupTimeError) Error() string { return fmt.Sprintf("no connection within %v", setupTime) }
func (setupTimeError) Unwrap() error { return context.DeadlineExceeded }

// errOvertaken ends our attempt to connect to a node that has meanwhile connected to us.
var errOvertaken = errors.New("the node has connected to us")

func (p *peer) live() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil && p.link.conn.Err() == nil {
		return p.link
	}
	return nil
}

// take makes the connection nobody's, because we end it.
func (p *peer) take(n *Node, why error) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	n.dropGuest(p)
	p.wanted = false
	l := p.link
	if p.link = nil; l != nil {
		n.events.publish(Event{Node: p.name, Err: why})
	}
	return l
}

// dropGuest forgets a peer whose connection is over, if that was all we knew of it. n.mu and p.mu are held.
func (n *Node) dropGuest(p *peer) {
	if p.guest && n.peers[p.name] == p {
		delete(n.peers, p.name)
	}
}

// linkTo returns the live connection with a node, nil if there is none.
func (n *Node) linkTo(name string) *link {
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.live()
}

// connected returns the link to a node, connecting if there is none.
func (n *Node) connected(ctx context.Context, name string) (*link, error) {
	p, err := n.peer(name)
	if err != nil {
		return nil, err
	}
	if l := p.live(); l != nil {
		return l, nil
	}
	select {
	case p.sem <- struct{}{}:
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		err := timeout(ctx, "a connection attempt under way")
		if p.failed != nil {
			err = fmt.Errorf("%w; the one before: %w", err, p.failed)
		}
		return nil, err
	}
	defer func() { <-p.sem }()
	if l := p.live(); l != nil {
		return l, nil
	}
	return n.attempt(ctx, p)
}

// attempt dials a node, for as long as it may take. When the node connects to us meanwhile, that connection is the result.
func (n *Node) attempt(ctx context.Context, p *peer) (*link, error) {
	setup, stopClock := context.WithTimeoutCause(ctx, setupTime, errSetupTime)
	defer stopClock()
	dialCtx, cancel := context.WithCancelCause(setup)
	defer cancel(nil)
	stop := context.AfterFunc(n.ctx, func() { cancel(ErrClosed) }) //nolint:contextcheck // whichever ends first
	defer stop()
	p.mu.Lock()
	how, changed := p.how, p.changed
	p.dialing = cancel
	p.mu.Unlock()
	l, err := n.dial(dialCtx, how)
	p.mu.Lock()
	p.dialing = nil
	p.mu.Unlock()
	if err == nil {
		return l, n.install(l, false)
	}
	if errors.Is(err, dist.ErrSimultaneous) && n.listening() { // the node's own attempt may go on
		select {
		case <-changed:
		case <-dialCtx.Done():
		}
	}
	if l := p.live(); l != nil {
		return l, nil
	}
	p.mu.Lock()
	p.failed = err
	p.mu.Unlock()
	return nil, err
}

// install makes l the connection with its node, instead of an older one, and starts it.
func (n *Node) install(l *link, inbound bool) error {
	name := l.conn.Peer().Name
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		close(l.ready)
		_ = l.conn.Close()
		return ErrClosed
	}
	p := n.peers[name]
	if p == nil {
		p = newPeer(Peer{Name: name})
		p.guest = inbound
		n.peers[name] = p
	}
	l.peer = p
	l.ctx, l.cancel = context.WithCancelCause(n.ctx)
	n.owned.Go(l.run)
	old := p.set(l, inbound)
	n.mu.Unlock()
	close(l.ready)
	if old != nil {
		_ = n.own(old.close)
	}
	return nil
}

// set makes l the peer's link and returns the one before.
func (p *peer) set(l *link, inbound bool) (old *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := &l.node.events
	if old = p.link; old != nil {
		events.publish(Event{Node: p.name, Err: errReplaced})
	}
	p.link, p.failed = l, nil
	p.guest = p.guest && inbound
	p.wanted = p.wanted || !inbound
	if p.dialing != nil {
		p.dialing(errOvertaken)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	visible := l.node.cfg.Visible && l.conn.Peer().Flags.Has(dist.FlagPublished)
	events.publish(Event{Node: p.name, Up: true, Inbound: inbound, Visible: visible})
	return old
}

var errReplaced = errors.New("replaced by a newer connection")

// lost is called when a connection is over, whoever ended it.
func (n *Node) lost(l *link, err error) {
	for _, p := range n.procs.all() {
		p.lost(l)
	}
	p := l.peer
	n.mu.Lock()
	p.mu.Lock()
	was := p.link == l
	again := was && p.wanted && !p.trying && !n.closed && n.cfg.Reconnect.Min > 0
	if was {
		p.link = nil
		n.events.publish(Event{Node: p.name, Err: err})
		n.dropGuest(p)
	}
	if again {
		p.trying = true
		n.owned.Go(func() { n.reconnect(p) })
	}
	p.mu.Unlock()
	n.mu.Unlock()
	n.names.release(l.conn.Peer())
}

// Backoff says how to try again: after Min, then twice as long each time, up to Max. The zero Backoff does not try again.
type Backoff struct{ Min, Max time.Duration }

// reconnect tries until the node is there, or nobody wants it any more.
func (n *Node) reconnect(p *peer) {
	for wait := n.cfg.Reconnect.Min; ; wait = min(2*wait, max(n.cfg.Reconnect.Max, n.cfg.Reconnect.Min)) {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(wait):
		}
		if p.settled() {
			return
		}
		_, _ = n.connected(n.ctx, p.name)
		if p.settled() {
			return
		}
	}
}

// settled says that there is nothing more to try; whoever then loses the connection begins anew.
func (p *peer) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trying = p.wanted && p.link == nil
	return !p.trying
}

// Nodes returns the names of the nodes that there is a connection with, sorted.
func (n *Node) Nodes() []string {
	var names []string
	for _, l := range n.links() {
		names = append(names, l.conn.Peer().Name)
	}
	slices.Sort(names)
	return names
}

func (n *Node) links() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var links []*link
	for _, p := range n.peers {
		if l := p.live(); l != nil {
			links = append(links, l)
		}
	}
	return links
}

// namedHere tells whether a peer knows this node under the name.
func (n *Node) namedHere(name string) bool {
	return slices.ContainsFunc(n.links(), func(l *link) bool { return l.conn.Local().Name == name })
}

// incarnation tells whether an identifier with this node and creation is one of ours.
func (n *Node) incarnation(node string, creation uint32) bool {
	self := n.identity(nil)
	ours := func(id dist.Identity) bool { return id.Name == node && id.Creation == creation }
	return ours(self) || n.cfg.Name == "" && slices.ContainsFunc(n.links(), func(l *link) bool { return ours(l.conn.Local()) })
}
