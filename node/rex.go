package node

import (
	"context"
	"slices"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// A call by way of rex, the rpc server of each node (lib/kernel/src/rpc.erl), comes back in one message, where a spawn
// request is answered by two: sequential calls take a quarter less time. But rex is one process, which somebody may
// have blocked (rpc:block_call), and does not say which process runs a call. So it gets the calls of those who make
// many, one after the other.

// rexAfter is how many calls must have been answered on a connection before the next is made by rex: who makes a few
// does not notice the difference, and is to depend on nothing.
const rexAfter = 16

// byRex decides how a call that is registered is made: by rex if it is alone.
func (l *link) byRex() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls) == 1 && l.answered >= rexAfter && !l.rexLate
}

// count counts a call that was answered.
func (l *link) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = min(l.answered+1, rexAfter)
}

// pollEvery says which lone calls wait as others do, and leave the network to the scheduler: one of so many, and after
// one that was not answered at once as many in a row.
const pollEvery = 16

// mayPoll decides whether a lone call waits for its reply by reading what comes.
func (l *link) mayPoll() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.polls++; l.polls == pollEvery {
		l.polls = 0
	}
	return l.polls > 0
}

// poll waits in that way for the reply of a call, for something that it prints, or until the peer is owed an answer, if
// it may.
func (l *link) poll(p *pending) {
	if l.mayPoll() && !l.conn.Poll(func() bool { return len(p.done)+len(p.prints) > 0 || l.out.owed.Load() > 0 }) {
		l.polledInVain()
	}
}

func (l *link) polledInVain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polls = -pollEvery
}

// rexRequest asks rex to call erpc:execute_call/4: that it exits with the result keeps the classes of exceptions apart,
// which rpc:call mixes up.
func rexRequest(self etf.Pid, ref etf.Ref, call etf.List) (dist.Control, etf.Term) {
	var pid etf.Term = self
	return dist.Control{Op: dist.OpRegSend, From: pid, To: etf.Atom("rex")},
		etf.Tuple{etf.Atom("$gen_call"), etf.Tuple{pid, ref}, etf.Tuple{etf.Atom("call"), etf.Atom("erpc"), etf.Atom("execute_call"), call, pid}}
}

// rexReason takes the exit reason out of rex's {badrpc, {'EXIT', Reason}}.
func rexReason(t etf.Term) (etf.Term, bool) {
	if bad, ok := t.(etf.Tuple); ok && len(bad) == 2 && bad[0] == etf.Atom("badrpc") {
		if exit, ok := bad[1].(etf.Tuple); ok && len(exit) == 2 && exit[0] == etf.Atom("EXIT") {
			return exit[1], true
		}
	}
	return nil, false
}

// abandonRex has the process of a call killed that nobody waits for. rex is not asked again: it may be why nothing came.
func (l *link) abandonRex(self etf.Pid) {
	l.mu.Lock()
	l.rexLate = true
	l.mu.Unlock()
	_ = l.node.own(func() { l.hunt(self) })
}

// huntPauses are how long after a call was abandoned its process is looked for: rex may not have spawned it yet. If it
// has not a second later it is blocked, and the call is made whenever it is not any more.
var huntPauses = []time.Duration{0, 50 * time.Millisecond, time.Second}

// maxHunted bounds among how many calls under way at the node's rex one is looked for, each a question.
const maxHunted = 1000

// hunt kills the process that rex has spawned with the given group leader.
func (l *link) hunt(leader etf.Pid) {
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTime)
	defer cancel()
	for _, pause := range huntPauses {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		for _, pid := range l.rexWorkers(ctx) {
			if l.processInfo(ctx, pid, "group_leader") == leader {
				_ = l.answer(l.killer(pid), killed)
				return
			}
		}
	}
}

// rexWorkers returns the processes that rex monitors, which are those that run its calls.
func (l *link) rexWorkers(ctx context.Context) (pids []etf.Pid) {
	rex, err := l.call(ctx, &Request{Module: "erlang", Function: "whereis", Args: []etf.Term{etf.Atom("rex")}})
	if err != nil {
		return nil
	}
	monitors, _ := l.processInfo(ctx, rex, "monitors").(etf.List)
	for _, m := range slices.Backward(monitors) {
		of, _ := m.(etf.Tuple)
		if len(of) != 2 || len(pids) == maxHunted {
			continue
		}
		if pid, ok := of[1].(etf.Pid); ok {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (l *link) processInfo(ctx context.Context, pid etf.Term, item etf.Atom) etf.Term {
	t, err := l.call(ctx, &Request{Module: "erlang", Function: "process_info", Args: []etf.Term{pid, item}})
	if info, ok := t.(etf.Tuple); ok && err == nil && len(info) == 2 {
		return info[1]
	}
	return nil
}
