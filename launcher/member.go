package launcher

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// member is the supervisor's view of one node, over all of its lives.
type member struct {
	spec   *NodeSpec
	name   string
	short  string
	epmd   string     // its door to the registry, host:port
	doors  []net.Addr // this one, and that for IPv6
	listen string     // the address it listens on for distribution

	mu       sync.Mutex
	tls      *tls.Config // how we speak with it; nil: without TLS
	life     *life       // the present or last; never nil
	crash    string      // why it crashed last: as far as that is known, else what such an end is usually due to
	failures int         // crashes in a row, for the back-off
	restarts int         // by the restart policy
	since    time.Time   // of the present life
}

// life is one process of a member.
type life struct {
	registered chan struct{} // closed when EPMD has its name
	joined     chan struct{} // closed when it has set its cookie, too
	exited     chan struct{} // closed when its process has ended: exit tells how

	process proc.ID     // under the member's mu; zero until it is known
	exit    exit        // set before exited is closed
	ended   time.Time   // likewise; zero: it never ran
	asked   atomic.Bool // its end is our doing
	ready   atomic.Bool // it was; what was wrong before did not end it
	away    atomic.Bool // it has left distribution, and may still run
}

func newLife() *life {
	return &life{registered: make(chan struct{}), joined: make(chan struct{}), exited: make(chan struct{})}
}

// neverLived is the life of a member that wasn't started yet.
func neverLived() *life {
	l := newLife()
	close(l.exited)
	l.asked.Store(true)
	return l
}

func newMember(n *NodeSpec) *member {
	return &member{spec: n, name: n.Name, short: n.Short(), life: neverLived()}
}

// now returns the member's present life, or its last.
func (m *member) now() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

// process returns the process of a life of m's, zero if that is not known yet.
func (m *member) process(l *life) proc.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.process
}

// began is when the member's present life, or its last, did.
func (m *member) began() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since
}

// runs tells whether the process lives.
func (l *life) runs() bool { return !closed(l.exited) }

// newsTimeout is how long the guardian's word on a process that has ended may be behind: it comes at once unless the machine is at its limit.
const newsTimeout = 5 * time.Second

// catchUp waits for that word if m's process has ended, so that what follows is not about a node that died a moment ago.
func (m *member) catchUp(ctx context.Context) {
	m.mu.Lock()
	l, process := m.life, m.life.process
	m.mu.Unlock()
	if process.Pid == 0 || process.Alive() {
		return
	}
	select {
	case <-l.exited:
	case <-time.After(newsTimeout):
	case <-ctx.Done():
	}
}

// up tells whether it lives and is a node of the cluster.
func (l *life) up() bool { return l.runs() && closed(l.joined) && !l.away.Load() }

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// target is the member as package checks knows nodes.
func (s *supervisor) target(m *member) checks.Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	return checks.Target{Name: m.name, EPMD: m.epmd, Cookie: s.cookie, TLS: m.tls, Apps: s.Spec.AppsOf(m.spec)}
}

// admit keeps a member's name for the member. Others that ask for it need not mean any harm: a node whose EPMD is gone registers again
// with whatever listens on that port one day.
func (s *supervisor) admit(n epmd.Node, asker string) bool {
	return n.Name == asker || s.member(n.Name) == nil
}

// registered, gone and lookup are the EPMD's hooks; asker is whose door it was. What else registers there (nodes that the
// application starts, the user's shells) are guests, of whom only events tell.
func (s *supervisor) registered(n epmd.Node, asker string) {
	m := s.member(asker)
	if m == nil || n.Name != asker {
		s.events.emit(n.Name, StageRegistered, fmt.Sprintf("port %d, a guest", n.Port))
		return
	}
	m.now().away.Store(false)
	closeOnce(m.now().registered)
	if l := s.Spec.launch(m.spec); l.ownDistribution() { // it has read its cookie before
		m.mu.Lock()
		closeOnce(m.life.joined)
		m.mu.Unlock()
	}
	s.events.emit(m.name, StageRegistered, fmt.Sprintf("port %d", n.Port))
}

func (s *supervisor) gone(n epmd.Node, asker string) {
	if m := s.member(asker); m != nil && n.Name == asker {
		m.now().away.Store(true)
		s.events.emit(m.name, StageLeft, "")
	} else {
		s.events.emit(n.Name, StageLeft, "a guest")
	}
}

// lookup sees a node ask for itself, which boot.erl does once the cookie is set.
func (s *supervisor) lookup(asker string, n epmd.Node) epmd.Node {
	if m := s.member(asker); m != nil && n.Name == asker {
		m.mu.Lock() // many may ask at once
		defer m.mu.Unlock()
		closeOnce(m.life.joined)
	}
	return n
}

// member returns the member whose name before the @ is short, or nil.
func (s *supervisor) member(short string) *member {
	for _, m := range s.all() {
		if m.short == short {
			return m
		}
	}
	return nil
}

// all returns the members there are now.
func (s *supervisor) all() []*member {
	s.membersMu.Lock()
	defer s.membersMu.Unlock()
	return s.members // replaced when it changes, never written to
}

// closeOnce closes ch unless it is closed. Not for concurrent use on one ch.
func closeOnce(ch chan struct{}) {
	if !closed(ch) {
		close(ch)
	}
}
