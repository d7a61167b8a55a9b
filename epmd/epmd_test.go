package epmd_test

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

// TestClientOfEPMD: our client against the system's epmd.
func TestClientOfEPMD(t *testing.T) {
	c := &epmd.Client{Addr: startEPMD(t)}
	_, err := c.Lookup(t.Context(), "x")
	require.ErrorIs(t, err, epmd.ErrNotRegistered)
	n := epmd.Node{Name: "x", Port: 4711, Type: epmd.TypeHidden, HighestVersion: 6, LowestVersion: 5, Extra: []byte("e")}
	r, err := c.Register(t.Context(), n)
	require.NoError(t, err)
	assert.Greater(t, r.Creation(), uint32(3))
	got, err := c.Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.Equal(t, n, got)
	_, err = c.Register(t.Context(), n)
	require.ErrorIs(t, err, epmd.ErrNameTaken)
	old, err := c.Register(t.Context(), epmd.Node{Name: "old", HighestVersion: 5, LowestVersion: 5})
	require.NoError(t, err)
	assert.Contains(t, []uint32{1, 2, 3}, old.Creation())

	names, err := c.Names(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []epmd.NamePort{{"old", 0}, {"x", 4711}}, names)
	require.NoError(t, old.Close())
	eventuallyNames(t, c, "x")
	dump, err := c.Dump(t.Context())
	require.NoError(t, err)
	require.Len(t, dump, 2)
	assert.True(t, dump[0].Active)
	assert.False(t, dump[1].Active)

	require.ErrorIs(t, c.Stop(t.Context(), "x"), epmd.ErrRefused)
	require.ErrorIs(t, c.Kill(t.Context()), epmd.ErrRefused)
	require.NoError(t, r.Close())
	eventuallyNames(t, c)
	require.NoError(t, c.Kill(t.Context()), "epmd allows it while no name is registered")

	c = &epmd.Client{Addr: startEPMD(t, "-relaxed_command_check")}
	r, err = c.Register(t.Context(), n)
	require.NoError(t, err)
	require.ErrorIs(t, c.Stop(t.Context(), "y"), epmd.ErrNotRegistered)
	require.NoError(t, c.Stop(t.Context(), "x"))
	select {
	case <-r.Done():
	case <-time.After(patience):
		t.Fatal("epmd -stop did not end the registration")
	}
	require.NoError(t, c.Kill(t.Context()))
}

// TestKeepThroughEPMD: an epmd that is killed and started anew on its port.
func TestKeepThroughEPMD(t *testing.T) {
	addr := startEPMD(t, "-relaxed_command_check")
	c := &epmd.Client{Addr: addr}
	changes := make(chan error, 10)
	k, err := c.Keep(t.Context(), epmd.Node{Name: "x", Port: 4711}, func(err error) { changes <- err })
	require.NoError(t, err)
	defer k.Close() //nolint:errcheck // nil
	require.NoError(t, c.Kill(t.Context()))
	require.Error(t, <-changes)
	require.Eventually(t, func() bool {
		_, err := c.Names(t.Context())
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, tick, "it has closed its connections, and then its door")
	require.True(t, runEPMD(t, addr))
	for err := range changes {
		if err == nil {
			break
		}
	}
	eventuallyNames(t, c, "x")
}

var anFD = regexp.MustCompile(`fd = -?\d+`)

// blank hides what may differ: the EPMD's port, creations, file descriptors.
func blank(reply string, port int) string {
	switch {
	case len(reply) == 6 && strings.HasPrefix(reply, "v\x00"), len(reply) == 4 && strings.HasPrefix(reply, "y\x00"):
		return reply[:2] + "<creation>"
	case len(reply) >= 4:
		if head := string([]byte{0, 0, byte(port >> 8), byte(port)}); strings.HasPrefix(reply, head) {
			reply = "<port>" + reply[4:]
		}
	}
	return anFD.ReplaceAllString(reply, "fd = <fd>")
}

// TestSameAsEPMD sends the same bytes to our server and to the system's epmd, and compares the replies, byte by byte.
func TestSameAsEPMD(t *testing.T) {
	ours, theirs := epmdtest.Start(t).Addr, startEPMD(t)
	both := func(f func(addr string) string) {
		t.Helper()
		assert.Equal(t, f(theirs), f(ours))
	}
	ask := func(body string) {
		t.Helper()
		both(func(addr string) string { return blank(exchange(t, addr, framed(body)), portOf(t, addr)) })
	}
	// The answer to a registration, which stays until the connection is closed. epmd leaves it open even when it refuses.
	register := func(body string, n int) (free func()) {
		t.Helper()
		var conns []io.Closer
		both(func(addr string) string {
			conn, reply := hold(t, addr, framed(body), n)
			conns = append(conns, conn)
			return blank(reply, 0)
		})
		return func() {
			for _, conn := range conns {
				_ = conn.Close()
			}
			for _, addr := range []string{ours, theirs} {
				c := &epmd.Client{Addr: addr}
				require.Eventually(t, func() bool {
					dump, err := c.Dump(t.Context())
					return err == nil && len(dump) > 0 && !dump[len(dump)-1].Active
				}, patience, tick)
			}
		}
	}
	ask("n")
	ask("d")
	ask("zx")
	free := register(alive2("x", 6, ""), 6)
	ask("zx")
	ask("zx\x00")
	register(alive2("extra", 6, "some extra data")+"\x00", 6)
	ask("zextra")
	register(alive2("v5", 5, ""), 4)
	ask("zv5")
	register(alive2("x", 6, ""), 6) // taken
	register(alive2("x", 5, ""), 4)
	register(alive2(strings.Repeat("é", 255), 6, ""), 6)
	register(alive2(strings.Repeat("a", 255), 6, ""), 6)
	register(alive2(strings.Repeat("a", 254), 6, ""), 6)
	register(alive2(strings.Repeat("a", 256), 6, ""), 6)
	register(alive2("\xe9", 6, ""), 6)
	register(alive2("y", 6, strings.Repeat("e", 1020)), 6)
	register(alive2("w", 6, strings.Repeat("e", 1021)), 6)
	ask("zy")
	ask("zé")
	ask("z" + strings.Repeat("a", 254))
	ask("z" + strings.Repeat("a", 256))
	ask("n")
	ask("d")
	free()
	ask("zx")
	ask("d")
	ask("k")
	ask("sx")
	ask("s")
	ask("z")
	ask("z\xe9")
	ask("\xff")
	ask("x")
	ask(alive2("", 6, ""))
	ask(alive2("a\x00b", 6, ""))
	for _, raw := range []string{"\x00\x00", "\xff\xffx", "\x00\x01nn"} {
		both(func(addr string) string { return exchange(t, addr, []byte(raw)) })
	}
	// The one difference: epmd counts the request's tag as a part of the name, and finds no name of 255 characters.
	longest := framed("z" + strings.Repeat("a", 255))
	assert.Empty(t, exchange(t, theirs, longest))
	assert.NotEmpty(t, exchange(t, ours, longest))
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	p, err := strconv.Atoi(port)
	require.NoError(t, err, "address %q", addr)
	return p
}
