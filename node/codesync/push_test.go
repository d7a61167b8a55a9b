package codesync

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// Edit, compile, push: every node answers with the new code, and the old processes go on, with it.
func TestPush(t *testing.T) {
	t.Parallel()
	for _, r := range releases(t) {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
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
}
