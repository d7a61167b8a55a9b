package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

type bind = nodetest.Bindings

// eval evaluates Erlang expressions on the node, with variables, and returns the value of the last.
func eval(t *testing.T, n *node.Node, name, code string, vars bind) etf.Term {
	t.Helper()
	got, err := nodetest.Eval(t.Context(), n, name, code, vars)
	require.NoError(t, err)
	return got
}

func process(t *testing.T, n *node.Node) *node.Process {
	t.Helper()
	p, err := n.NewProcess()
	require.NoError(t, err)
	return p
}

// pidAt is the pid of p for the node called name.
func pidAt(t *testing.T, p *node.Process, name string) etf.Pid {
	t.Helper()
	pid, err := p.Pid(t.Context(), name)
	require.NoError(t, err)
	return pid
}

func receive(t *testing.T, p *node.Process) any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := p.Receive(ctx)
	require.NoError(t, err)
	return m
}

// silent asserts that nothing comes: what was sent before a call to the same node has come when its result has.
func silent(t *testing.T, p *node.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	m, err := p.Receive(ctx)
	require.ErrorIs(t, err, node.ErrTimeout, "%v", m)
}

// configs are the two kinds of node: with a name of its own, and named by its peers.
var configs = map[string]node.Config{"dynamic": {}, "named": {Name: "go@127.0.0.1"}}

func TestProcessMessages(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			p := process(t, n)
			require.NoError(t, n.Register("inbox", p))
			require.ErrorIs(t, n.Register("inbox", process(t, n)), node.ErrNameTaken)
			require.ErrorIs(t, n.Register("net_kernel", p), node.ErrNameTaken)
			assert.Same(t, p, n.Whereis("inbox"))
			self := pidAt(t, p, e.Name)
			alias, err := p.Alias(t.Context(), e.Name)
			require.NoError(t, err)

			// In, by pid, name and alias, in the order sent.
			eval(t, n, e.Name, `P ! by_pid, {inbox, node(P)} ! by_name, A ! by_alias, [P ! I || I <- lists:seq(1, 10000)]`,
				bind{"P": self, "A": alias})
			for _, want := range []etf.Term{etf.Atom("by_pid"), etf.Atom("by_name"), etf.Atom("by_alias")} {
				assert.Equal(t, want, receive(t, p))
			}
			for i := range int64(10000) {
				require.Equal(t, i+1, receive(t, p))
			}
			p.Unalias(alias)
			eval(t, n, e.Name, `A ! late, P ! after_late`, bind{"P": self, "A": alias})
			assert.Equal(t, etf.Atom("after_late"), receive(t, p))

			// Out, the same three ways: a process there sends back what it gets.
			got := eval(t, n, e.Name, `
				E = spawn(fun() -> register(echo, self()), P ! {alias, alias()}, F = fun F() -> receive M -> P ! {back, M} end, F() end, F() end),
				E`, bind{"P": self})
			echo := got.(etf.Pid)
			theirs := receive(t, p).(etf.Tuple)[1]
			for _, to := range []etf.Term{echo, etf.Tuple{etf.Atom("echo"), etf.Atom(e.Name)}, theirs} {
				require.NoError(t, p.Send(t.Context(), to, etf.Tuple{self, "x"}))
				assert.Equal(t, etf.Tuple{etf.Atom("back"), etf.Tuple{self, []byte("x")}}, receive(t, p))
			}
			for i := range 1000 {
				require.NoError(t, p.Send(t.Context(), echo, i))
			}
			for i := range int64(1000) {
				require.Equal(t, etf.Tuple{etf.Atom("back"), i}, receive(t, p))
			}

			// Within the node, by every name it has.
			q := process(t, n)
			for _, to := range []etf.Term{etf.Atom("inbox"), p.Self(), self, etf.Tuple{etf.Atom("inbox"), p.Self().Node}} {
				require.NoError(t, q.Send(t.Context(), to, etf.Atom("hello")))
				assert.Equal(t, etf.Atom("hello"), receive(t, p))
			}
			require.ErrorIs(t, q.Send(t.Context(), etf.Atom("nobody"), 1), node.ErrDestination)
			require.ErrorIs(t, q.Send(t.Context(), 17, 1), node.ErrDestination)

			// A pid of an earlier life is nobody.
			stale := self
			stale.Creation++
			eval(t, n, e.Name, `S ! stale, P ! fresh`, bind{"P": self, "S": stale})
			assert.Equal(t, etf.Atom("fresh"), receive(t, p))

			p.Exit(etf.Atom("done"))
			_, err = p.Receive(t.Context())
			var exit *node.ExitError
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, etf.Atom("done"), exit.Reason)
			assert.Nil(t, n.Whereis("inbox"))
			require.ErrorAs(t, p.Send(t.Context(), echo, 1), &exit)
		})
	}
}

func TestMonitor(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			p := process(t, n)
			self := pidAt(t, p, e.Name)
			ctx := t.Context()

			// We monitor them: by pid, by name, what is not there, and one we take back.
			pid := eval(t, n, e.Name, `spawn(fun() -> receive R -> exit(R) end end)`, nil).(etf.Pid)
			eval(t, n, e.Name, `register(w, P)`, bind{"P": pid})
			byPid, err := p.Monitor(ctx, pid)
			require.NoError(t, err)
			byName, err := p.Monitor(ctx, etf.Tuple{etf.Atom("w"), etf.Atom(e.Name)})
			require.NoError(t, err)
			taken, err := p.Monitor(ctx, pid)
			require.NoError(t, err)
			require.NoError(t, p.Demonitor(ctx, taken))
			require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("why"), 1}))
			why := etf.Tuple{etf.Atom("why"), int64(1)}
			assert.ElementsMatch(t, []any{
				node.Down{Ref: byPid, From: pid, Reason: why},
				node.Down{Ref: byName, From: etf.Tuple{etf.Atom("w"), etf.Atom(e.Name)}, Reason: why},
			}, []any{receive(t, p), receive(t, p)})
			gone, err := p.Monitor(ctx, pid)
			require.NoError(t, err)
			assert.Equal(t, node.Down{Ref: gone, From: pid, Reason: etf.Atom("noproc")}, receive(t, p))
			silent(t, p)

			// They monitor us, by pid and by name.
			require.NoError(t, n.Register("go", p))
			eval(t, n, e.Name, `S = self(), spawn(fun() -> register(watch, self()), monitor(process, P), monitor(process, {go, node(P)}),
				demonitor(monitor(process, P)), S ! ready,
				F = fun F(L) -> receive {'DOWN', _, _, Who, Why} -> F([{Who, Why}|L]); {get, Q} -> Q ! L end end, F([]) end), receive ready -> ok end`, bind{"P": self})
			p.Exit(etf.Atom("over"))
			q := process(t, n)
			require.NoError(t, q.Send(ctx, etf.Tuple{etf.Atom("watch"), etf.Atom(e.Name)}, etf.Tuple{etf.Atom("get"), pidAt(t, q, e.Name)}))
			over := etf.Atom("over")
			assert.ElementsMatch(t, etf.List{etf.Tuple{self, over}, etf.Tuple{etf.Tuple{etf.Atom("go"), self.Node}, over}}, receive(t, q))
			assert.Equal(t, etf.Atom("noproc"), eval(t, n, e.Name,
				`R = monitor(process, P), receive {'DOWN', R, _, _, Why} -> Why end`, bind{"P": self}))

			// Within the node.
			r := process(t, n)
			ref, err := q.Monitor(ctx, r.Self())
			require.NoError(t, err)
			from := r.Self()
			r.Exit(nil)
			assert.Equal(t, node.Down{Ref: ref, From: from, Reason: etf.Atom("normal")}, receive(t, q))

			// The node goes.
			ref, err = q.Monitor(ctx, etf.Tuple{etf.Atom("net_kernel"), etf.Atom(e.Name)})
			require.NoError(t, err)
			e.Kill()
			assert.Equal(t, node.Down{Ref: ref, From: etf.Tuple{etf.Atom("net_kernel"), etf.Atom(e.Name)}, Reason: etf.Atom("noconnection")}, receive(t, q))
			require.Eventually(t, func() bool { // EPMD sees it go, too
				_, err = q.Monitor(ctx, pid)
				return errors.Is(err, node.ErrNoSuchName)
			}, patience, time.Millisecond)
		})
	}
}

func TestLink(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			ctx := t.Context()
			loop := func() etf.Pid {
				return eval(t, n, e.Name, `spawn(fun() -> process_flag(trap_exit, true),
					F = fun F() -> receive {link, P} -> link(P), F(); {unlink, P} -> unlink(P), F(); {ask, P} -> P ! process_info(self(), links), F();
						{'EXIT', _, R} -> exit({got, R}); {stop, R} -> exit(R) end end, F() end)`, nil).(etf.Pid)
			}
			// Our end becomes their exit signal, whoever linked.
			for _, theirs := range []bool{false, true} {
				p, q, pid := process(t, n), process(t, n), loop()
				ref, err := q.Monitor(ctx, pid)
				require.NoError(t, err)
				if theirs {
					require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("link"), pidAt(t, p, e.Name)}))
					require.Eventually(t, func() bool { return len(links(t, n, e, pid)) == 1 }, patience, time.Millisecond)
				} else {
					require.NoError(t, p.Link(ctx, pid))
					require.NoError(t, p.Link(ctx, pid), "a second one is the first")
				}
				assert.Equal(t, etf.List{pidAt(t, p, e.Name)}, links(t, n, e, pid))
				p.Exit(etf.Atom("bye"))
				assert.Equal(t, node.Down{Ref: ref, From: pid, Reason: etf.Tuple{etf.Atom("got"), etf.Atom("bye")}}, receive(t, q))
			}
			// Their end is ours, or a message if we trap exits; normal is no reason to end.
			for _, trap := range []bool{false, true} {
				p, pid := process(t, n), loop()
				p.TrapExit(trap)
				require.NoError(t, p.Link(ctx, pid))
				require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("stop"), etf.Atom("broken")}))
				if trap {
					assert.Equal(t, node.Exit{From: pid, Reason: etf.Atom("broken")}, receive(t, p))
					require.NoError(t, p.Err())
				} else {
					<-p.Done()
					require.EqualError(t, p.Err(), "the process has ended: broken")
				}
			}
			p, pid := process(t, n), loop()
			require.NoError(t, p.Link(ctx, pid))
			require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("stop"), etf.Atom("normal")}))
			silent(t, p)
			require.NoError(t, p.Err())
			// Unlinked from either side, nothing happens. And a link to what is gone is an exit signal.
			pid = loop()
			require.NoError(t, p.Link(ctx, pid))
			require.NoError(t, p.Unlink(ctx, pid))
			require.NoError(t, p.Link(ctx, pid))
			require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("unlink"), pidAt(t, p, e.Name)}))
			require.Eventually(t, func() bool { return len(links(t, n, e, pid)) == 0 }, patience, time.Millisecond)
			require.NoError(t, p.Send(ctx, pid, etf.Tuple{etf.Atom("stop"), etf.Atom("broken")}))
			require.Eventually(t, func() bool { return links(t, n, e, pid) == nil }, patience, time.Millisecond)
			silent(t, p)
			p.TrapExit(true)
			require.NoError(t, p.Link(ctx, pid))
			assert.Equal(t, node.Exit{From: pid, Reason: etf.Atom("noproc")}, receive(t, p))
			// exit/2, and what cannot be trapped.
			self := pidAt(t, p, e.Name)
			eval(t, n, e.Name, `exit(P, please)`, bind{"P": self})
			assert.Equal(t, etf.Atom("please"), receive(t, p).(node.Exit).Reason)
			eval(t, n, e.Name, `exit(P, kill)`, bind{"P": self})
			<-p.Done()
			require.EqualError(t, p.Err(), "the process has ended: killed")
			// We do it to them.
			q, pid := process(t, n), eval(t, n, e.Name, `spawn(timer, sleep, [infinity])`, nil).(etf.Pid)
			ref, err := q.Monitor(ctx, pid)
			require.NoError(t, err)
			require.NoError(t, q.Kill(ctx, pid, etf.Atom("kill")))
			assert.Equal(t, node.Down{Ref: ref, From: pid, Reason: etf.Atom("killed")}, receive(t, q))
		})
	}
}

// links asks the node for the links of a process; nil if there is no such process.
func links(t *testing.T, n *node.Node, e *nodetest.Erl, pid etf.Pid) etf.List {
	t.Helper()
	got, err := n.Call(t.Context(), e.Name, "erlang", "process_info", pid, etf.Atom("links"))
	require.NoError(t, err)
	if got == etf.Term(etf.Atom("undefined")) {
		return nil
	}
	l := got.(etf.Tuple)[1].(etf.List)
	if l == nil {
		l = etf.List{}
	}
	return l
}

// Both sides link and unlink as fast as they can. The connection survives (an acknowledgement in the wrong place would leave a link, or
// end it), and in the end both agree.
func TestLinkStorm(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	p := process(t, n)
	p.TrapExit(true)
	self := pidAt(t, p, e.Name)
	pid := eval(t, n, e.Name, `spawn(fun() -> process_flag(trap_exit, true), F = fun F(0) -> P ! storm_over, timer:sleep(infinity);
		F(K) -> link(P), unlink(P), F(K-1) end, F(10000) end)`, bind{"P": self}).(etf.Pid)
	for range 3000 {
		require.NoError(t, p.Link(t.Context(), pid))
		require.NoError(t, p.Unlink(t.Context(), pid))
	}
	assert.Equal(t, etf.Atom("storm_over"), receive(t, p))
	require.NoError(t, n.Ping(t.Context(), e.Name))
	assert.Empty(t, links(t, n, e, pid))
	require.NoError(t, p.Link(t.Context(), pid))
	assert.Equal(t, etf.List{self}, links(t, n, e, pid))
	require.NoError(t, p.Kill(t.Context(), pid, etf.Atom("kill")))
	assert.Equal(t, node.Exit{From: pid, Reason: etf.Atom("killed")}, receive(t, p))
	silent(t, p)
}

// A process that does not read its messages ends, with a reason; the connection and other processes do not notice.
func TestMailboxOverflow(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	for name, flood := range map[string]string{
		"count": `[P ! I || I <- lists:seq(1, 100001)]`,
		"bytes": `B = binary:copy(<<1>>, 1 bsl 20), [P ! B || _ <- lists:seq(1, 65)]`,
	} {
		p, q := process(t, n), process(t, n)
		_, err := q.Monitor(t.Context(), p.Self())
		require.NoError(t, err)
		eval(t, n, e.Name, flood, bind{"P": pidAt(t, p, e.Name)})
		assert.Equal(t, etf.Atom("mailbox_overflow"), receive(t, q).(node.Down).Reason, name)
		require.NoError(t, n.Ping(t.Context(), e.Name))
	}
	// One message may be larger.
	p := process(t, n)
	eval(t, n, e.Name, `P ! binary:copy(<<1>>, 65 bsl 20)`, bind{"P": pidAt(t, p, e.Name)})
	assert.Len(t, receive(t, p), 65<<20)
}

func TestSpawn(t *testing.T) {
	n, err := node.Start(node.Config{})
	require.NoError(t, err)
	p := process(t, n)
	for _, tc := range []struct {
		fn     func(context.Context, *node.Process) error
		reason etf.Term
	}{
		{func(context.Context, *node.Process) error { return nil }, etf.Atom("normal")},
		{func(context.Context, *node.Process) error { return &node.ExitError{Reason: etf.Atom("x")} }, etf.Atom("x")},
		{func(context.Context, *node.Process) error { return assert.AnError }, []byte(assert.AnError.Error())},
	} {
		start := make(chan struct{})
		q, err := n.Spawn(func(ctx context.Context, p *node.Process) error { <-start; return tc.fn(ctx, p) })
		require.NoError(t, err)
		_, err = p.Monitor(t.Context(), q.Self())
		require.NoError(t, err)
		close(start)
		assert.Equal(t, tc.reason, receive(t, p).(node.Down).Reason)
	}
	// Exit cancels the function, and so does Close; a chain of links falls together.
	cause := make(chan error, 1)
	q, err := n.Spawn(func(ctx context.Context, _ *node.Process) error {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil
	})
	require.NoError(t, err)
	r := process(t, n)
	require.NoError(t, r.Link(t.Context(), q.Self()))
	r.Exit(etf.Atom("chain"))
	require.EqualError(t, <-cause, "the process has ended: chain")
	_, err = n.Spawn(func(ctx context.Context, _ *node.Process) error {
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, n.Close())
	require.ErrorIs(t, <-cause, node.ErrClosed)
	_, err = n.NewProcess()
	require.ErrorIs(t, err, node.ErrClosed)
}
