package launcher

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Stage is what an Event says has happened.
type Stage string

// The stages of a cluster (Event.Node is empty) and of its nodes, in the usual order.
const (
	StageBuilding   Stage = "building"   // the build step runs
	StageStarted    Stage = "started"    // the process runs
	StageRegistered Stage = "registered" // it has told EPMD its name: distribution listens
	StageConnected  Stage = "connected"  // our handshake succeeded: the cookie is proven
	StageWaiting    Stage = "waiting"    // for what Detail says
	StageReady      Stage = "ready"
	StageRetrying   Stage = "retrying" // it died while it booted, and is started again; Detail says how often, and why
	StageFailed     Stage = "failed"
	StageStopping   Stage = "stopping"
	StageLeft       Stage = "left"     // it has left distribution (its connection to EPMD closed)
	StageExited     Stage = "exited"   // its process has ended by itself, with exit status 0
	StageCrashed    Stage = "crashed"  // its process has ended in any other way; Detail says how, and why if that is known
	StageStopped    Stage = "stopped"  // because it was asked to
	StageSynced     Stage = "synced"   // a sync has changed its code; Detail says which modules
	StageUnsynced   Stage = "unsynced" // a sync has failed; Detail says why
)

// An Event is one thing that happened to a cluster or one of its nodes.
type Event struct {
	Time   time.Time `json:"time"`
	Node   string    `json:"node,omitempty"` // full name; of a node that isn't the cluster's own, what EPMD knows: the part before the @
	Stage  Stage     `json:"stage"`
	Detail string    `json:"detail,omitempty"`
	Cause  string    `json:"cause,omitempty"` // of a crash: why, if that is known, else what such an end is usually due to
}

// eventLog keeps a cluster's events in a file and hands them to followers.
type eventLog struct {
	mu        sync.Mutex
	file      *os.File
	path      string
	size      int64
	followers map[chan Event]struct{}
}

// maxEvents is how large the file becomes before it is rotated as a log is: some ten thousand events, a node that crashes every
// half a minute for a day.
const maxEvents = 2 << 20

// followerBacklog is how many events a follower may be behind before it misses some: the whole start of 100 nodes.
const followerBacklog = 1024

func newEventLog() *eventLog { return &eventLog{followers: make(map[chan Event]struct{})} }

// open adds the file. What was emitted before is not in it.
func (l *eventLog) open(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // in our state directory
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.path = f, path
	return nil
}

// emit records an event.
func (l *eventLog) emit(node string, stage Stage, detail string) {
	l.record(Event{Node: node, Stage: stage, Detail: detail})
}

// record adds an event of now. A full disk doesn't keep followers from hearing of it.
func (l *eventLog) record(e Event) {
	e.Time = time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, err := json.Marshal(e); err == nil && l.file != nil {
		n, _ := l.file.Write(append(b, '\n'))
		l.rotate(n)
	}
	for ch := range l.followers {
		select {
		case ch <- e:
		default:
		}
	}
}

// rotate begins a new file once n more bytes have made this one too large.
func (l *eventLog) rotate(n int) {
	if l.size += int64(n); l.size < maxEvents || os.Rename(l.path, l.path+oldSuffix) != nil {
		return
	}
	if f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
		_ = l.file.Close()
		l.file, l.size = f, 0
	}
}

// follow returns a channel of the events from now on, and a function that ends it.
func (l *eventLog) follow() (<-chan Event, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := make(chan Event, followerBacklog)
	l.followers[ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.followers, ch)
	}
}

// close ends the file; events still reach followers.
func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// parseEvent reads a line of the file.
func parseEvent(line string) (Event, bool) {
	var e Event
	err := json.Unmarshal([]byte(line), &e)
	return e, err == nil
}
