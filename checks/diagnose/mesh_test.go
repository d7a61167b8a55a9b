package diagnose

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// A node that is stopped takes nothing: what another sends to it has to wait, and who sends is suspended.
func TestBusyLink(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t)
	fast, slow := c.Erl("fast"), c.Erl("slow")
	n := c.Node(fast, slow)
	c.Eval(`T = 'fast@127.0.0.1', true = erpc:call(T, net_kernel, connect_node, ['slow@127.0.0.1']),
		Self = self(), spawn(T, fun() -> register(sender, self()), Self ! there, receive go -> ok end, B = binary:copy(<<0>>, 1000000),
			(fun F() -> {init, 'slow@127.0.0.1'} ! B, F() end)() end), receive there -> ok end`)
	slow.Stop()
	_, err := n.Call(t.Context(), fast.Name, "erlang", "send", etf.Atom("sender"), etf.Atom("go"))
	require.NoError(t, err)
	targets := []checks.Target{
		{Name: fast.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}, {Name: slow.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie},
	}
	var r *Report
	require.Eventually(t, func() bool {
		r = Run(t.Context(), n, targets, Options{Step: silence, Sample: 100 * time.Millisecond})
		return len(r.Findings) == 2 && strings.Contains(r.Findings[1].What, "is busy") // on a busy machine the other may seem silent, too
	}, 2*time.Minute, 100*time.Millisecond)
	assert.Equal(t, AreaReach, r.Findings[0].Area)
	assert.Contains(t, r.Findings[0].Saw, "fast@127.0.0.1 is still connected with it")
	assert.Equal(t, AreaCluster, r.Findings[1].Area)
	assert.Equal(t, "the link from fast@127.0.0.1 to slow@127.0.0.1 is busy", r.Findings[1].What)
	assert.Contains(t, r.Findings[1].Saw, "suspended from 1024 KiB on")
	slow.Continue()
	require.Eventually(t, func() bool {
		r = Run(t.Context(), n, targets, Options{Step: step, Sample: 100 * time.Millisecond})
		return len(r.Links) == 2 && r.Links[0].Out > 0 && r.Links[1].In > 0
	}, 2*time.Minute, 100*time.Millisecond, "now it flows")
}

// An edge is cut between two of three nodes. With OTP's default (since 25) global then cuts more, and says so in the logs.
func TestPartition(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t)
	es := []*nodetest.Erl{c.Erl("part1"), c.Erl("part2"), c.Erl("part3")}
	n := c.Node(es...)
	var targets []checks.Target
	for _, e := range es {
		targets = append(targets, checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie})
	}
	run := func() *Report {
		opts := Options{Step: step, Sample: time.Millisecond}
		for _, e := range es {
			opts.Logs = append(opts.Logs, text(e.Name, e.Name+".log", e.Output()))
		}
		return Run(t.Context(), n, targets, opts)
	}
	c.Eval(`Ns = ['part1@127.0.0.1', 'part2@127.0.0.1', 'part3@127.0.0.1'],
		[true = erpc:call(A, net_kernel, connect_node, [B]) || A <- Ns, B <- Ns, A < B],
		[ok = erpc:call(N, global, sync, []) || N <- Ns]`)
	r := run()
	assert.True(t, r.OK, "%+v", r.Findings)
	assert.Len(t, r.Parts, 1)

	c.Eval(`true = erpc:call('part1@127.0.0.1', erlang, disconnect_node, ['part2@127.0.0.1'])`)
	require.Eventually(t, func() bool {
		r = run()
		return r.Logs.kinds()[KindOverlap] != nil && len(r.Findings) > 0 && r.Findings[0].Area == AreaCluster
	}, 2*time.Minute, 100*time.Millisecond, "global says what it does")
	f := r.Findings[0]
	t.Log(f.Error())
	assert.Contains(t, f.Saw, "no connection between part1@127.0.0.1 and part2@127.0.0.1")
	assert.Contains(t, f.Cause, "prevent_overlapping_partitions")
	assert.Contains(t, f.Cause, "to prevent overlapping partitions")
	for _, node := range r.Nodes {
		assert.Equal(t, "true", node.Overlap)
		assert.Equal(t, "60", node.TickTime)
	}
}
