package health_test

import (
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// link is a bad connection between two nodes: what lies between them when a TCP proxy does.
type link struct {
	delay time.Duration // each way

	mute       atomic.Bool // nothing arrives any more, and nobody is told
	near, away net.Conn    // the one who dialled, and the other
}

// reconnect ends the connection of a and b and has a dial b over the link.
func (c *cluster) reconnect(t *testing.T, l *link) *link {
	t.Helper()
	c.must(t, "true = rpc:call(A, erlang, disconnect_node, [B])")
	const connect = "true = rpc:call(A, net_kernel, connect_node, [B])"
	if l == nil {
		c.must(t, connect)
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	require.NoError(t, err)
	there, err := c.EPMD.Client().Lookup(t.Context(), "b")
	require.NoError(t, err)
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		defer listener.Close() //nolint:errcheck // loopback
		if l.near, err = listener.Accept(); err == nil {
			l.away, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(there.Port)))) //nolint:noctx // loopback
		}
		if err == nil {
			go l.carry(l.away, l.near)
			go l.carry(l.near, l.away)
		}
	}()
	c.Reroute("b", uint16(listener.Addr().(*net.TCPAddr).Port))
	defer c.Reroute("b", 0)
	c.must(t, connect)
	<-ready
	require.NoError(t, err)
	return l
}

func (l *link) carry(dst, src net.Conn) {
	defer src.Close() //nolint:errcheck // loopback
	defer func() {
		if !l.mute.Load() {
			_ = dst.Close()
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		time.Sleep(l.delay)
		if l.mute.Load() {
			_, err = io.Discard.Write(buf[:n])
		} else {
			_, err = dst.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// silence loses all packets from now on.
func (l *link) silence() { l.mute.Store(true) }

// half ends the connection for the node that was dialled; the other one does not notice.
func (l *link) half() {
	l.silence()
	_ = l.away.Close()
}
