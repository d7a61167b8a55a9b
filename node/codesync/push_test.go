package codesync

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Edit, compile, push: every node answers with the new code, and the old processes go on, with it.
func TestPush(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		b := newBench(t, r, 3)
		b.compile("", map[string]string{"one": source("1"), "two": source("1"), "gone": source("1"), "lazy": source("1")})
		var pids []etf.Term
		for _, name := range b.nodes {
			for _, m := range []etf.Atom{"one", "two", "gone"} {
				require.Equal(t, int64(1), b.call(name, m, "value"))
			}
			pids = append(pids, b.call(name, "one", "start"))
		}
		plan := b.compare(Options{})
		assert.True(t, plan.Empty())
		for _, np := range plan.Nodes {
			assert.Equal(t, []int{3, 1, r.Major}, []int{np.Same, np.OnDisk, np.OTP})
		}
		b.compile("", map[string]string{"one": source("2"), "two": source("2"), "lazy": source("2"), "new": source("2")})
		require.NoError(t, os.Remove(filepath.Join(b.dir, "gone.beam")))
		report := b.push(Options{})
		for i, name := range b.nodes {
			nr := report.Nodes[i]
			assert.Equal(t, []any{name, New, 2, 1, 2}, []any{nr.Node, nr.State, nr.Pushed, nr.Deleted, nr.Same})
			for _, m := range []etf.Atom{"one", "two", "lazy", "new"} {
				assert.Equal(t, int64(2), b.call(name, m, "value"), m)
			}
			assert.Equal(t, etf.Atom("false"), b.call(name, "erlang", "module_loaded", etf.Atom("gone")))
			// It answers once more with the code it was in, and then with the new.
			assert.Equal(t, []int64{1, 2}, []int64{b.ask(name, pids[i]), b.ask(name, pids[i])})
		}
		assert.True(t, b.compare(Options{}).Empty())
	})
}

// A build may write a module after its folder was read, and before the nodes are asked what they have from there.
func TestDeletesOnlyWhatIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"listed": source("1"), "late": source("1")})
	for _, m := range []etf.Atom{"listed", "late"} {
		require.Equal(t, int64(1), b.call(b.nodes[0], m, "value"))
	}
	set := b.set()
	set.Beams = slices.DeleteFunc(set.Beams, func(beam *Beam) bool { return beam.Module == "late" })
	plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{})
	require.NoError(t, err)
	assert.True(t, plan.Empty())
	require.NoError(t, os.Remove(filepath.Join(b.dir, "late.beam")))
	plan, err = Compare(b.ctx, b.n, b.nodes, set, Options{})
	require.NoError(t, err)
	require.Len(t, plan.Nodes[0].Delete, 1)
	assert.Equal(t, etf.Atom("late"), plan.Nodes[0].Delete[0].Module)
}
