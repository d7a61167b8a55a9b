package nodetest

import (
	"net"
	"testing"
)

// ClosedAddr returns an address, host:port, at which nothing listens as long as the test runs: the port is that of a connection's other end,
// so that nobody else gets it.
func ClosedAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()                                 //nolint:errcheck // the connection stays
	near, err := net.Dial("tcp", l.Addr().String()) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	away, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), away.Close() })
	return near.LocalAddr().String()
}
