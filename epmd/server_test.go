package epmd_test

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestRegisterLookupGone(t *testing.T) {
	e := epmdtest.Start(t)
	c := e.Client()
	_, err := c.Lookup(t.Context(), "x")
	require.ErrorIs(t, err, epmd.ErrNotRegistered)

	n := epmd.Node{Name: "x", Port: 4711, Type: epmd.TypeHidden, HighestVersion: 6, LowestVersion: 5, Extra: []byte("e")}
	r, err := c.Register(t.Context(), n)
	require.NoError(t, err)
	got, err := c.Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.Equal(t, n, got)
	n.Creation = r.Creation()
	assert.Equal(t, []epmd.Node{n}, e.Server.Nodes())

	_, err = c.Register(t.Context(), n)
	require.ErrorIs(t, err, epmd.ErrNameTaken)

	dump, err := c.Dump(t.Context())
	require.NoError(t, err)
	require.Len(t, dump, 1)
	assert.True(t, dump[0].Active)
	require.NoError(t, r.Close())
	eventuallyNames(t, c)
	dump, err = c.Dump(t.Context())
	require.NoError(t, err)
	require.Len(t, dump, 1)
	assert.Equal(t, "x", dump[0].Name)
	assert.False(t, dump[0].Active)
}

// TestNewestFirst: NAMES lists as epmd does.
func TestNewestFirst(t *testing.T) {
	e := epmdtest.Start(t)
	for i := range 3 {
		r, err := e.Client().Register(t.Context(), epmd.Node{Name: fmt.Sprintf("n%d", i), Port: uint16(i)})
		require.NoError(t, err)
		defer r.Close() //nolint:errcheck // nil
	}
	names, err := e.Client().Names(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []epmd.NamePort{{"n2", 2}, {"n1", 1}, {"n0", 0}}, names)
}

// TestHooksInOrder registers one name from many goroutines: whoever comes, the one before has gone.
func TestHooksInOrder(t *testing.T) {
	var mu sync.Mutex
	var events []string
	record := func(what string) func(epmd.Node, string) {
		return func(n epmd.Node, asker string) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, what+" "+n.Name+" "+asker)
		}
	}
	e := epmdtest.StartConfig(t, epmd.Config{Hooks: epmd.Hooks{Registered: record("came"), Gone: record("went")}})
	addr, err := e.Server.Listen("127.0.0.1:0", "me")
	require.NoError(t, err)
	c := &epmd.Client{Addr: addr.String()}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for done := 0; done < 10; {
				r, err := c.Register(t.Context(), epmd.Node{Name: "x", Port: 1})
				if err == nil {
					done++
					_ = r.Close()
				} else if !errors.Is(err, epmd.ErrNameTaken) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	eventuallyNames(t, c)
	require.NoError(t, e.Server.Close())
	require.Len(t, events, 80)
	for i, event := range events {
		assert.Equal(t, []string{"came x me", "went x me"}[i%2], event)
	}
}

// TestClose: no hook, the registrations end, so do the connections without a request, and nothing can be added.
func TestClose(t *testing.T) {
	e := epmdtest.StartConfig(t, epmd.Config{Hooks: epmd.Hooks{Gone: func(n epmd.Node, _ string) { t.Errorf("%s went", n.Name) }}})
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: "x"})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	slow := dial(t, e.Addr)
	_, err = slow.Write([]byte{0})
	require.NoError(t, err)
	eventuallyNames(t, e.Client(), "x") // after slow was accepted
	require.NoError(t, e.Server.Close())
	select {
	case <-r.Done():
	case <-time.After(patience):
		t.Fatal("the registration outlives the server")
	}
	_, err = slow.Read(make([]byte, 1))
	require.Error(t, err)
	<-e.Server.Done()
	_, err = e.Server.Listen("127.0.0.1:0", "")
	require.ErrorIs(t, err, epmd.ErrServerClosed)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, e.Server.Serve(l, ""), epmd.ErrServerClosed)
	_, err = e.Client().Names(t.Context())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, e.Server.Close(), "again")
}

// TestServe: an existing listener shares the registry, and can be closed alone.
func TestServe(t *testing.T) {
	e := epmdtest.StartConfig(t, epmd.Config{Hooks: epmd.Hooks{
		Lookup: func(asker string, n epmd.Node) epmd.Node { n.Extra = []byte(asker); return n },
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- e.Server.Serve(l, "bob") }()
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: "x", Port: 1})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	bob := &epmd.Client{Addr: l.Addr().String()}
	n, err := bob.Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.Equal(t, "bob", string(n.Extra))
	_, err = bob.Lookup(t.Context(), "y")
	require.ErrorIs(t, err, epmd.ErrNotRegistered)

	require.NoError(t, l.Close())
	require.ErrorIs(t, <-served, net.ErrClosed)
	n, err = e.Client().Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.Empty(t, n.Extra)
}

func TestLoopbackOnly(t *testing.T) {
	e := epmdtest.Start(t)
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		_, err := e.Server.Listen(addr, "")
		require.ErrorIs(t, err, epmd.ErrNotLoopback, addr)
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorIs(t, e.Server.Serve(l, ""), epmd.ErrNotLoopback)
	_, err = net.DialTimeout("tcp", l.Addr().String(), patience)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "a refused listener is closed")

	addr, err := e.Server.Listen("localhost:0", "")
	require.NoError(t, err)
	assert.True(t, addr.(*net.TCPAddr).IP.IsLoopback())
	open := epmdtest.StartConfig(t, epmd.Config{AllowRemote: true})
	addr, err = open.Server.Listen("0.0.0.0:0", "")
	require.NoError(t, err)
	c := &epmd.Client{Addr: fmt.Sprintf("127.0.0.1:%d", addr.(*net.TCPAddr).Port)}
	r, err := c.Register(t.Context(), epmd.Node{Name: "x"})
	require.NoError(t, err)
	require.NoError(t, r.Close())
}

func TestListenTwice(t *testing.T) {
	e := epmdtest.Start(t)
	_, err := e.Server.Listen(e.Addr, "")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

// TestIPv6 registers and looks up over ::1.
func TestIPv6(t *testing.T) {
	e := epmdtest.Start(t)
	addr, err := e.Server.Listen("[::1]:0", "")
	require.NoError(t, err)
	c := &epmd.Client{Addr: addr.String()}
	r, err := c.Register(t.Context(), epmd.Node{Name: "x", Port: 7})
	require.NoError(t, err)
	n, err := c.Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.EqualValues(t, 7, n.Port)
	require.NoError(t, r.Close())
}

func TestKillAndStop(t *testing.T) {
	refusing := epmdtest.Start(t)
	r, err := refusing.Client().Register(t.Context(), epmd.Node{Name: "x"})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	require.ErrorIs(t, refusing.Client().Kill(t.Context()), epmd.ErrRefused)
	require.ErrorIs(t, refusing.Client().Stop(t.Context(), "x"), epmd.ErrRefused)
	eventuallyNames(t, refusing.Client(), "x")

	gone := make(chan string, 1)
	e := epmdtest.StartConfig(t, epmd.Config{
		AllowKill: true, Hooks: epmd.Hooks{Gone: func(n epmd.Node, _ string) { gone <- n.Name }},
	})
	c := e.Client()
	r, err = c.Register(t.Context(), epmd.Node{Name: "x"})
	require.NoError(t, err)
	require.ErrorIs(t, c.Stop(t.Context(), "y"), epmd.ErrNotRegistered)
	require.NoError(t, c.Stop(t.Context(), "x"))
	assert.Equal(t, "x", <-gone)
	<-r.Done()
	eventuallyNames(t, c)
	require.NoError(t, c.Kill(t.Context()))
	<-e.Server.Done()
	require.NoError(t, e.Server.Close())
	_, err = c.Names(t.Context())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestMaxNodes(t *testing.T) {
	e := epmdtest.StartConfig(t, epmd.Config{MaxNodes: 2})
	c := e.Client()
	var last *epmd.Registration
	for i := range 2 {
		r, err := c.Register(t.Context(), epmd.Node{Name: fmt.Sprint(i)})
		require.NoError(t, err)
		defer r.Close() //nolint:errcheck // nil
		last = r
	}
	_, err := c.Register(t.Context(), epmd.Node{Name: "more"})
	require.ErrorIs(t, err, epmd.ErrNameTaken)
	require.NoError(t, last.Close())
	require.Eventually(t, func() bool {
		r, err := c.Register(t.Context(), epmd.Node{Name: "more"})
		return err == nil && r.Close() == nil
	}, patience, tick)
}
