package node_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// mute listens, and says nothing to whoever connects; who does comes over the channel.
func mute(t *testing.T) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ch := make(chan net.Conn, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			ch <- nc
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
		close(ch)
		for nc := range ch {
			_ = nc.Close()
		}
	})
	return ln.Addr().String(), ch
}

// An attempt to connect ends by itself. Who waits for that of another is told how the one before it ended.
func TestConnectGivesUp(t *testing.T) {
	c := nodetest.New(t)
	n := c.Node()
	const name = "mute@127.0.0.1"
	require.NoError(t, n.AddPeer(node.Peer{Name: name, Addr: nodetest.ClosedAddr(t)}))
	require.ErrorIs(t, n.Connect(t.Context(), name), node.ErrRefused)

	addr, accepted := mute(t)
	require.NoError(t, n.AddPeer(node.Peer{Name: name, Addr: addr}))
	patient := make(chan error, 1)
	go func() { patient <- n.Connect(t.Context(), name) }() // which has no deadline
	defer (<-accepted).Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := n.Connect(short, name)
	require.ErrorIs(t, err, node.ErrTimeout)
	require.ErrorIs(t, err, node.ErrRefused, "the last that is known")
	err = <-patient
	require.ErrorIs(t, err, node.ErrTimeout)
	require.ErrorContains(t, err, "no connection within 8s")
	assert.NotContains(t, err.Error(), "context deadline")
}

// A reply to a caller whose node has gone is dropped: nobody connects for it.
func TestReplyDoesNotConnect(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	callers := make(chan node.Caller, 1)
	_, err := n.StartServer("slow", node.Server{Call: func(_ context.Context, from node.Caller, _ etf.Term) (etf.Term, error) {
		callers <- from
		return nil, node.ErrNoReply
	}})
	require.NoError(t, err)
	x, err := node.Start(node.Config{Name: "x@127.0.0.1", Cookie: c.Cookie})
	require.NoError(t, err)
	require.NoError(t, x.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
	called := make(chan error, 1)
	go func() {
		_, err := x.GenCall(t.Context(), etf.Tuple{etf.Atom("slow"), etf.Atom("go@127.0.0.1")}, etf.Atom("ask"))
		called <- err
	}()
	from := <-callers
	require.NoError(t, x.Close())
	require.Error(t, <-called)
	require.Eventually(t, func() bool { return len(n.Nodes()) == 0 }, patience, time.Millisecond)

	at, accepted := mute(t)
	require.NoError(t, n.AddPeer(node.Peer{Name: "x@127.0.0.1", Addr: at}))
	require.ErrorIs(t, from.Reply(t.Context(), 1), node.ErrNodeDown)
	assert.Empty(t, accepted)
}

// However often a node comes and goes, one goroutine waits to connect to it again.
func TestFlappingPeer(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1", Reconnect: node.Backoff{Min: time.Hour}})
	x, err := node.Start(node.Config{Name: "x@127.0.0.1", Cookie: c.Cookie})
	require.NoError(t, err)
	at, err := x.Listen(t.Context(), node.ListenConfig{Unregistered: true})
	require.NoError(t, err)
	require.NoError(t, n.AddPeer(node.Peer{Name: "x@127.0.0.1", Addr: at.String()}))
	events, stop := n.Events()
	defer stop()
	require.NoError(t, n.Connect(t.Context(), "x@127.0.0.1"))
	assert.True(t, next(t, events).Up)
	require.NoError(t, x.Close())
	assert.False(t, next(t, events).Up)
	for range 20 {
		_ = rawPeerAs(t, c, addr, "x@127.0.0.1").Close()
		assert.True(t, next(t, events).Up)
		assert.False(t, next(t, events).Up)
	}
	require.Eventually(t, func() bool { return running("(*Node).reconnect(") == 1 }, patience, time.Millisecond)
	n.Disconnect("x@127.0.0.1")
	require.NoError(t, n.Close())
	require.Eventually(t, func() bool { return running("(*Node).reconnect(") == 0 }, patience, time.Millisecond)
}

// running counts the goroutines that are in a function.
func running(fn string) (count int) {
	stacks := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, fn) {
			count++
		}
	}
	return count
}

// A message whose sender has given up is not overtaken by its next ones.
func TestAbandonedSendKeepsOrder(t *testing.T) {
	const size = 64 << 20 // far more than both systems' buffers hold
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	p := process(t, n)
	sink := eval(t, n, e.Name, `spawn(fun() -> receive {big, B} -> receive First -> receive P -> P ! {byte_size(B), First} end end;
		First -> receive P -> P ! {overtaken_by, First} end end end)`, nil)
	e.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Send(ctx, sink, etf.Tuple{etf.Atom("big"), make([]byte, size)}), node.ErrTimeout)
	e.Continue()
	require.NoError(t, p.Send(t.Context(), sink, etf.Atom("first")))
	require.NoError(t, p.Send(t.Context(), sink, pidAt(t, p, e.Name)))
	assert.Equal(t, etf.Tuple{int64(size), etf.Atom("first")}, receive(t, p))
}
