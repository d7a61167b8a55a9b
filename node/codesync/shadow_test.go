package codesync

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// A folder before that of the set has a module of that name: the node would load that one.
func TestShadowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"one": source("1"), "two": source("1")})
	front := t.TempDir()
	b.compile(front, map[string]string{"one": source("7")})
	assert.True(t, b.compare(Options{}).Empty())
	b.call(b.nodes[0], "code", "add_patha", etf.Charlist(front))
	plan := b.compare(Options{})
	require.Len(t, plan.Nodes[0].Push, 1)
	assert.Equal(t, etf.Atom("one"), plan.Nodes[0].Push[0].Module)
	assert.Equal(t, 1, plan.Nodes[0].OnDisk)
	b.push(Options{})
	assert.Equal(t, int64(1), b.call(b.nodes[0], "one", "value"))
}

// What runs has -on_load, and could not be loaded again together with others: that is known before anything is changed.
func TestWayBackOnLoad(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"one": "-on_load(init/0).\n-export([value/0]).\ninit() -> ok.\nvalue() -> 1."})
	before := b.set()
	require.Equal(t, int64(1), b.call(b.nodes[0], "one", "value"))
	build := t.TempDir()
	b.compile(build, map[string]string{"one": source("2")})
	set, err := ReadDirs(b.ctx, build)
	require.NoError(t, err)
	for _, known := range [][]*Beam{nil, before.Beams} {
		plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{RequireRollback: true, Known: known})
		require.NoError(t, err)
		_, err = Push(b.ctx, b.n, plan)
		var re *RefusedError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, WhyFinal, re.Modules[0].Why)
		assert.Contains(t, re.Modules[0].Detail, "on_load")
		assert.Equal(t, int64(1), b.call(b.nodes[0], "one", "value"))
	}
}
