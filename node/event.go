package node

import "sync"

// Event says that a connection with a node has come or gone.
type Event struct {
	Node    string
	Up      bool
	Inbound bool  // the node connected to us
	Visible bool  // neither this node nor the other is a hidden one: they list each other in nodes()
	Err     error // why it went down
	// Missed is how many events before this one were dropped because the subscriber did not take them. After that only
	// Nodes knows.
	Missed int
}

// eventBuffer is how many events may wait for one subscriber: all nodes of a large cluster going down at once.
const eventBuffer = 1024

type events struct {
	mu   sync.Mutex
	subs map[*subscription]struct{}
}

type subscription struct {
	ch     chan Event
	missed int
}

// Events subscribes to the comings and goings of connections, from now on; for one node they come in order. A
// subscriber that does not keep up loses events, and is told how many, but never holds up the node. stop ends the
// subscription and closes the channel, as Close does.
func (n *Node) Events() (ch <-chan Event, stop func()) {
	s := &subscription{ch: make(chan Event, eventBuffer)}
	e := &n.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subs == nil { // the node is closed
		close(s.ch)
		return s.ch, func() {}
	}
	e.subs[s] = struct{}{}
	return s.ch, func() { e.remove(s) }
}

func (e *events) remove(s *subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.subs[s]; ok {
		delete(e.subs, s)
		close(s.ch)
	}
}

func (e *events) publish(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		ev.Missed = s.missed
		select {
		case s.ch <- ev:
			s.missed = 0
		default:
			s.missed++
		}
	}
}

func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		close(s.ch)
	}
	e.subs = nil
}
