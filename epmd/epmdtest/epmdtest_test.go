package epmdtest_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStart: it serves until the test ends, and not longer.
func TestStart(t *testing.T) {
	var e *epmdtest.EPMD
	t.Run("serves", func(t *testing.T) {
		e = epmdtest.Start(t)
		assert.Equal(t, "127.0.0.1:"+strconv.Itoa(e.Port), e.Addr)
		assert.Equal(t, "ERL_EPMD_PORT="+strconv.Itoa(e.Port), e.Env())
		r, err := e.Client().Register(t.Context(), epmd.Node{Name: "x"})
		require.NoError(t, err)
		assert.Len(t, e.Server.Nodes(), 1)
		require.NoError(t, r.Close())
	})
	_, err := e.Client().Names(t.Context())
	require.Error(t, err)
	epmdtest.StartAt(t, e.Addr, epmd.Config{MaxNodes: 1})
	_, err = e.Client().Names(t.Context())
	require.NoError(t, err)
}
