package codesync

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Processes are suspended, convert their state and go on; one that will not is named, and goes on too.
func TestChangeCode(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		b := newBench(t, r, 2)
		b.compile("", map[string]string{"srv": server("1")})
		var pids []etf.Term
		for _, name := range b.nodes {
			pids = append(pids, b.call(name, "srv", "start"))
		}
		get := func(i int) string {
			return etf.Format(b.call(b.nodes[i], "gen_server", "call", pids[i], etf.Atom("get")))
		}
		b.compile("", map[string]string{"srv": server("2"), "one": source("1")})
		for _, name := range b.nodes {
			b.call(name, "one", "value")
		}
		b.compile("", map[string]string{"one": source("2")})
		unserved := b.push(Options{ChangeCode: []etf.Atom{"srv", "one"}})
		assert.Equal(t, []etf.Atom{"one"}, unserved.Nodes[0].Unserved, "it has no process that began in init/1")
		assert.Equal(t, []string{"{2,2}", "{2,2}"}, []string{get(0), get(1)})

		b.compile("", map[string]string{"srv": server("3")})
		b.push(Options{})
		assert.Equal(t, []string{"{3,2}", "{3,2}"}, []string{get(0), get(1)}, "not asked for")

		// Its code_change refuses a state of more than 100.
		b.call(b.nodes[1], "gen_server", "cast", pids[1], etf.Tuple{etf.Atom("set"), 100})
		b.compile("", map[string]string{"srv": server("4")})
		report, err := Push(b.ctx, b.n, b.compare(Options{ChangeCode: []etf.Atom{"srv"}}))
		require.ErrorIs(t, err, ErrIncomplete)
		assert.Equal(t, []State{New, New}, []State{report.Nodes[0].State, report.Nodes[1].State})
		assert.Empty(t, report.Nodes[0].Unchanged)
		assert.Empty(t, report.Nodes[0].Unserved)
		require.Len(t, report.Nodes[1].Unchanged, 1)
		assert.Contains(t, report.Nodes[1].Unchanged[0], ": its code_change refused: {was,3}")
		assert.Equal(t, []string{"{4,4}", "{4,100}"}, []string{get(0), get(1)})

		// It crashes with 200.
		b.call(b.nodes[1], "gen_server", "cast", pids[1], etf.Tuple{etf.Atom("set"), 200})
		b.compile("", map[string]string{"srv": server("5")})
		report, err = Push(b.ctx, b.n, b.compare(Options{ChangeCode: []etf.Atom{"srv"}}))
		require.ErrorIs(t, err, ErrIncomplete)
		require.Len(t, report.Nodes[1].Unchanged, 1)
		assert.Contains(t, report.Nodes[1].Unchanged[0], ": its code_change failed: boom")
		assert.Equal(t, []string{"{5,5}", "{5,200}"}, []string{get(0), get(1)}, "and it was resumed")
	})
}

// A node that does not do what it has promised, because something else loads code there at that moment: the others take it back.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		known bool // the pusher has the code that runs
		disk  bool // the nodes' disk has
		want  error
	}{
		{"from disk", false, true, ErrRolledBack},
		{"known", true, false, ErrRolledBack},
		{"neither", false, false, ErrMixed},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, releases(t)[0], 3)
			old := t.TempDir()
			b.compile(old, map[string]string{"one": source("1"), "two": source("1"), "gone": source("1")})
			first, err := ReadDirs(b.ctx, old)
			require.NoError(t, err)
			plan, err := Compare(b.ctx, b.n, b.nodes, first, Options{})
			require.NoError(t, err)
			_, err = Push(b.ctx, b.n, plan)
			require.NoError(t, err)
			pids := []etf.Term{b.call(b.nodes[0], "one", "start"), b.call(b.nodes[0], "two", "start")}

			foreign := t.TempDir()
			b.compile(foreign, map[string]string{"one": source("7")})
			b.compile("", map[string]string{"one": source("2"), "two": source("2"), "new": source("2")})
			set := b.set()
			set.Dirs, set.Here = append(set.Dirs, old), false
			for _, beam := range set.Beams {
				beam.file = FileID{}
			}
			// The others wait: b would finish as soon as one of them says so.
			before := moment{At: step{1, Committing}, Hold: []step{{0, Committing}, {2, Committing}}}
			opts := Options{Progress: before.progress(b.nodes, func() {
				_, err := b.n.Call(b.ctx, b.nodes[1], "code", "load_abs", etf.Charlist(filepath.Join(foreign, "one")))
				assert.NoError(t, err) // now there is an old generation, which nobody has purged
			})}
			if row.known {
				opts.Known = first.Beams
			}
			if !row.disk {
				require.NoError(t, os.RemoveAll(old))
			}
			plan, err = Compare(b.ctx, b.n, b.nodes, set, opts)
			require.NoError(t, err)
			for _, ch := range plan.Nodes[0].changes() {
				assert.Equal(t, !row.known && !row.disk && ch.Old != nil, ch.Final, ch.Module)
			}
			report, err := Push(b.ctx, b.n, plan)
			require.ErrorIs(t, err, row.want)
			require.ErrorContains(t, err, "b@127.0.0.1: the plan is stale: one was loaded meanwhile")
			assert.Equal(t, int64(7), b.call(b.nodes[1], "one", "value"))
			assert.Equal(t, int64(1), b.call(b.nodes[1], "two", "value"))
			for _, i := range []int{0, 2} {
				if !row.known && !row.disk {
					assert.Equal(t, New, report.Nodes[i].State)
					for _, m := range []etf.Atom{"one", "two", "new"} {
						assert.Equal(t, int64(2), b.call(b.nodes[i], m, "value"))
					}
					continue
				}
				assert.Equal(t, Old, report.Nodes[i].State)
				for _, m := range []etf.Atom{"one", "two", "gone"} {
					assert.Equal(t, int64(1), b.call(b.nodes[i], m, "value"))
				}
				assert.Equal(t, etf.Atom("false"), b.call(b.nodes[i], "erlang", "module_loaded", etf.Atom("new")))
			}
			if !row.known && !row.disk {
				require.ErrorContains(t, err, "what ran before of one is neither known nor on its disk")
				assert.Empty(t, report.Nodes[0].Killed)
				return
			}
			// Those in code that had become old did not survive that, and are named.
			var killed []etf.Atom
			for _, l := range report.Nodes[0].Killed {
				killed = append(killed, l.Module)
			}
			assert.Equal(t, []etf.Atom{"one", "two"}, killed)
			assert.Equal(t, etf.Atom("false"), b.call(b.nodes[0], "erlang", "is_process_alive", pids[0]))
		})
	}
}

// RequireRollback refuses what could not be taken back.
func TestRequireRollback(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"one": source("1"), "two": source("1")})
	before := b.set()
	for _, m := range []etf.Atom{"one", "two"} {
		b.call(b.nodes[0], m, "value")
	}
	b.compile("", map[string]string{"one": source("2"), "two": source("2")})
	plan := b.compare(Options{RequireRollback: true, Known: before.Beams[:1]})
	assert.Len(t, plan.Nodes[0].Push, 1)
	require.Len(t, plan.Nodes[0].Refuse, 1)
	assert.Equal(t, WhyFinal, plan.Nodes[0].Refuse[0].Why)
	b.push(Options{RequireRollback: true, Known: before.Beams})
	assert.Equal(t, int64(2), b.call(b.nodes[0], "two", "value"))
}
