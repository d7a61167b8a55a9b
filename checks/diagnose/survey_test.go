package diagnose

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// hogs are a process that works, one with a mailbox that nobody reads, one with a big binary of its own; and 30,000 that sleep.
const hogs = `
	register(worker, spawn(fun F() -> F() end)),
	register(deaf, spawn(fun() -> receive never -> ok end end)),
	[deaf ! N || N <- lists:seq(1, 20000)],
	register(big, proc_lib:spawn(fun() -> L = lists:seq(1, 2000000), receive never -> L end end)),
	[spawn(fun() -> receive never -> ok end end) || _ <- lists:seq(1, 30000)]`

func TestSurvey(t *testing.T) {
	c := nodetest.New(t)
	e, other := c.Erl("many", "-eval", hogs), c.Erl("other")
	n := c.Node(e, other)
	c.Eval(`true = erpc:call('many@127.0.0.1', net_kernel, connect_node, ['other@127.0.0.1'])`)
	target := checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}
	atoms := func() int64 {
		v, err := n.Call(t.Context(), e.Name, "erlang", "system_info", etf.Atom("atom_count"))
		require.NoError(t, err)
		return v.(int64)
	}
	loaded := func() int {
		v, err := n.Call(t.Context(), e.Name, "code", "all_loaded")
		require.NoError(t, err)
		return len(v.(etf.List))
	}
	beforeAtoms, beforeModules := atoms(), loaded()
	start := time.Now()
	s, err := ask(t.Context(), n, target, 5, 200*time.Millisecond)
	require.NoError(t, err)
	t.Logf("survey of %d processes in %v", s.top.Processes, time.Since(start))
	assert.LessOrEqual(t, atoms()-beforeAtoms, int64(3), "the names of otp_release, dist_ctrl and dist_buf_busy_limit")
	beforeAtoms = atoms()
	_, err = ask(t.Context(), n, target, 5, time.Millisecond)
	require.NoError(t, err)
	assert.Equal(t, beforeAtoms, atoms(), "no atom more")
	assert.Equal(t, beforeModules, loaded(), "no module at all")

	assert.Greater(t, s.top.Processes, 30_000)
	require.Len(t, s.top.Memory, 5)
	assert.Equal(t, "big", s.top.Memory[0].Name)
	assert.Greater(t, s.top.Memory[0].Memory, int64(30_000_000))
	require.NotEmpty(t, s.top.Reductions)
	assert.Equal(t, "worker", s.top.Reductions[0].Name)
	assert.Greater(t, s.top.Reductions[0].Reductions, 1e3)
	require.NotEmpty(t, s.top.Mailbox)
	assert.Equal(t, "deaf", s.top.Mailbox[0].Name)
	assert.Equal(t, int64(20000), s.top.Mailbox[0].Mailbox)
	assert.Equal(t, int64(20000), s.top.Mailbox[0].Before)
	assert.NotEmpty(t, s.top.Mailbox[0].Current)
	assert.NotEmpty(t, s.top.Mailbox[0].Initial)

	assert.Equal(t, "25", s.release)
	assert.Equal(t, []string{other.Name}, s.visible)
	assert.NotEmpty(t, s.hidden, "that is us")
	assert.Equal(t, int64(60), s.ticktime)
	i := 0
	for i < len(s.traffic) && s.traffic[i].To != other.Name {
		i++
	}
	require.Less(t, i, len(s.traffic), "%+v", s.traffic)
	assert.True(t, s.traffic[i].Counted)
	assert.Positive(t, s.traffic[i].OutAll)
	assert.Positive(t, s.traffic[i].Limit)
}
