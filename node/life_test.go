package node_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func TestEvents(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	n.Disconnect(e.Name)
	events, stop := n.Events()
	lazy, stopLazy := n.Events() // never reads: it loses events, the others do not
	defer stopLazy()
	for range 600 {
		require.NoError(t, n.Connect(t.Context(), e.Name))
		assert.Equal(t, node.Event{Node: e.Name, Up: true}, next(t, events))
		n.Disconnect(e.Name)
		assert.Equal(t, node.Event{Node: e.Name, Err: dist.ErrClosed}, next(t, events))
	}
	for range 1024 {
		require.Zero(t, next(t, lazy).Missed)
	}
	require.NoError(t, n.Connect(t.Context(), e.Name))
	assert.Equal(t, 1200-1024, next(t, lazy).Missed)
	assert.True(t, next(t, events).Up)
	e.Kill()
	down := next(t, events)
	assert.False(t, down.Up)
	require.Error(t, down.Err)
	stop()
	_, more := <-events
	assert.False(t, more)
	stop() // again does nothing
}

// A node that was lost is there again by itself when it is back, if the Config says so, and not after Disconnect.
func TestReconnect(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.NodeConfig(node.Config{Reconnect: node.Backoff{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond}}, e)
	plain := c.Node(e)
	events, stop := n.Events()
	defer stop()
	e.Kill()
	assert.False(t, next(t, events).Up)
	e = c.Erl("a")
	up := next(t, events)
	assert.True(t, up.Up)
	require.Eventually(t, func() bool { return len(plain.Nodes()) == 0 }, patience, time.Millisecond, "off by default")
	n.Disconnect(e.Name)
	assert.False(t, next(t, events).Up)
	time.Sleep(100 * time.Millisecond)
	assert.Empty(t, n.Nodes())
	// While it is trying, Disconnect and Close end that.
	require.NoError(t, n.Connect(t.Context(), e.Name))
	e.Kill()
	assert.True(t, next(t, events).Up)
	assert.False(t, next(t, events).Up)
	require.NoError(t, n.Close())
}

// A stopped node costs those who talk to it their deadline, and nobody else anything: the calls, processes and connections of others go
// on at their pace, and Close does not wait for it.
func TestStoppedNodeCostsOnlyItsOwn(t *testing.T) {
	c := nodetest.New(t)
	a, b := c.Erl("a"), c.Erl("b")
	n := c.Node(a, b)
	p := process(t, n)
	sink := eval(t, n, a.Name, `spawn(timer, sleep, [infinity])`, nil)
	watched := process(t, n)
	ref, err := p.Monitor(t.Context(), sink)
	require.NoError(t, err)
	eval(t, n, a.Name, `[spawn(fun() -> monitor(process, P), timer:sleep(infinity) end) || _ <- lists:seq(1, 2000)], ok`,
		bind{"P": pidAt(t, watched, a.Name)})
	a.Stop()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stuck sync.WaitGroup
	var sent atomic.Int64
	for range 50 {
		stuck.Go(func() {
			q := process(t, n)
			big := make([]byte, 100_000)
			for {
				if err := q.Send(ctx, sink, big); err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				sent.Add(1)
			}
		})
		stuck.Go(func() {
			_, err := n.Call(ctx, a.Name, "erlang", "node")
			assert.ErrorIs(t, err, context.Canceled)
		})
	}
	for before := int64(-1); sent.Load() != before; time.Sleep(100 * time.Millisecond) { // until there is no room for more
		before = sent.Load()
	}
	watched.Exit(etf.Atom("bye")) // 2000 signals for a node that takes none
	callMany(t, n, b.Name)
	cancel()
	stuck.Wait()
	a.Continue()
	require.NoError(t, n.Ping(t.Context(), a.Name), "the connection has survived")
	require.NoError(t, p.Demonitor(t.Context(), ref))

	a.Stop()
	start := time.Now()
	require.NoError(t, n.Close())
	assert.Less(t, time.Since(start), dist.DefaultTickTime/2, "it does not wait until the other is taken for dead")
}

// callMany makes calls one after the other, which are all answered; if each waited for a second that would take longer than the test does.
func callMany(t *testing.T, n *node.Node, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 200 {
		_, err := n.Call(ctx, name, "erlang", "node")
		require.NoError(t, err)
	}
}

// Real nodes ask in bursts, faster than we answer: all are answered.
func TestBurstOfRequests(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	got := eval(t, n, e.Name, `process_flag(trap_exit, true), L = lists:seq(1, 50000),
		R = [monitor(process, P) || _ <- L], [link(P) || _ <- L],
		{length([receive {'DOWN', X, _, _, noproc} -> ok end || X <- R]), receive {'EXIT', P, noproc} -> linked end}`,
		bind{"P": etf.Pid{Node: pidAt(t, process(t, n), e.Name).Node, ID: 99, Serial: 5000, Creation: 1}})
	assert.Equal(t, etf.Tuple{int64(50000), etf.Atom("linked")}, got)
}

// A peer that asks and does not read the answers loses the connection, not our memory.
func TestPeerThatReadsNoAnswers(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	events, stop := n.Events()
	defer stop()
	x := rawPeer(t, c, addr)
	assert.True(t, next(t, events).Up)
	pid := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	var err error
	for i := 0; err == nil && i < 1_000_000; i++ { // pings whose answers fill the socket, the queue, and the patience
		err = x.send(dist.Control{Op: dist.OpRegSend, From: pid, To: etf.Atom("net_kernel")},
			etf.Tuple{etf.Atom("$gen_call"), etf.Tuple{pid, make([]byte, 10_000)}, etf.Tuple{etf.Atom("is_auth"), etf.Atom("raw@127.0.0.1")}})
	}
	require.Error(t, err)
	down := next(t, events)
	require.ErrorIs(t, down.Err, dist.ErrProtocol)
}

// Signals that Erlang does not send, or not any more: none of them harms the node.
func TestOddSignals(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	p := process(t, n)
	x := rawPeer(t, c, addr)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	us, ref := p.Self(), etf.Ref{Node: "raw@127.0.0.1", Creation: 1, Len: 3, ID: [5]uint32{1}}
	nobody := us
	nobody.ID++
	for _, to := range []etf.Term{us, nobody, etf.Atom("nobody")} {
		for _, ctl := range []dist.Control{
			{Op: dist.OpExit, From: them, To: to, Reason: etf.Atom("not_linked")},
			{Op: dist.OpUnlinkID, From: them, To: to, ID: 1},
			{Op: dist.OpUnlinkIDAck, From: them, To: to, ID: 1},
			{Op: dist.OpDemonitor, From: them, To: to, Ref: ref},
			{Op: dist.OpMonitorExit, From: them, To: to, Ref: ref, Reason: etf.Atom("x")},
			{Op: dist.OpGroupLeader, From: them, To: to},
			{Op: dist.OpSpawnReply, Ref: ref, To: to, Result: them},
			{Op: dist.OpExit2, From: them, To: to, Reason: etf.Atom("normal")},
		} {
			require.NoError(t, x.send(ctl, nil))
		}
		for _, op := range []dist.Op{dist.OpPayloadExit, dist.OpPayloadMonitorExit} {
			require.NoError(t, x.send(dist.Control{Op: op, From: them, To: to, Ref: ref}, etf.Atom("x")))
		}
	}
	require.NoError(t, x.send(dist.Control{Op: dist.OpAliasSend, From: them, To: ref}, etf.Atom("x")))
	require.NoError(t, x.send(dist.Control{
		Op: dist.OpSpawnRequest, Ref: ref, From: them, GroupLeader: them, MFA: dist.MFA{Module: "m", Function: "f", Arity: 0},
		Opts: etf.List{int64(1)},
	}, etf.List{}))
	require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: us}, etf.Atom("still_here")))
	assert.Equal(t, etf.Atom("still_here"), receive(t, p))
	assert.Equal(t, them, p.GroupLeader())
	// A message that is no term costs its sender the connection once somebody tries to read it.
	events, stop := n.Events()
	defer stop()
	require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: us}, etf.Raw{118, 0, 9, 'x'}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { _, _ = p.Receive(ctx) }()
	assert.False(t, next(t, events).Up)
}
