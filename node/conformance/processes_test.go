package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

var processCases = []Case{
	{"messages to and from our processes, by pid and name, in the order sent", messages},
	{"messages to an alias, of ours and of theirs", aliases},
	{"monitors, both ways", monitors},
	{"links, both ways", links},
	{"unlinking", unlinking},
	{"`exit/2`, both ways, trapped and not", exits},
	{"a group leader set from there", groupLeader},
}

type bind = nodetest.Bindings

// Eval evaluates Erlang expressions on the node.
func (p *Peer) Eval(code string, vars bind) etf.Term {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), caseTime)
	defer cancel()
	got, err := nodetest.Eval(ctx, p.Node, p.Name, code, vars)
	require.NoError(p.t, err, "%s", code)
	return got
}

// Process makes a process of ours.
func (p *Peer) Process() *node.Process {
	p.t.Helper()
	proc, err := p.Node.NewProcess()
	require.NoError(p.t, err)
	return proc
}

// PidOf is the pid that a process of ours has for the node.
func (p *Peer) PidOf(proc *node.Process) etf.Pid {
	p.t.Helper()
	pid, err := proc.Pid(p.t.Context(), p.Name)
	require.NoError(p.t, err)
	return pid
}

func receive(t *testing.T, p *node.Process) any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTime/2)
	defer cancel()
	m, err := p.Receive(ctx)
	require.NoError(t, err)
	return m
}

// nothing asserts that the mailbox is empty: all that the node sent before it answered a call has come.
func (p *Peer) nothing(proc *node.Process) {
	p.t.Helper()
	require.NoError(p.t, p.Node.Ping(p.t.Context(), p.Name))
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Millisecond)
	defer cancel()
	m, err := proc.Receive(ctx)
	require.ErrorIs(p.t, err, node.ErrTimeout, "%v", m)
}

// loop spawns a process on the node that does as it is told.
func (p *Peer) loop() etf.Pid {
	p.t.Helper()
	return p.Eval(`Me = self(), Pid = spawn(fun() -> process_flag(trap_exit, true), Me ! {ready, self()}, F = fun F() ->
		receive
			{link, P} -> link(P), P ! linked, F();
			{unlink, P} -> unlink(P), P ! unlinked, F();
			{back, P, M} -> P ! M, F();
			{'EXIT', _, R} -> exit({got, R});
			{stop, R} -> exit(R)
		end end, F() end), receive {ready, Pid} -> Pid end`, nil).(etf.Pid)
}

func atoms(names ...etf.Atom) etf.Tuple {
	t := make(etf.Tuple, len(names))
	for i, n := range names {
		t[i] = n
	}
	return t
}

func messages(t *testing.T, e *Env) {
	p := e.Peer()
	proc := p.Process()
	require.NoError(t, p.Node.Register("inbox", proc))
	self := p.PidOf(proc)
	const many = 2000
	p.Eval(`P ! by_pid, {inbox, node(P)} ! by_name, [P ! I || I <- lists:seq(1, 2000)]`, bind{"P": self})
	assert.Equal(t, etf.Atom("by_pid"), receive(t, proc))
	assert.Equal(t, etf.Atom("by_name"), receive(t, proc))
	for i := range int64(many) {
		require.Equal(t, i+1, receive(t, proc))
	}
	stale := self
	stale.Creation++
	p.Eval(`S ! stale, P ! fresh`, bind{"P": self, "S": stale})
	assert.Equal(t, etf.Atom("fresh"), receive(t, proc), "a pid of an earlier life is nobody")

	echo := p.loop()
	p.Call("erlang", "register", etf.Atom("echo"), echo)
	for i := range int64(many) {
		require.NoError(t, proc.Send(t.Context(), echo, etf.Tuple{etf.Atom("back"), self, i}))
	}
	require.NoError(t, proc.Send(t.Context(), atoms("echo", etf.Atom(p.Name)), etf.Tuple{etf.Atom("back"), self, etf.Atom("by_name")}))
	for i := range int64(many) {
		require.Equal(t, i, receive(t, proc))
	}
	assert.Equal(t, etf.Atom("by_name"), receive(t, proc))
}

func aliases(t *testing.T, e *Env) {
	p := e.Peer()
	proc := p.Process()
	self := p.PidOf(proc)
	if e.Major < 24 {
		require.ErrorIs(t, proc.Send(t.Context(), etf.Ref{Node: etf.Atom(p.Name), Creation: 1, Len: 3}, 1), dist.ErrMissingFlags)
		e.Note("none")
		return
	}
	alias, err := proc.Alias(t.Context(), p.Name)
	require.NoError(t, err)
	p.Eval(`A ! hello`, bind{"A": alias})
	assert.Equal(t, etf.Atom("hello"), receive(t, proc))
	proc.Unalias(alias)
	p.Eval(`A ! late, P ! after_late`, bind{"A": alias, "P": self})
	assert.Equal(t, etf.Atom("after_late"), receive(t, proc))

	p.Eval(`spawn(fun() -> P ! alias(), receive M -> P ! {got, M} end end)`, bind{"P": self})
	theirs := receive(t, proc)
	require.IsType(t, etf.Ref{}, theirs)
	require.NoError(t, proc.Send(t.Context(), theirs, etf.Atom("hello")))
	assert.Equal(t, atoms("got", "hello"), receive(t, proc))
}

func monitors(t *testing.T, e *Env) {
	p := e.Peer()
	ctx := t.Context()
	proc, pid := p.Process(), p.loop()
	p.Call("erlang", "register", etf.Atom("watched"), pid)
	named := atoms("watched", etf.Atom(p.Name))
	byPid, err := proc.Monitor(ctx, pid)
	require.NoError(t, err)
	byName, err := proc.Monitor(ctx, named)
	require.NoError(t, err)
	taken, err := proc.Monitor(ctx, pid)
	require.NoError(t, err)
	require.NoError(t, proc.Demonitor(ctx, taken))
	why := etf.Tuple{etf.Atom("why"), int64(1)}
	require.NoError(t, proc.Send(ctx, pid, etf.Tuple{etf.Atom("stop"), why}))
	assert.ElementsMatch(t, []any{
		node.Down{Ref: byPid, From: pid, Reason: why}, node.Down{Ref: byName, From: named, Reason: why},
	}, []any{receive(t, proc), receive(t, proc)})
	gone, err := proc.Monitor(ctx, pid)
	require.NoError(t, err)
	assert.Equal(t, node.Down{Ref: gone, From: pid, Reason: etf.Atom("noproc")}, receive(t, proc))
	p.nothing(proc)

	// They monitor us: by pid, by name, and one is taken back.
	self, sink := p.PidOf(proc), p.Process()
	require.NoError(t, p.Node.Register("go", proc))
	p.Eval(`spawn(fun() -> monitor(process, P), monitor(process, {go, node(P)}), demonitor(monitor(process, P)), S ! ready,
		F = fun F() -> receive {'DOWN', _, process, Who, Why} -> S ! {Who, Why}, F() end end, F() end)`, bind{"P": self, "S": p.PidOf(sink)})
	require.Equal(t, etf.Atom("ready"), receive(t, sink))
	proc.Exit(etf.Atom("over"))
	assert.ElementsMatch(t, []any{
		etf.Tuple{self, etf.Atom("over")}, etf.Tuple{atoms("go", self.Node), etf.Atom("over")},
	}, []any{receive(t, sink), receive(t, sink)})
	p.nothing(sink)

	last, err := sink.Monitor(ctx, atoms("net_kernel", etf.Atom(p.Name)))
	require.NoError(t, err)
	p.Kill()
	assert.Equal(t, node.Down{Ref: last, From: atoms("net_kernel", etf.Atom(p.Name)), Reason: etf.Atom("noconnection")}, receive(t, sink))
}

func links(t *testing.T, e *Env) {
	p := e.Peer()
	ctx := t.Context()
	for _, theirs := range []bool{false, true} { // who makes the link
		// Our end is their exit signal …
		proc, watch, pid := p.Process(), p.Process(), p.loop()
		ref, err := watch.Monitor(ctx, pid)
		require.NoError(t, err)
		link := func(proc *node.Process) {
			t.Helper()
			if !theirs {
				require.NoError(t, proc.Link(t.Context(), pid))
				return
			}
			require.NoError(t, proc.Send(t.Context(), pid, etf.Tuple{etf.Atom("link"), p.PidOf(proc)}))
			require.Equal(t, etf.Atom("linked"), receive(t, proc))
		}
		link(proc)
		proc.Exit(etf.Atom("bye"))
		assert.Equal(t, node.Down{Ref: ref, From: pid, Reason: atoms("got", "bye")}, receive(t, watch))
		// … and theirs is ours.
		for _, trap := range []bool{false, true} {
			proc, pid = p.Process(), p.loop()
			proc.TrapExit(trap)
			link(proc)
			require.NoError(t, proc.Send(ctx, pid, atoms("stop", "broken")))
			if trap {
				assert.Equal(t, node.Exit{From: pid, Reason: etf.Atom("broken")}, receive(t, proc))
			} else {
				<-proc.Done()
				require.EqualError(t, proc.Err(), "the process has ended: broken")
			}
		}
	}
	proc, gone := p.Process(), p.loop()
	proc.TrapExit(true)
	require.NoError(t, proc.Kill(ctx, gone, etf.Atom("kill")))
	require.NoError(t, proc.Link(ctx, gone))
	assert.Equal(t, node.Exit{From: gone, Reason: etf.Atom("noproc")}, receive(t, proc))
	other := p.loop()
	require.NoError(t, proc.Link(ctx, other))
	require.NoError(t, p.Node.Ping(ctx, p.Name)) // the link is there
	p.Kill()
	assert.Equal(t, node.Exit{From: other, Reason: etf.Atom("noconnection")}, receive(t, proc))
}

func unlinking(t *testing.T, e *Env) {
	p := e.Peer()
	ctx := t.Context()
	proc, pid := p.Process(), p.loop()
	proc.TrapExit(true)
	linked := func() etf.Term { return p.Call("erlang", "process_info", pid, etf.Atom("links")).(etf.Tuple)[1] }
	for range 20 { // theirs; OTP 23 has only the old signal for it
		require.NoError(t, proc.Link(ctx, pid))
		require.NoError(t, proc.Send(ctx, pid, etf.Tuple{etf.Atom("unlink"), p.PidOf(proc)}))
		require.Equal(t, etf.Atom("unlinked"), receive(t, proc))
		require.Equal(t, etf.List(nil), linked())
	}
	if e.Major < 24 {
		require.ErrorIs(t, proc.Unlink(ctx, pid), dist.ErrMissingFlags)
		e.Note("by the node")
	} else {
		for range 20 {
			require.NoError(t, proc.Link(ctx, pid))
			require.NoError(t, proc.Unlink(ctx, pid))
			require.NoError(t, proc.Send(ctx, pid, etf.Tuple{etf.Atom("back"), p.PidOf(proc), etf.Atom("after")}))
			require.Equal(t, etf.Atom("after"), receive(t, proc))
			require.Equal(t, etf.List(nil), linked())
		}
	}
	require.NoError(t, proc.Send(ctx, pid, atoms("stop", "broken")))
	p.nothing(proc)
	require.NoError(t, proc.Err())
}

func exits(t *testing.T, e *Env) {
	p := e.Peer()
	proc := p.Process()
	proc.TrapExit(true)
	self := p.PidOf(proc)
	p.Eval(`exit(P, {please, 1})`, bind{"P": self})
	assert.Equal(t, etf.Tuple{etf.Atom("please"), int64(1)}, receive(t, proc).(node.Exit).Reason)
	p.Eval(`exit(P, kill)`, bind{"P": self})
	<-proc.Done()
	require.EqualError(t, proc.Err(), "the process has ended: killed")

	watch, pid := p.Process(), p.loop()
	for _, reason := range []etf.Atom{"please", "kill"} {
		ref, err := watch.Monitor(t.Context(), pid)
		require.NoError(t, err)
		require.NoError(t, watch.Kill(t.Context(), pid, reason))
		var want etf.Term = atoms("got", "please")
		if reason == "kill" {
			want = etf.Atom("killed")
		}
		assert.Equal(t, node.Down{Ref: ref, From: pid, Reason: want}, receive(t, watch))
		pid = p.loop()
	}
}

func groupLeader(t *testing.T, e *Env) {
	p := e.Peer()
	proc := p.Process()
	assert.Nil(t, proc.GroupLeader())
	leader := p.Eval(`group_leader(whereis(init), P), P ! set, whereis(init)`, bind{"P": p.PidOf(proc)})
	assert.Equal(t, etf.Atom("set"), receive(t, proc))
	assert.Equal(t, leader, proc.GroupLeader())
}
