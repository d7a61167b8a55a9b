package epmd_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

// serverEnds waits until the server has closed conn.
func serverEnds(t *testing.T, conn net.Conn) {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil && !isReset(err) {
		require.NoError(t, err)
	}
	assert.Empty(t, b)
}

// TestSlowLoris sends a byte at a time: what counts is the whole request's time, not the last byte's.
func TestSlowLoris(t *testing.T) {
	const timeout = 300 * time.Millisecond
	e := epmdtest.StartConfig(t, epmd.Config{RequestTimeout: timeout})
	conn := dial(t, e.Addr)
	ended := make(chan bool, 1)
	go func() {
		for _, b := range framed(alive2("x", 6, strings.Repeat("e", 1000))) {
			if _, err := conn.Write([]byte{b}); err != nil {
				ended <- true
				return
			}
			time.Sleep(timeout / 20)
		}
		ended <- false
	}()
	serverEnds(t, conn)
	assert.True(t, <-ended, "before the whole request, which takes fifty times as long as it may")

	silent := dial(t, e.Addr)
	serverEnds(t, silent) // within dial's deadline
	assert.Empty(t, e.Server.Nodes())
}

// TestTruncated cuts a request at every byte and closes: no reply, no registration.
func TestTruncated(t *testing.T) {
	e := epmdtest.Start(t)
	request := framed(alive2("x", 6, "extra"))
	for i := range request {
		conn := dial(t, e.Addr)
		_, err := conn.Write(request[:i])
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		serverEnds(t, conn)
	}
	eventuallyNames(t, e.Client())
}

// TestOneByteAtATime is slow, but in time; the same request in two pieces, cut at every byte.
func TestOneByteAtATime(t *testing.T) {
	e := epmdtest.Start(t)
	registered, _ := hold(t, e.Addr, framed(alive2("x", 6, "")), 6)
	defer registered.Close() //nolint:errcheck // a socket
	request := framed("zx")
	for i := 1; i < len(request); i++ {
		conn := dial(t, e.Addr)
		_, err := conn.Write(request[:i])
		require.NoError(t, err)
		time.Sleep(tick)
		_, err = conn.Write(request[i:])
		require.NoError(t, err)
		reply, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, byte(119), reply[0])
		assert.Equal(t, byte(0), reply[1])
	}
}

func TestOversizedAndGarbage(t *testing.T) {
	e := epmdtest.Start(t)
	for name, b := range map[string][]byte{
		"length 0":        {0, 0},
		"length 65535":    append([]byte{0xff, 0xff}, bytes.Repeat([]byte{120}, 3000)...),
		"one too long":    {0x08, 0x06, 120},
		"two requests":    append(framed("n"), framed("n")...),
		"unknown":         framed("\xff"),
		"http":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"no name":         framed("z"),
		"NUL":             framed("zx\x00y"),
		"not UTF-8":       framed("z\xe9"),
		"alive, cut":      framed(alive2("x", 6, "")[:12]),
		"alive, name":     framed(alive2("x", 6, "")[:10] + "\xff\xffx\x00\x00"),
		"alive, extra":    framed(alive2("x", 6, "")[:12] + "\xff\xff"),
		"alive, no name":  framed(alive2("", 6, "")),
		"stop, forbidden": framed("sx"),
	} {
		assert.Empty(t, exchange(t, e.Addr, b), name)
	}
	for _, bad := range []string{"a\nname b at port 1", "a@b", strings.Repeat("a", 256), "\xe9"} {
		assert.Equal(t, "v\x01\x00\x00\x00c", exchange(t, e.Addr, framed(alive2(bad, 6, ""))), "%q", bad)
	}
	eventuallyNames(t, e.Client())
}

// TestTalkingAfterALIVE: a registered node has nothing to say; epmd unregisters one that does.
func TestTalkingAfterALIVE(t *testing.T) {
	e := epmdtest.Start(t)
	conn, _ := hold(t, e.Addr, framed(alive2("x", 6, "")), 6)
	_, err := conn.Write([]byte("hello"))
	require.NoError(t, err)
	serverEnds(t, conn)
	eventuallyNames(t, e.Client())
}

// TestFlood opens far more connections than may wait. The node that is registered stays, and lookups are answered.
func TestFlood(t *testing.T) {
	const limit = 16
	e := epmdtest.StartConfig(t, epmd.Config{MaxPending: limit})
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: "x", Port: 4711})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	var conns []net.Conn
	for i := range 10 * limit {
		conn := dial(t, e.Addr)
		_, err := conn.Write([]byte{0}) // half a length: it is accepted at once
		require.NoError(t, err)
		conns = append(conns, conn)
		if i%limit == 0 {
			n, err := e.Client().Lookup(t.Context(), "x")
			require.NoError(t, err)
			assert.EqualValues(t, 4711, n.Port)
		}
	}
	for _, conn := range conns[:9*limit] {
		serverEnds(t, conn) // pushed out by those after it
	}
	last := conns[len(conns)-1]
	_, err = last.Write([]byte{2, 'z', 'x'})
	require.NoError(t, err)
	reply, err := io.ReadAll(last)
	require.NoError(t, err)
	assert.Equal(t, byte(119), reply[0], "the newest was not pushed out")
	select {
	case <-r.Done():
		t.Fatal("the flood ended a registration")
	default:
	}
}
