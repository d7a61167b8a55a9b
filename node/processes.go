package node

import (
	"fmt"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
)

// processes is a node's table of processes, their names and aliases.
type processes struct {
	mu      sync.Mutex
	next    uint32 // pid number of the last process made
	refs    uint64
	byPid   map[uint32]*Process
	byName  map[etf.Atom]*Process
	byAlias map[uint64]*Process
	closed  bool
}

func newProcesses() *processes {
	return &processes{
		next: firstProcess - 1, byPid: map[uint32]*Process{}, byName: map[etf.Atom]*Process{}, byAlias: map[uint64]*Process{},
	}
}

// add gives a process its number.
func (t *processes) add(p *Process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	for {
		if t.next++; t.next > maxNumber {
			t.next = firstProcess
		}
		if t.byPid[t.next] == nil {
			p.number = t.next
			t.byPid[p.number] = p
			return nil
		}
	}
}

// remove takes out a process that has ended.
func (t *processes) remove(p *Process, aliases map[uint64]struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byPid, p.number)
	if p.name != "" {
		delete(t.byName, p.name)
	}
	for n := range aliases {
		delete(t.byAlias, n)
	}
}

// register names a process; name is guarded by the table's lock.
func (t *processes) register(name etf.Atom, p *Process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.byPid[p.number] != p:
		return fmt.Errorf("register %s: %w", name, p.Err())
	case t.byName[name] != nil, p.name != "":
		return fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	p.name, t.byName[name] = name, p
	return nil
}

func (t *processes) unregister(name etf.Atom) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.byName[name]; p != nil {
		p.name = ""
		delete(t.byName, name)
	}
}

func (t *processes) named(name etf.Atom) *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[name]
}

func (t *processes) numbered(n uint32) *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPid[n]
}

// ref gives a reference its number.
func (t *processes) ref() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refs++
	return t.refs
}

func (t *processes) alias(n uint64, p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byAlias[n] = p
}

func (t *processes) unalias(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byAlias, n)
}

func (t *processes) aliased(n uint64) *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byAlias[n]
}

// all returns the processes of this moment.
func (t *processes) all() []*Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*Process, 0, len(t.byPid))
	for _, p := range t.byPid {
		all = append(all, p)
	}
	return all
}

// close lets no more processes in.
func (t *processes) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}
