package node_test

import (
	"context"
	"encoding/binary"
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
	require.Eventually(t, func() bool { return newcomer.Connect(t.Context(), "go@127.0.0.1") == nil }, patience, 50*time.Millisecond)
	assert.Greater(t, time.Since(begun), 5*time.Second, "the places were taken")
	for _, nc := range silent {
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(patience)))
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

// Links and monitors are what a peer can have us remember; one that sets no end to them loses the connection.
func TestTooManyRelations(t *testing.T) {
	const most = 1 << 16
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	events, stop := n.Events()
	defer stop()
	for _, op := range []dist.Op{dist.OpMonitor, dist.OpLink} {
		p := process(t, n)
		x := rawPeer(t, c, addr)
		require.True(t, next(t, events).Up)
		relation := func(dst []byte, i uint32) []byte {
			them := etf.Pid{Node: "raw@127.0.0.1", ID: i & 0x7fff, Serial: i >> 15, Creation: 1}
			b, err := dist.AppendControl([]byte{131, 68, 0}, &dist.Control{
				Op: op, From: them, To: p.Self(), Ref: etf.Ref{Node: them.Node, Creation: 1, Len: 3, ID: [5]uint32{0, i}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
		}
		var all []byte
		for i := range uint32(most) {
			all = relation(all, i)
		}
		_, err := x.Write(all)
		require.NoError(t, err)
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("still_here")))
		require.Equal(t, etf.Atom("still_here"), receive(t, p))
		_, err = x.Write(relation(nil, most))
		require.NoError(t, err)
		require.ErrorIs(t, next(t, events).Err, dist.ErrProtocol)
	}
}

// A call's processes print more than is taken from it: what waits is bounded, the others are refused.
func TestTooManyPrint(t *testing.T) {
	const places, printing = 256, 400
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	events, stop := n.Events()
	defer stop()
	x := rawPeer(t, c, addr)
	require.True(t, next(t, events).Up)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, taken := io.Pipe() // which nobody reads
	done := make(chan error, 1)
	go func() {
		_, err := n.Do(ctx, "raw@127.0.0.1", node.Request{Module: "m", Function: "f", Stdout: taken})
		done <- err
	}()
	call := x.receive()
	require.Equal(t, dist.OpSpawnRequest, call.Op)
	print := func(i int) {
		them := etf.Pid{Node: "raw@127.0.0.1", ID: uint32(i), Creation: 1}
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: call.GroupLeader}, etf.Tuple{
			etf.Atom("io_request"), them, int64(i), etf.Tuple{etf.Atom("put_chars"), etf.Atom("unicode"), []byte("x")},
		}))
	}
	for i := range printing {
		print(i)
	}
	for range printing - places - 1 { // one has perhaps been taken, and is being written
		require.Equal(t, dist.OpSend, x.receive().Op, "refused")
	}
	require.NoError(t, out.Close())
	for range places + 1 { // the others, now that it can be told that nobody takes it
		require.Equal(t, dist.OpSend, x.receive().Op)
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// A monitor is its connection's: another peer that names its reference neither takes it back nor takes its place.
func TestMonitorsOfOthers(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	p := process(t, n)
	watcher, other := rawPeer(t, c, addr), rawPeerAs(t, c, addr, "other@127.0.0.1")
	ref := etf.Ref{Node: "raw@127.0.0.1", Creation: 1, Len: 3, ID: [5]uint32{1}}
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	monitor := dist.Control{Op: dist.OpMonitor, From: them, To: p.Self(), Ref: ref}
	heard := func(x raw) { // what was sent before it has been taken, too
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("heard")))
		require.Equal(t, etf.Atom("heard"), receive(t, p))
	}
	require.NoError(t, watcher.send(monitor, nil))
	heard(watcher)
	require.NoError(t, other.send(monitor, nil))
	monitor.Op = dist.OpDemonitor
	require.NoError(t, other.send(monitor, nil))
	heard(other)
	p.Exit(etf.Atom("over"))
	down := watcher.receive()
	assert.Equal(t, dist.OpPayloadMonitorExit, down.Op)
	assert.Equal(t, ref, down.Ref)
}
