package epmd_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// Admit decides who gets which name.
func TestAdmit(t *testing.T) {
	s := epmd.NewServer(epmd.Config{Hooks: epmd.Hooks{Admit: func(n epmd.Node, asker string) bool { return n.Name == asker }}})
	defer s.Close()
	addr, err := s.Listen("127.0.0.1:0", "a")
	require.NoError(t, err)
	client := epmd.Client{Addr: addr.String()}
	node := epmd.Node{Name: "b", Port: 9100, Type: epmd.TypeNormal, HighestVersion: 6, LowestVersion: 5}
	_, err = client.Register(t.Context(), node)
	require.ErrorIs(t, err, epmd.ErrNameTaken)
	assert.Empty(t, s.Nodes())
	node.Name = "a"
	reg, err := client.Register(t.Context(), node)
	require.NoError(t, err)
	assert.Len(t, s.Nodes(), 1)
	require.NoError(t, reg.Close())
}

// One listener of several can end alone; what came over it stays.
func TestUnlisten(t *testing.T) {
	s := epmd.NewServer(epmd.Config{})
	defer s.Close()
	first, err := s.Listen("127.0.0.1:0", "first")
	require.NoError(t, err)
	second, err := s.Listen("127.0.0.1:0", "second")
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, "third") }()
	client := epmd.Client{Addr: l.Addr().String()}
	_, err = client.Names(t.Context())
	require.NoError(t, err)

	reg, err := (&epmd.Client{Addr: first.String()}).Register(t.Context(), epmd.Node{Name: "a", Port: 9100, Type: epmd.TypeNormal, HighestVersion: 6, LowestVersion: 5})
	require.NoError(t, err)
	defer reg.Close()
	for _, addr := range []net.Addr{first, l.Addr()} {
		assert.True(t, s.Unlisten(addr))
		_, err := net.Dial("tcp", addr.String())
		require.Error(t, err, "nobody listens")
		assert.False(t, s.Unlisten(addr), "there is none any more")
	}
	require.ErrorIs(t, <-served, net.ErrClosed)
	n, err := (&epmd.Client{Addr: second.String()}).Lookup(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, uint16(9100), n.Port)
}
