package health

import (
	"cmp"
	"time"
)

// Limits are the thresholds; a zero field has its default. A value over a limit is a warning, unless said otherwise.
type Limits struct {
	Latency    time.Duration // median ping, and the best round trip between two nodes
	Answer     time.Duration // what a supervisor or server may take until it is said to hang
	Memory     int64         // bytes that a node has allocated; 0: there is no limit
	Kinds      MemoryKinds   // bytes that it has allocated for each of these
	Usage      float64       // share of the processes, ports, atoms, ETS tables and descriptors that a node may have
	RunQueue   float64       // processes that wait for each scheduler
	Schedulers float64       // share of their time that the schedulers work
	Mailbox    int           // messages in one mailbox
	Spread     float64       // how many times the processes of a node are those of the others
	LockHeld   time.Duration // for which the same process holds a lock of global
}

// MemoryKinds are bytes for each of the kinds of erlang:memory/0 that people know; 0: there is no limit.
type MemoryKinds struct{ Processes, Binary, ETS, Code, Atom int64 }

// The defaults of Limits. Memory and its kinds have none: how much is too much depends on the machine, which a node does not know without os_mon,
// and os_mon raises an alarm at 80 % of it.
const (
	defaultLatency    = 50 * time.Millisecond // a LAN has under one; what waits longer is overloaded or far away
	defaultAnswer     = time.Second           // callers give up after five, and a person earlier
	defaultUsage      = 0.8                   // what leaks is seen in time to do something; at failUsage the next burst may end the node
	defaultRunQueue   = 10                    // a time slice is about 1 ms: whoever has to run waits 10 ms
	defaultSchedulers = 0.95                  // nothing is left for what comes next; short work on an idle node stays well below
	defaultMailbox    = 1000                  // a process that keeps up has a few; senders to a long mailbox are slowed down, too
	defaultSpread     = 10                    // nodes with different work differ by less; what restarts all on one node does not
	defaultLockHeld   = time.Second           // name registration and mnesia hold theirs for milliseconds
)

// WithDefaults returns the limits with the default for each that is zero.
func (l Limits) WithDefaults() Limits {
	l.Latency = cmp.Or(l.Latency, defaultLatency)
	l.Answer = cmp.Or(l.Answer, defaultAnswer)
	l.Usage = cmp.Or(l.Usage, defaultUsage)
	l.RunQueue = cmp.Or(l.RunQueue, defaultRunQueue)
	l.Schedulers = cmp.Or(l.Schedulers, defaultSchedulers)
	l.Mailbox = cmp.Or(l.Mailbox, defaultMailbox)
	l.Spread = cmp.Or(l.Spread, defaultSpread)
	l.LockHeld = cmp.Or(l.LockHeld, defaultLockHeld)
	return l
}
