package node_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Connections that say nothing hold the places for handshakes, and no longer than a handshake may take: then nodes come in again.
func TestSilentFlood(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	friend := c.Node()
	require.NoError(t, friend.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
	require.NoError(t, friend.Ping(t.Context(), "go@127.0.0.1"))
	begun := time.Now()
	const many = 300 // more than there are places
	var silent []net.Conn
	for range many {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		silent = append(silent, nc)
	}
	require.NoError(t, friend.Ping(t.Context(), "go@127.0.0.1"), "who is in is not concerned")
	newcomer := c.Node()
	require.NoError(t, newcomer.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
	require.Eventually(t, func() bool { return newcomer.Connect(t.Context(), "go@127.0.0.1") == nil }, 20*time.Second, 50*time.Millisecond)
	assert.Greater(t, time.Since(begun), 5*time.Second, "the places were taken")
	for _, nc := range silent {
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err := nc.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "they are closed")
	}
	assert.Len(t, n.Nodes(), 2)
}

// Messages that are attacks on whoever decodes them cost their sender the connection, once somebody does; services do at once.
func TestHostileMessages(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	deep := make(etf.Raw, 0, 2_000_000)
	for range 1_000_000 {
		deep = append(deep, 104, 1)
	}
	for name, payload := range map[string]etf.Raw{
		"deep nesting":    deep,
		"a bomb":          {80, 0xff, 0xff, 0xff, 0xff, 0x78, 0x9c, 1, 2, 3},
		"a list of 2^32":  {108, 0xff, 0xff, 0xff, 0xff, 106},
		"a tuple of 2^32": {105, 0xff, 0xff, 0xff, 0xff, 106},
		"a map of 2^32":   {116, 0xff, 0xff, 0xff, 0xff, 106},
		"a binary of 4 G": {109, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		for _, to := range []etf.Term{etf.Atom("net_kernel"), etf.Atom("rex"), etf.Atom("reader")} {
			p := process(t, n)
			require.NoError(t, n.Register("reader", p))
			events, stop := n.Events()
			x := rawPeer(t, c, addr)
			require.True(t, next(t, events).Up)
			them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
			require.NoError(t, x.send(dist.Control{Op: dist.OpRegSend, From: them, To: to}, payload))
			ctx, cancel := context.WithCancel(t.Context())
			read := make(chan struct{})
			go func() { defer close(read); _, _ = p.Receive(ctx) }()
			assert.False(t, next(t, events).Up, "%s to %s", name, etf.Format(to))
			cancel()
			<-read
			stop()
			p.Exit(nil)
		}
	}
	require.Empty(t, n.Nodes())
}
