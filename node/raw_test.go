package node_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// raw is a peer that says whatever a test wants.
type raw struct{ *disttest.Peer }

// rawPeer connects to a listening node as raw@127.0.0.1.
func rawPeer(t *testing.T, c *nodetest.Cluster, addr string) raw {
	t.Helper()
	return rawPeerAs(t, c, addr, "raw@127.0.0.1")
}

func rawPeerAs(t *testing.T, c *nodetest.Cluster, addr, name string) raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	x := raw{&disttest.Peer{Conn: nc, T: t}}
	h := dist.NewInitiator(dist.Identity{Name: name, Creation: 1, Flags: dist.Hidden | dist.FlagSpawn}, "", c.Cookie, 1, true)
	first, err := h.Start(nil)
	require.NoError(t, err)
	require.NoError(t, x.WriteHandshake(first))
	for !h.Done() {
		msg, err := x.ReadHandshake()
		require.NoError(t, err)
		replies, err := h.Receive(msg)
		require.NoError(t, err)
		for _, r := range replies {
			require.NoError(t, x.WriteHandshake(r))
		}
	}
	return x
}

// send sends a signal. A deadline turns a node that does not read into an error.
func (x raw) send(ctl dist.Control, payload etf.Term) error {
	b, err := dist.AppendControl([]byte{131, 68, 0}, &ctl)
	if err == nil && ctl.Op.HasPayload() {
		b, err = etf.Append(b, payload)
	}
	require.NoError(x.T, err)
	_ = x.SetWriteDeadline(time.Now().Add(patience))
	return x.WriteFrame(b)
}

// receive returns the next signal that is no tick.
func (x raw) receive() dist.Control {
	x.T.Helper()
	ctl, err := x.read()
	require.NoError(x.T, err)
	return ctl
}

// read is receive for goroutines that are not the test's.
func (x raw) read() (ctl dist.Control, err error) {
	for {
		var head [4]byte
		if _, err := io.ReadFull(x, head[:]); err != nil {
			return ctl, err
		}
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(x, b); err != nil {
			return ctl, err
		}
		if len(b) > 0 {
			_, err = dist.ParseControl(b[3:], &ctl)
			return ctl, err
		}
	}
}

// An unlink is acknowledged before anything else goes to the process that asked for it, however the two race.
func TestUnlinkAcknowledgedFirst(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	p := process(t, n)
	x := rawPeer(t, c, addr)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	for i := range uint64(500) {
		require.NoError(t, x.send(dist.Control{Op: dist.OpLink, From: them, To: p.Self()}, nil))
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("linked")))
		require.Equal(t, etf.Atom("linked"), receive(t, p))
		require.NoError(t, x.send(dist.Control{Op: dist.OpUnlinkID, ID: i + 1, From: them, To: p.Self()}, nil))
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("unlinked")))
		require.Equal(t, etf.Atom("unlinked"), receive(t, p))
		require.NoError(t, p.Send(t.Context(), them, int64(i))) //nolint:gosec // small
		ctl := x.receive()
		require.Equal(t, dist.OpUnlinkIDAck, ctl.Op)
		require.Equal(t, i+1, ctl.ID)
		ctl = x.receive()
		require.Equal(t, dist.OpSend, ctl.Op)
	}
}

// What a spawn request makes of a process is not seen half made by connections that end meanwhile (the race detector's to find).
func TestSpawnWhileOthersGo(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	n.Handle("go", "nothing", func(context.Context, []etf.Term) (etf.Term, error) { return nil, nil })
	x := rawPeer(t, c, addr)
	asked := make(chan struct{}, 100) // and not answered: a flood would have the others wait
	go func() {
		for {
			ctl, err := x.read()
			if err != nil {
				return // the test is over
			}
			if ctl.Op == dist.OpSpawnReply {
				<-asked
			}
		}
	}()
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	over, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := uint32(1); ; i++ {
			select {
			case <-over:
				done <- nil
				return
			case asked <- struct{}{}:
			}
			if err := x.send(dist.Control{
				Op: dist.OpSpawnRequest, Ref: etf.Ref{Node: "raw@127.0.0.1", Creation: 1, Len: 3, ID: [5]uint32{i & 0x3ffff, i >> 18}}, From: them, GroupLeader: them,
				MFA: dist.MFA{Module: "go", Function: "nothing", Arity: 0}, Opts: etf.List{etf.Atom("monitor"), etf.Atom("link")},
			}, etf.List{}); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 50 {
		_ = rawPeerAs(t, c, addr, "other@127.0.0.1").Close()
	}
	close(over)
	require.NoError(t, <-done)
}

// No two calls of a node have the same pid or reference, on whatever connection: both travel, and come back late.
func TestCallsAreDistinct(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	seen := map[etf.Term]string{}
	for i, name := range []string{"a@127.0.0.1", "b@127.0.0.1", "a@127.0.0.1"} { // the last takes the place of the first
		events, stop := n.Events()
		x := rawPeerAs(t, c, addr, name)
		for !next(t, events).Up {
		}
		stop()
		ctx, cancel := context.WithCancel(t.Context())
		pinged := make(chan error, 1)
		go func() { pinged <- n.Ping(ctx, name) }()
		from := x.receive().From
		cancel()
		require.ErrorIs(t, <-pinged, context.Canceled)
		assert.NotContains(t, seen, from, "connection %d", i)
		seen[from] = name
	}
}

// While our unlink is not acknowledged a link from the other side does not bring the old one back (erl_dist_protocol, "Link Protocol").
func TestLinkWhileUnlinking(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	p := process(t, n)
	x := rawPeer(t, c, addr)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	require.Eventually(t, func() bool { return len(n.Nodes()) == 1 }, patience, time.Millisecond)
	require.NoError(t, p.Link(t.Context(), them))
	require.Equal(t, dist.OpLink, x.receive().Op)

	require.NoError(t, p.Unlink(t.Context(), them))
	unlink := x.receive()
	require.Equal(t, dist.OpUnlinkID, unlink.Op)
	require.NoError(t, x.send(dist.Control{Op: dist.OpLink, From: them, To: p.Self()}, nil))
	require.NoError(t, x.send(dist.Control{Op: dist.OpUnlinkIDAck, ID: unlink.ID, From: them, To: p.Self()}, nil))
	require.NoError(t, x.send(dist.Control{Op: dist.OpExit, From: them, To: p.Self(), Reason: etf.Atom("boom")}, nil))
	require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("still_here")))
	assert.Equal(t, etf.Atom("still_here"), receive(t, p))
}

// An unlink that could not be sent leaves the link as it was: it can be tried again.
func TestUnlinkThatIsNotSent(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	p := process(t, n)
	x := rawPeer(t, c, addr)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	require.Eventually(t, func() bool { return len(n.Nodes()) == 1 }, patience, time.Millisecond)
	require.NoError(t, p.Link(t.Context(), them))
	short := func(try func(context.Context) error) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := try(ctx)
		if err != nil {
			require.ErrorIs(t, err, node.ErrTimeout)
		}
		return err == nil
	}
	unlinked := 0
	for {
		for short(func(ctx context.Context) error { return p.Send(ctx, them, make([]byte, 10_000)) }) { // until the peer's window is full
		}
		if !short(func(ctx context.Context) error { return p.Unlink(ctx, them) }) {
			break
		}
		unlinked++ // it was not full: the machine was busy with other things
		require.NoError(t, p.Link(t.Context(), them))
	}
	again := make(chan error, 1)
	go func() { again <- p.Unlink(t.Context(), them) }()
	_ = x.SetReadDeadline(time.Now().Add(patience))
	for range unlinked + 1 {
		for x.receive().Op != dist.OpUnlinkID {
		}
	}
	require.NoError(t, <-again)
}

// Results that their caller does not read wait in the goroutines that made them, as many as it may have: they pile up nowhere, and
// hold up nobody else.
func TestResultsThatNobodyReads(t *testing.T) {
	const size, asked, places = 60_000, 3000, 1024
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	var ran atomic.Int64
	n.Handle("go", "big", func(context.Context, []etf.Term) (etf.Term, error) { ran.Add(1); return make([]byte, size), nil })
	friend := c.Node()
	require.NoError(t, friend.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
	p := process(t, n)
	x := rawPeer(t, c, addr)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	for i := range uint32(asked) {
		require.NoError(t, x.send(dist.Control{
			Op: dist.OpSpawnRequest, Ref: etf.Ref{Node: "raw@127.0.0.1", Creation: 1, Len: 3, ID: [5]uint32{i}}, From: them, GroupLeader: them,
			MFA: dist.MFA{Module: "erpc", Function: "execute_call", Arity: 4}, Opts: etf.List{etf.Atom("monitor")},
		}, etf.List{1, etf.Atom("go"), etf.Atom("big"), etf.List{}}))
		runtime.Gosched() // the calls run while more are asked for
	}
	require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: p.Self()}, etf.Atom("asked")))
	require.Equal(t, etf.Atom("asked"), receive(t, p))
	for range 100 {
		_, err := friend.Call(t.Context(), "go@127.0.0.1", "go", "big")
		require.NoError(t, err)
	}
	waiting := ran.Load() - 100
	assert.Less(t, waiting, int64(places+400), "with what the two kernels take")

	var spawned, refused, results int64
	for spawned+refused < asked || results < spawned {
		switch ctl := x.receive(); {
		case ctl.Op == dist.OpPayloadMonitorExit:
			results++
		case ctl.Result == etf.Term(etf.Atom("system_limit")):
			refused++
		default:
			spawned++
		}
	}
	assert.Equal(t, ran.Load()-100, results, "nothing is lost")
}

// A node that answers the calls which make text for it by asking for more text is not followed into the depth.
func TestPrintsDoNotNest(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	x := rawPeer(t, c, addr)
	require.Eventually(t, func() bool { return len(n.Nodes()) == 1 }, patience, time.Millisecond)
	called := make(chan error, 1)
	go func() { _, err := n.Call(t.Context(), "raw@127.0.0.1", "m", "f"); called <- err }()
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	print := func(leader etf.Term) dist.Control {
		require.NoError(t, x.send(dist.Control{Op: dist.OpSend, To: leader}, etf.Tuple{
			etf.Atom("io_request"), them, 1,
			etf.Tuple{etf.Atom("put_chars"), etf.Atom("unicode"), etf.Atom("m"), etf.Atom("text"), etf.List{}},
		}))
		return x.receive()
	}
	call := x.receive()
	require.Equal(t, dist.OpSpawnRequest, call.Op)
	inner := print(call.GroupLeader)
	require.Equal(t, dist.OpSpawnRequest, inner.Op, "the text is asked for")
	require.Equal(t, dist.OpSend, print(inner.GroupLeader).Op, "an io_reply, and no third call")
	require.NoError(t, x.Close())
	require.ErrorIs(t, <-called, node.ErrNodeDown)
}
