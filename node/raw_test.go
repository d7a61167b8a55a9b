package node_test

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// raw is a peer that says whatever a test wants.
type raw struct{ *disttest.Peer }

// rawPeer connects to a listening node as raw@127.0.0.1.
func rawPeer(t *testing.T, c *nodetest.Cluster, addr string) raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	x := raw{&disttest.Peer{Conn: nc, T: t}}
	h := dist.NewInitiator(dist.Identity{Name: "raw@127.0.0.1", Creation: 1, Flags: dist.Hidden}, "", c.Cookie, 1, true)
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
	_ = x.SetWriteDeadline(time.Now().Add(10 * time.Second))
	return x.WriteFrame(b)
}

// receive returns the next signal that is no tick.
func (x raw) receive() (ctl dist.Control) {
	x.T.Helper()
	for {
		var head [4]byte
		_, err := io.ReadFull(x, head[:])
		require.NoError(x.T, err)
		b := make([]byte, binary.BigEndian.Uint32(head[:]))
		_, err = io.ReadFull(x, b)
		require.NoError(x.T, err)
		if len(b) == 0 {
			continue
		}
		_, err = dist.ParseControl(b[3:], &ctl)
		require.NoError(x.T, err)
		return ctl
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
