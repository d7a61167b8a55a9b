package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// member is the supervisor's view of one node.
type member struct {
	spec   *NodeSpec
	name   string
	short  string
	epmd   string // its door to the registry, host:port
	listen string // the address it listens on for distribution

	registered chan struct{} // closed when EPMD has its name
	joined     chan struct{} // closed when it has set its cookie, too
	exited     chan struct{} // closed when its process has ended: exit tells how

	mu      sync.Mutex
	process proc.ID
	exit    exit
}

func newMember(n *NodeSpec) *member {
	return &member{
		spec: n, name: n.Name, short: n.Short(),
		registered: make(chan struct{}), joined: make(chan struct{}), exited: make(chan struct{}),
	}
}

// target is the member as package checks knows nodes.
func (s *supervisor) target(m *member) checks.Target {
	return checks.Target{Name: m.name, EPMD: m.epmd, Cookie: s.cookie, Apps: s.Spec.AppsOf(m.spec)}
}

// registered, gone and lookup are the EPMD's hooks; asker is whose door it was. What else registers there (nodes that the
// application starts, the user's shells) are guests, of whom only events tell.
func (s *supervisor) registered(n epmd.Node, asker string) {
	m := s.byShort[asker]
	if m == nil || n.Name != asker {
		s.events.emit(n.Name, StageRegistered, fmt.Sprintf("port %d, a guest", n.Port))
		return
	}
	closeOnce(m.registered)
	s.events.emit(m.name, StageRegistered, fmt.Sprintf("port %d", n.Port))
}

func (s *supervisor) gone(n epmd.Node, asker string) {
	if m := s.byShort[asker]; m != nil && n.Name == asker {
		s.events.emit(m.name, StageLeft, "")
	} else {
		s.events.emit(n.Name, StageLeft, "a guest")
	}
}

// lookup sees a node ask for itself, which boot.erl does once the cookie is set.
func (s *supervisor) lookup(asker string, n epmd.Node) epmd.Node {
	if m := s.byShort[asker]; m != nil && n.Name == asker {
		m.mu.Lock() // many may ask at once
		defer m.mu.Unlock()
		closeOnce(m.joined)
	}
	return n
}

// closeOnce closes ch unless it is closed. Not for concurrent use on one ch.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// startNodes starts all nodes at once and waits until every one of them is ready. The first failure ends the waiting.
func (s *supervisor) startNodes(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, m := range s.members {
		if err := s.spawn(ctx, m); err != nil {
			return err
		}
	}
	if err := s.update(func(r *Record) {
		for i, m := range s.members {
			r.Nodes[i].Process = m.process
		}
	}); err != nil {
		return err
	}

	mesh := &mesh{s: s, complete: make(chan struct{})}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer mesh.wg.Wait()
	defer cancel(nil)
	results := make(chan error, len(s.members))
	for _, m := range s.members {
		wg.Go(func() { results <- s.await(ctx, m, mesh) })
	}
	for range s.members {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) spawn(ctx context.Context, m *member) error {
	_, port, err := net.SplitHostPort(m.epmd)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	plan, err := s.planner().plan(m.spec, m.listen, port)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	id, err := s.guard.spawn(ctx, order{
		Key: m.short, Argv: plan.argv, Dir: plan.dir, Log: s.Place.console(m.short), Env: plan.env,
	}, func(e exit) {
		m.mu.Lock()
		m.exit = e
		m.mu.Unlock()
		close(m.exited)
		s.events.emit(m.name, StageExited, e.String())
	})
	if err != nil {
		return s.spawnFinding(m.name, plan.argv, err)
	}
	m.mu.Lock()
	m.process = id
	m.mu.Unlock()
	s.events.emit(m.name, StageStarted, fmt.Sprintf("pid %d", id.Pid))
	return nil
}

// await sees one node through to ready. A node whose process ends meanwhile is never ready.
func (s *supervisor) await(ctx context.Context, m *member, mesh *mesh) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	defer func() { cancel(nil); <-watching }()
	go func() {
		defer close(watching)
		select {
		case <-m.exited:
			cancel(errExited)
		case <-ctx.Done():
		}
	}()

	// Two channels instead of polling: registered is for a better word when it fails.
	seen := errors.New("it has not registered with EPMD")
	select {
	case <-m.registered:
		seen = errors.New("it is registered with EPMD, and has not set its cookie")
	case <-ctx.Done():
		return s.nodeFinding(ctx, m, seen)
	}
	select {
	case <-m.joined:
	case <-ctx.Done():
		return s.nodeFinding(ctx, m, seen)
	}
	// Peers are asked for once all are there: asking sooner only takes time from those that boot.
	err := checks.WaitReady(ctx, s.node, s.target(m), nil, func(stage string) {
		switch stage {
		case checks.StageBoot: // the handshake is done
			s.events.emit(m.name, StageConnected, "")
			mesh.add(ctx, m)
		case checks.StageApps:
			s.events.emit(m.name, StageWaiting, stage)
		}
	})
	if err == nil {
		s.events.emit(m.name, StageWaiting, checks.StageMesh)
		select {
		case <-mesh.complete:
			err = checks.WaitReady(ctx, s.node, s.target(m), s.peers(m), func(string) {})
		case <-ctx.Done():
			err = errors.New("it waits for the others")
		}
	}
	if err != nil {
		select { // a node that dies in the middle of a handshake looks as if it refused the cookie
		case <-m.exited:
			<-watching
		case <-time.After(lastBreath):
		case <-ctx.Done():
		}
		return s.nodeFinding(ctx, m, err)
	}
	s.events.emit(m.name, StageReady, "")
	return nil
}

// peers returns the names of all members but m.
func (s *supervisor) peers(m *member) []string {
	var names []string
	for _, other := range s.members {
		if other != m {
			names = append(names, other.name)
		}
	}
	return names
}

// lastBreath is how long a node that fails an rpc may take to turn out to be dying.
const lastBreath = 500 * time.Millisecond

// errExited is the cause of giving up on a node whose process has ended.
var errExited = errors.New("its process has ended")

// mesh connects the nodes with each other as they come up: of every pair, the higher-numbered node dials.
type mesh struct {
	s        *supervisor
	wg       sync.WaitGroup
	complete chan struct{} // closed when all nodes are up, and every pair has been told to connect

	mu sync.Mutex
	up []*member
}

// redial is the pause before a dial that failed is tried again; the usual reason is that the other is just dialling, too.
const redial = 20 * time.Millisecond

// add connects m with all that are up.
func (ms *mesh) add(ctx context.Context, m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, other := range ms.up {
		from, to := m, other
		if ms.number(from) < ms.number(to) {
			from, to = to, from
		}
		ms.wg.Go(func() {
			for ctx.Err() == nil {
				t, err := ms.s.node.Call(ctx, from.name, "net_kernel", "connect_node", etf.Atom(to.name))
				if err == nil && t == etf.Atom("true") {
					return
				}
				select { // what is wrong with it, WaitReady says: it looks at what the nodes see
				case <-time.After(redial):
				case <-ctx.Done():
				}
			}
		})
	}
	if ms.up = append(ms.up, m); len(ms.up) == len(ms.s.members) {
		close(ms.complete)
	}
}

func (ms *mesh) number(m *member) int {
	for i, other := range ms.s.members {
		if other == m {
			return i
		}
	}
	return -1
}
