package launcher

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// A build may write a module after its folder was listed, and before the nodes are asked what they have from there.
func TestSyncDeletesOnlyWhatIsGone(t *testing.T) {
	dir := realTemp(t)
	c := nodetest.New(t)
	for _, m := range []string{"listed", "late"} {
		c.Run("-eval", `{ok, M, B} = compile:forms([{attribute, 1, module, `+m+`}]), ok = file:write_file("`+filepath.Join(dir, m)+`.beam", B), halt().`)
	}
	erl := c.Erl("a", "-pa", dir)
	n := c.Node(erl)
	p := c.Peer(erl)
	for _, m := range []etf.Atom{"listed", "late"} {
		_, err := n.Call(t.Context(), erl.Name, "code", "ensure_loaded", m)
		require.NoError(t, err)
	}
	cfg := SyncConfig{
		Targets: []checks.Target{{Name: p.Name, EPMD: p.EPMD, Cookie: p.Cookie}},
		Code: func() (map[string]*Code, error) {
			return map[string]*Code{"": {Dirs: []string{dir}, Beams: map[string]string{"listed": filepath.Join(dir, "listed.beam")}}}, nil
		},
	}
	loaded := func() bool {
		t.Helper()
		var yes bool
		require.NoError(t, n.CallInto(t.Context(), erl.Name, &yes, "erlang", "module_loaded", etf.Atom("late")))
		return yes
	}
	rep, err := Sync(t.Context(), n, cfg)
	require.NoError(t, err)
	assert.Empty(t, rep.Changes())
	assert.Equal(t, Synced, rep.Nodes[0].State)
	assert.True(t, loaded())

	require.NoError(t, os.Remove(filepath.Join(dir, "late.beam")))
	rep, err = Sync(t.Context(), n, cfg)
	require.NoError(t, err)
	assert.Equal(t, []string{"late"}, rep.Nodes[0].Deleted)
	assert.False(t, loaded())
}
