package dist_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
)

// The kernel, left to itself, takes in many megabytes for a slow reader on the same machine.
func TestUnreadIsBounded(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	shaken := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			p := &disttest.Peer{Conn: nc, T: t}
			err = p.Accept(them, cookie)
			t.Cleanup(func() { _ = nc.Close() })
		}
		shaken <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	free := receiveBuffer(t, nc)
	c, err := dist.Dial(t.Context(), nc, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: newInbox()})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, <-shaken)
	got := receiveBuffer(t, nc)
	assert.NotEqual(t, free, got, "was set, so that it does not grow")
	assert.LessOrEqual(t, got, 1<<20, "twice what was asked for (socket(7))")
}

func receiveBuffer(t *testing.T, nc net.Conn) (size int) {
	t.Helper()
	raw, err := nc.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var opErr error
	require.NoError(t, raw.Control(func(fd uintptr) { size, opErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }))
	require.NoError(t, opErr)
	return size
}
