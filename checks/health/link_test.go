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
	over       chan struct{}
}

// reconnect ends the connection of a and b and has a dial b over the link. It tries again if b was faster.
func (c *cluster) reconnect(t *testing.T, l *link) *link {
	t.Helper()
	const disconnect, connect = "true = rpc:call(A, erlang, disconnect_node, [B])", "true = rpc:call(A, net_kernel, connect_node, [B])"
	c.must(t, disconnect)
	if l == nil {
		c.must(t, connect)
		return nil
	}
	there, err := c.EPMD.Client().Lookup(t.Context(), "b")
	require.NoError(t, err)
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer listener.Close() //nolint:errcheck // loopback
	c.Reroute("b", uint16(listener.Addr().(*net.TCPAddr).Port))
	defer c.Reroute("b", 0)
	require.NoError(t, listener.SetDeadline(time.Now().Add(2*time.Minute)))
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for err == nil && !l.holds() {
			if l.near, err = listener.Accept(); err == nil {
				l.away, err = net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(there.Port)))) //nolint:noctx // loopback
			}
			if err == nil {
				l.over = make(chan struct{}, 2)
				go l.carry(l.away, l.near)
				go l.carry(l.near, l.away)
			}
		}
	}()
	for {
		c.must(t, connect)
		select {
		case <-accepted:
			require.NoError(t, err)
			return l
		case <-time.After(patience):
			c.must(t, disconnect)
		}
	}
}

// handshake is how long a connection lives at most that the two nodes end again at once, because of another one.
const handshake = 400 * time.Millisecond

// patience is how long the link may take to turn out to hold, on a busy machine.
const patience = 10 * time.Second

// holds waits until the link is no more in its handshake, and says whether the nodes have kept it.
func (l *link) holds() bool {
	if l.over == nil {
		return false
	}
	select {
	case <-l.over:
		return false
	case <-time.After(handshake):
		return true
	}
}

func (l *link) carry(dst, src net.Conn) {
	defer src.Close() //nolint:errcheck // loopback
	defer func() {
		if l.over != nil {
			l.over <- struct{}{}
		}
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
