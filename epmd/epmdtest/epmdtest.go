package epmdtest

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/beamctl/beamctl/epmd"
)

// EPMD is a running server.
type EPMD struct {
	Addr   string // host:port
	Port   int
	Server *epmd.Server
}

// Start runs an EPMD on a free loopback port until the test ends.
func Start(t testing.TB) *EPMD {
	t.Helper()
	return StartConfig(t, epmd.Config{})
}

// StartConfig is Start with a configuration: hooks, limits.
func StartConfig(t testing.TB, cfg epmd.Config) *EPMD {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", cfg)
}

// StartAt is StartConfig on a given address, such as that of an EPMD that has been closed: a restart.
func StartAt(t testing.TB, addr string, cfg epmd.Config) *EPMD {
	t.Helper()
	s := epmd.NewServer(cfg)
	t.Cleanup(func() { _ = s.Close() })
	bound, err := s.Listen(addr, "")
	for end := time.Now().Add(time.Minute); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); { // as the near end of somebody's connection
		time.Sleep(10 * time.Millisecond)
		bound, err = s.Listen(addr, "")
	}
	if err != nil {
		t.Fatalf("epmdtest: %v", err)
	}
	return &EPMD{Addr: bound.String(), Port: bound.(*net.TCPAddr).Port, Server: s}
}

// Client returns a client of it.
func (e *EPMD) Client() *epmd.Client { return &epmd.Client{Addr: e.Addr} }

// Env is what makes Erlang nodes, and the epmd command, use it: "ERL_EPMD_PORT=12345".
func (e *EPMD) Env() string { return "ERL_EPMD_PORT=" + strconv.Itoa(e.Port) }
