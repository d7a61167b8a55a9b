package launcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/codesync"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Somebody else loads a module between the look at a node and the push: the node is looked at again, and what was done is noted.
func TestSyncLooksAgain(t *testing.T) {
	dir := realTemp(t)
	c := nodetest.New(t)
	compile := func(dir, value string) {
		t.Helper()
		c.Run("-eval", `{ok, M, B} = compile:forms([{attribute, 1, module, m}, {attribute, 1, export, [{v, 0}]},
			{function, 1, v, 0, [{clause, 1, [], [], [{integer, 1, `+value+`}]}]}]), ok = file:write_file("`+filepath.Join(dir, "m.beam")+`", B), halt().`)
	}
	compile(dir, "1")
	erl := c.Erl("a", "-pa", dir)
	n := c.Node(erl)
	value := func() (v int) {
		t.Helper()
		require.NoError(t, n.CallInto(t.Context(), erl.Name, &v, "m", "v"))
		return v
	}
	assert.Equal(t, 1, value())
	others := t.TempDir()
	compile(others, "2")
	compile(dir, "3")
	foreign, err := os.ReadFile(filepath.Join(others, "m.beam"))
	require.NoError(t, err)
	var once sync.Once
	var events []Event
	p := c.Peer(erl)
	rep, err := Sync(t.Context(), n, SyncConfig{
		Targets: []checks.Target{{Name: p.Name, EPMD: p.EPMD, Cookie: p.Cookie}},
		Code: func() (map[string]*Code, error) {
			return map[string]*Code{"": {Dirs: []string{dir}, Beams: map[string]string{"m": filepath.Join(dir, "m.beam")}}}, nil
		},
		Options: codesync.Options{Progress: func(e codesync.Event) {
			if e.Phase == codesync.Starting {
				once.Do(func() {
					_, loading := n.Call(t.Context(), erl.Name, "code", "load_binary", etf.Atom("m"), etf.Charlist("elsewhere"), foreign)
					_, purging := n.Call(t.Context(), erl.Name, "code", "purge", etf.Atom("m"))
					assert.NoError(t, errors.Join(loading, purging))
				})
			}
		}},
		Note: func(_ context.Context, all []Event) error { events = all; return nil },
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"m"}, rep.Nodes[0].Pushed)
	assert.Equal(t, Synced, rep.Nodes[0].State)
	assert.Equal(t, 3, value())
	assert.Equal(t, []Event{{Node: erl.Name, Stage: StageSynced, Detail: "pushed m"}}, events)
}

// What to do depends on what was refused, and by whom.
func TestSyncRefusalsSayTheWayOut(t *testing.T) {
	rep := &SyncReport{Nodes: []*NodeSync{
		{Node: "a", Refused: []codesync.Refusal{{Module: "m", Why: codesync.WhyNative, Detail: "it loads a NIF"}}},
		{Node: "b", Refused: []codesync.Refusal{
			{Module: "m", Why: codesync.WhyNative, Detail: "it loads a NIF"}, {Module: "c", Why: codesync.WhyCover, Detail: "it is cover-compiled"},
		}},
	}}
	f := &checks.Finding{}
	require.ErrorAs(t, syncFinding(rep, codesync.ErrRefused), &f)
	assert.Equal(t, "all: m: it loads a NIF\nb: c: it is cover-compiled", f.Saw)
	assert.Equal(t, "restart a b (beamctl restart): nodes load such modules when they start\n"+
		"end the coverage: cover:stop() on b\nor push all others: --leave-out", f.Fix)
	rep.Nodes[0].Refused[0].Why = codesync.WhyInvalid
	require.ErrorAs(t, syncFinding(rep, codesync.ErrRefused), &f)
	assert.NotContains(t, f.Fix, "--leave-out", "loaders refuse when it is too late for that")
}
