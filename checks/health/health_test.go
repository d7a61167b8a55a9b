package health_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is three real nodes in a full mesh with the application crypto running.
type cluster struct {
	*nodetest.Cluster
	nodes   []*nodetest.Erl
	targets []checks.Target
	n       *node.Node
}

func start(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Cluster: nodetest.New(t)}
	var names []string
	for _, alive := range []string{"a", "b", "c"} {
		// One edge is to be cut alone: since OTP 25 global would otherwise cut more.
		e := c.Erl(alive, "-kernel", "prevent_overlapping_partitions", "false", "-eval", "{ok, _} = application:ensure_all_started(crypto)")
		c.nodes = append(c.nodes, e)
		names = append(names, e.Name)
		c.targets = append(c.targets, checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie, Apps: []string{"crypto"}})
	}
	c.n = c.Node(c.nodes...)
	for i, name := range names {
		for _, other := range names[:i] {
			_, err := c.n.Call(t.Context(), name, "net_kernel", "connect_node", etf.Atom(other))
			require.NoError(t, err)
		}
	}
	for i, target := range c.targets {
		var others []string
		others = append(append(others, names[:i]...), names[i+1:]...)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		require.NoError(t, checks.WaitReady(ctx, c.n, target, others, func(string) {}))
		cancel()
	}
	return c
}

// matrix is what Health says, as node → check → status.
func (c *cluster) matrix(t *testing.T) (map[string]map[string]health.Status, *health.Report) {
	t.Helper()
	rep := health.Run(t.Context(), c.n, c.targets, health.Options{PerNode: 2 * time.Second})
	m := map[string]map[string]health.Status{}
	for _, r := range rep.Rows {
		row := map[string]health.Status{}
		for _, cell := range r.Cells {
			row[cell.Check] = cell.Status
			assert.NotEmpty(t, cell.Saw, "%s %s", r.Node, cell.Check)
			assert.NotContains(t, cell.Saw+cell.Cause+cell.Fix, c.Cookie.Secret())
		}
		m[r.Node] = row
	}
	return m, rep
}

var healthy = map[string]health.Status{"ping": health.OK, "rpc": health.OK, "cookie": health.OK, "apps": health.OK, "mesh": health.OK}

// with returns the healthy row with some cells changed.
func with(changed map[string]health.Status) map[string]health.Status {
	m := maps.Clone(healthy)
	maps.Copy(m, changed)
	return m
}

func TestHealthy(t *testing.T) {
	c := start(t)
	m, rep := c.matrix(t)
	assert.True(t, rep.Healthy)
	for _, e := range c.nodes {
		assert.Equal(t, healthy, m[e.Name])
	}
	assert.Contains(t, rep.Rows[0].Cells[3].Saw, "crypto ")
	assert.Equal(t, "2 of 2", rep.Rows[0].Cells[4].Saw)
}

// Each fault is made from outside, by an Erlang node or a signal, and shows in its own cells and nowhere else.
func TestEveryCellBreaks(t *testing.T) {
	const fail, blocked = health.Fail, health.Blocked
	for name, tc := range map[string]struct {
		fault func(c *cluster)
		want  map[string]map[string]health.Status // changes by node
		saw   string                              // in the broken cell of b
		cell  int
	}{
		"application stopped": {
			fault: func(c *cluster) { c.Eval(`ok = rpc:call('b@127.0.0.1', application, stop, [crypto])`) },
			want:  map[string]map[string]health.Status{"b": {"apps": fail}},
			saw:   "crypto not running", cell: 3,
		},
		"pair disconnected": {
			fault: func(c *cluster) {
				c.Eval(`true = rpc:call('b@127.0.0.1', erlang, disconnect_node, ['c@127.0.0.1'])`)
			},
			want: map[string]map[string]health.Status{"b": {"mesh": fail}, "c": {"mesh": fail}},
			saw:  "does not see c@127.0.0.1", cell: 4,
		},
		"cookie changed": {
			fault: func(c *cluster) { c.Eval(`true = rpc:call('b@127.0.0.1', erlang, set_cookie, [other])`) },
			want:  map[string]map[string]health.Status{"b": {"cookie": fail, "ping": blocked, "rpc": blocked, "apps": blocked, "mesh": blocked}},
			saw:   "wrong cookie", cell: 2,
		},
		"node stopped": {
			fault: func(c *cluster) { c.nodes[1].Stop() },
			want:  map[string]map[string]health.Status{"b": {"ping": fail, "cookie": blocked, "rpc": blocked, "apps": blocked, "mesh": blocked}},
			saw:   "does not answer", cell: 0,
		},
		"erpc gone": {
			fault: func(c *cluster) {
				// Another module of that name takes its place, one that can do nothing.
				c.Eval(`N = 'b@127.0.0.1', {ok, M, B} = compile:forms([{attribute, 1, module, erpc}]),
					true = rpc:call(N, code, unstick_mod, [M]), {module, M} = rpc:call(N, code, load_binary, [M, "erpc.beam", B])`)
			},
			want: map[string]map[string]health.Status{"b": {"rpc": fail, "apps": blocked, "mesh": blocked}},
			saw:  "undef", cell: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			tc.fault(c)
			began := time.Now()
			m, rep := c.matrix(t)
			assert.False(t, rep.Healthy)
			assert.Less(t, time.Since(began), 4*time.Second)
			for _, alive := range []string{"a", "b", "c"} {
				assert.Equal(t, with(tc.want[alive]), m[alive+"@127.0.0.1"], alive)
			}
			assert.Contains(t, rep.Rows[1].Cells[tc.cell].Saw, tc.saw)
			for _, c := range rep.Rows[1].Cells {
				if c.Status == health.Blocked {
					assert.Equal(t, "not asked: "+health.All()[tc.cell].Name+" failed", c.Saw)
				}
			}
			if name == "node stopped" {
				c.nodes[1].Continue()
			}
		})
	}
}

func TestHealthOfAbsentNode(t *testing.T) {
	c := start(t)
	c.nodes[1].Kill()
	_, rep := c.matrix(t)
	assert.Contains(t, rep.Rows[1].Cells[0].Saw, "no such name")
	assert.Equal(t, health.Fail, rep.Rows[0].Cells[4].Status, "a does not see b")
}
