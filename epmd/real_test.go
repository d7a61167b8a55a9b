package epmd_test

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// startEPMD runs the system's epmd as a child on a free loopback port until the test ends, and returns its address.
func startEPMD(t testing.TB, args ...string) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command("epmd", append([]string{"-port", strconv.Itoa(port), "-address", "127.0.0.1"}, args...)...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	c := &epmd.Client{Addr: addr}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err := c.Names(ctx)
		if err == nil {
			return addr
		}
		require.NoError(t, ctx.Err(), "epmd does not answer: %v", err)
		time.Sleep(tick)
	}
}

// freePort is a loopback port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a listener
	return l.Addr().(*net.TCPAddr).Port
}
