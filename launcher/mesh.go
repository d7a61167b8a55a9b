package launcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// mesh connects nodes that start with each other and with those that are up already: of every pair, the higher-numbered dials. Where
// Spec.Mesh says that it isn't ours to do, it only knows who has come so far.
type mesh struct {
	s        *supervisor
	wg       sync.WaitGroup
	complete chan struct{} // closed when all nodes are up, and every pair has been told to connect
	over     chan struct{} // closed when all that start are ready at the same time

	mu       sync.Mutex
	expected int // how many are to be up
	up       []*member
	starting int // how many are to get ready
	ready    []*member
}

// newMesh makes the mesh of those that start and of those that are up.
func (s *supervisor) newMesh(starting []*member) *mesh {
	ms := &mesh{s: s, complete: make(chan struct{}), over: make(chan struct{}), starting: len(starting)}
	for _, m := range s.all() {
		if !slices.Contains(starting, m) && m.now().up() {
			ms.up = append(ms.up, m)
		}
	}
	ms.expected = len(ms.up) + len(starting)
	return ms
}

// redial is the pause before a dial that failed is tried again; the usual reason is that the other is just dialling, too.
const redial = 20 * time.Millisecond

// add connects m with all that are up.
func (ms *mesh) add(ctx context.Context, m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, other := range ms.up {
		if ms.s.Spec.Mesh != MeshBeamctl {
			break
		}
		from, to := m, other
		if ms.number(from) < ms.number(to) {
			from, to = to, from
		}
		ms.wg.Go(func() { ms.dial(ctx, from, to) })
	}
	ms.up = append(ms.up, m)
	ms.check()
}

// dial has one node connect with another, until it has, or one of them is gone.
func (ms *mesh) dial(ctx context.Context, from, to *member) {
	a, b := from.now(), to.now()
	for ctx.Err() == nil && a.runs() && b.runs() {
		t, err := ms.s.node.Call(ctx, from.name, "net_kernel", "connect_node", etf.Atom(to.name))
		if err == nil && t == etf.Atom("true") {
			return
		}
		select { // what is wrong with it, WaitReady says: it looks at what the nodes see
		case <-time.After(redial):
		case <-ctx.Done():
		}
	}
}

// lost takes away a node that has died, and will come again.
func (ms *mesh) lost(m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.forget(m)
}

func (ms *mesh) forget(m *member) {
	is := func(other *member) bool { return other == m }
	ms.up, ms.ready = slices.DeleteFunc(ms.up, is), slices.DeleteFunc(ms.ready, is)
}

// settle notes that a node is ready.
func (ms *mesh) settle(m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.ready = append(ms.ready, m)
	ms.check()
}

// without gives up on a node that doesn't start, so that the others need not wait for it.
func (ms *mesh) without(m *member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.forget(m)
	ms.expected--
	ms.starting--
	ms.check()
}

func (ms *mesh) check() {
	if len(ms.up) == ms.expected {
		closeOnce(ms.complete)
	}
	if len(ms.ready) == ms.starting {
		closeOnce(ms.over)
	}
}

// peers returns the names of those that m is to see: all others that are up, unless there is to be no mesh.
func (ms *mesh) peers(m *member) []string {
	if ms.s.Spec.Mesh == MeshNone {
		return nil
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var names []string
	for _, other := range ms.up {
		if other != m && other.now().runs() {
			names = append(names, other.name)
		}
	}
	return names
}

func (ms *mesh) number(m *member) int { return slices.Index(ms.s.all(), m) }
