package epmd

import (
	"container/list"
	"math/rand/v2"
	"sync"
)

// maxRetired is how many names are remembered after they went (MAX_UNREG_COUNT of epmd), so that the next creation of
// such a name differs.
const maxRetired = 1000

// firstCreation is the least of the 32-bit creations: 0 means any, and 1..3 are those of nodes that have two bits for it.
const firstCreation = 4

// registry is who is registered. It knows nothing of connections but their number.
type registry struct {
	mu      sync.RWMutex
	active  names // newest first
	retired names // newest first
}

// names are entries by name, in order.
type names struct {
	byName map[string]*list.Element // of *entry
	order  list.List
}

type entry struct {
	node  Node
	conn  int    // number of the connection that holds or held it
	count uint32 // of this name's registrations, from a random start: both kinds of creation come of it
}

func newRegistry() *registry {
	return &registry{
		active:  names{byName: make(map[string]*list.Element)},
		retired: names{byName: make(map[string]*list.Element)},
	}
}

// register adds n and returns it with its creation; false if the name is taken or cannot be one.
func (r *registry) register(n Node, conn int) (Node, bool) {
	if checkName(n.Name) != nil || len(n.Extra) > maxExtra {
		return n, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.active.byName[n.Name]; taken {
		return n, false
	}
	e := r.retired.remove(n.Name)
	if e == nil {
		e = &entry{count: rand.Uint32()} //nolint:gosec // has to differ, not to be secret
	}
	e.count = max(e.count+1, firstCreation)
	n.Creation = creation(e.count, n.HighestVersion)
	e.node, e.conn = n, conn
	r.active.add(e)
	return n, true
}

// creation makes of a name's count what differs from the one before, as epmd does.
func creation(count uint32, version uint16) uint32 {
	if version < extendedVersion {
		return count%3 + 1
	}
	return count
}

// unregister removes the name if connection conn holds it.
func (r *registry) unregister(name string, conn int) (Node, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	el, ok := r.active.byName[name]
	if !ok || el.Value.(*entry).conn != conn {
		return Node{}, false
	}
	e := r.active.remove(name)
	r.retired.add(e)
	if r.retired.order.Len() > maxRetired {
		r.retired.remove(r.retired.order.Back().Value.(*entry).node.Name)
	}
	return e.node, true
}

// lookup returns the node of that name and the number of its connection.
func (r *registry) lookup(name string) (Node, int, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	el, ok := r.active.byName[name]
	if !ok {
		return Node{}, 0, false
	}
	e := el.Value.(*entry)
	return e.node, e.conn, true
}

// nodes returns who is registered, the newest first.
func (r *registry) nodes() []Node {
	r.mu.RLock()
	defer r.mu.RUnlock()
	nodes := make([]Node, 0, r.active.order.Len())
	for el := r.active.order.Front(); el != nil; el = el.Next() {
		nodes = append(nodes, el.Value.(*entry).node)
	}
	return nodes
}

// dump returns the active names, the newest first, then the retired ones, the oldest first, as epmd does.
func (r *registry) dump() []DumpEntry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	entries := make([]DumpEntry, 0, r.active.order.Len()+r.retired.order.Len())
	for el := r.active.order.Front(); el != nil; el = el.Next() {
		e := el.Value.(*entry)
		entries = append(entries, DumpEntry{Name: e.node.Name, Port: e.node.Port, FD: e.conn, Active: true})
	}
	for el := r.retired.order.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		entries = append(entries, DumpEntry{Name: e.node.Name, Port: e.node.Port, FD: e.conn})
	}
	return entries
}

func (n *names) add(e *entry) { n.byName[e.node.Name] = n.order.PushFront(e) }

func (n *names) remove(name string) *entry {
	el, ok := n.byName[name]
	if !ok {
		return nil
	}
	delete(n.byName, name)
	return n.order.Remove(el).(*entry)
}
