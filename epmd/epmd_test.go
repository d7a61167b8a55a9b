package epmd_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

func TestRegisterLookupGone(t *testing.T) {
	e := epmdtest.Start(t)
	c := e.Client()
	_, err := c.Lookup(t.Context(), "x")
	require.ErrorIs(t, err, epmd.ErrNotRegistered)

	n := epmd.Node{Name: "x", Port: 4711, Type: epmd.TypeHidden, HighestVersion: 6, LowestVersion: 5, Extra: []byte("e")}
	r, err := c.Register(t.Context(), n)
	require.NoError(t, err)
	assert.NotZero(t, r.Creation())
	got, err := c.Lookup(t.Context(), "x")
	require.NoError(t, err)
	assert.Equal(t, n, got)

	_, err = c.Register(t.Context(), n)
	require.ErrorIs(t, err, epmd.ErrNameTaken)
	names, err := c.Names(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []epmd.NamePort{{Name: "x", Port: 4711}}, names)
	require.NoError(t, r.Close())
	require.Eventually(t, func() bool { return len(e.Server.Nodes()) == 0 }, patience, tick)
}
