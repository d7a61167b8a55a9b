package clustertest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/launcher/clustertest"
)

func TestMain(m *testing.M) {
	clustertest.Init()
	goleak.VerifyTestMain(m)
}

func TestCluster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kv")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "examples", "erlang-kv"))))
	require.NoError(t, os.WriteFile(filepath.Join(dir, launcher.ConfigName), []byte("name: '{{.Node}}-kv@127.0.0.1'\n"), 0o600))
	var state string
	t.Run("lives", func(t *testing.T) {
		c := clustertest.Start(t, dir, func(s *launcher.Spec) { s.Nodes = s.Nodes[:2] })
		assert.Equal(t, []string{"node1-kv@127.0.0.1", "node2-kv@127.0.0.1"}, c.Names)
		state = c.StateDir()
		ok, err := c.Node.Call(t.Context(), c.Names[0], "kv", "put", etf.Atom("key"), "value")
		require.NoError(t, err)
		assert.Equal(t, etf.Atom("ok"), ok)
		st, err := c.Status(t.Context())
		require.NoError(t, err)
		for _, n := range st.Nodes {
			assert.Equal(t, launcher.NodeUp, n.State)
		}
	})
	assert.NoDirExists(t, state, "it ended with its test")
}
