package epmd_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// How long a test waits for what comes by itself, and how often it looks.
const (
	patience = time.Minute
	tick     = 10 * time.Millisecond
)

// dial connects to addr; the connection ends with the test.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// framed puts the length before a request.
func framed(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// alive2 is the body of an ALIVE2_REQ.
func alive2(name string, version uint16, extra string) string {
	b := []byte{120, 0x12, 0x67, 77, 0}
	b = binary.BigEndian.AppendUint16(b, version)
	b = binary.BigEndian.AppendUint16(b, 5)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
	return string(append(binary.BigEndian.AppendUint16(b, uint16(len(extra))), extra...))
}

// exchange sends raw bytes on a new connection and returns everything that comes back until the EPMD closes it.
func exchange(t testing.TB, addr string, b []byte) string {
	t.Helper()
	conn := dial(t, addr)
	_, err := conn.Write(b)
	require.NoError(t, err)
	reply, err := io.ReadAll(conn)
	if err != nil && !isReset(err) {
		require.NoError(t, err)
	}
	return string(reply)
}

// hold sends raw bytes on a new connection that stays open, and returns it with the next n bytes.
func hold(t testing.TB, addr string, b []byte, n int) (net.Conn, string) {
	t.Helper()
	conn := dial(t, addr)
	_, err := conn.Write(b)
	require.NoError(t, err)
	reply := make([]byte, n)
	_, err = io.ReadFull(conn, reply)
	require.NoError(t, err)
	return conn, string(reply)
}

// eventuallyNames waits until exactly these are registered.
func eventuallyNames(t testing.TB, c *epmd.Client, want ...string) {
	t.Helper()
	var got []string
	deadline := time.Now().Add(patience)
	for {
		names, err := c.Names(t.Context())
		got = nil
		for _, n := range names {
			got = append(got, n.Name)
		}
		if err == nil && len(got) == len(want) && (len(want) == 0 || subset(want, got)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("registered: %q, want %q, %v", got, want, err)
		}
		time.Sleep(tick)
	}
}

func subset(want, got []string) bool {
	have := map[string]bool{}
	for _, g := range got {
		have[g] = true
	}
	for _, w := range want {
		if !have[w] {
			return false
		}
	}
	return true
}
