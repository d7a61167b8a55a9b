package health_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// cluster is three real nodes a, b and c in a full mesh, with the applications crypto and shop (testdata) running, and a hidden fourth one that makes faults.
type cluster struct {
	*nodetest.Cluster
	nodes   []*nodetest.Erl
	targets []checks.Target
	n       *node.Node // examines
	hand    *nodetest.Erl
	types   *node.Node // types into hand
	depot   string     // the file from which they have loaded that module
	options health.Options
}

// start makes one on which an edge can be cut alone: since OTP 25 global would otherwise cut more.
func start(t *testing.T) *cluster { t.Helper(); return startWith(t, "false") }

func startWith(t *testing.T, preventOverlap string) *cluster {
	t.Helper()
	c := &cluster{Cluster: nodetest.New(t), options: health.Options{
		PerNode: 20 * time.Second,
		Limits:  health.Limits{Answer: 300 * time.Millisecond, Memory: 150 << 20, LockHeld: 100 * time.Millisecond},
	}}
	ebin := t.TempDir()
	require.NoError(t, os.CopyFS(ebin, os.DirFS("testdata")))
	sources, err := filepath.Glob("testdata/*.erl")
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "erlc", append([]string{"-o", ebin}, sources...)...).CombinedOutput() //nolint:gosec // a test's own
	require.NoError(t, err, "%s", out)
	c.depot = filepath.Join(ebin, "depot.beam")
	var names []string
	for _, alive := range []string{"a", "b", "c"} {
		args := []string{
			"+S", "2:2", // one may be kept busy, on any machine
			"-kernel", "prevent_overlapping_partitions", preventOverlap, "-pa", ebin,
			"-eval", "[{ok, _} = application:ensure_all_started(A) || A <- [crypto, shop]], {ok, _} = pg:start(teams), depot:build()",
		}
		if alive == "b" {
			args = append(args, "+P", "4096", "+Q", "1024", "+t", "65536") // soon exhausted
		}
		e := c.Erl(alive, args...)
		c.nodes = append(c.nodes, e)
		names = append(names, e.Name)
		c.targets = append(c.targets, checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie, Apps: []string{"crypto", "shop"}})
	}
	c.n = c.Node(c.nodes...)
	c.hand = c.Erl("hand", "-hidden")
	c.types = c.Node(c.hand)
	for i, name := range names {
		for _, other := range names[:i] {
			c.must(t, fmt.Sprintf("true = rpc:call('%s', net_kernel, connect_node, ['%s'])", name, other))
		}
	}
	for i, target := range c.targets {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		require.NoError(t, checks.WaitReady(ctx, c.n, target, slices.Concat(names[:i], names[i+1:]), func(string) {}))
		cancel()
	}
	// A node that is stopped while global makes the nodes known to each other keeps its lock, which is a fault of its own.
	c.must(t, `[ok = rpc:call(N, global, sync, []) || N <- [A, B, C]]`)
	return c
}

// must has the fourth node evaluate Erlang code, which reaches the others by OTP's own means: A, B and C are bound to their names.
func (c *cluster) must(t *testing.T, code string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	_, err := nodetest.Eval(ctx, c.types, c.hand.Name, code, nodetest.Bindings{
		"A": etf.Atom("a@127.0.0.1"), "B": etf.Atom("b@127.0.0.1"), "C": etf.Atom("c@127.0.0.1"),
	})
	require.NoError(t, err, code)
}

// erl is a fault, or what undoes it, in Erlang; see must.
func erl(code string) func(*testing.T, *cluster) {
	return func(t *testing.T, c *cluster) { t.Helper(); c.must(t, code) }
}

// matrix is what Run says: "b apps" → its cell.
type matrix map[string]health.Cell

func (c *cluster) matrix(t *testing.T) (matrix, *health.Report) {
	t.Helper()
	rep := health.Run(t.Context(), c.n, c.targets, c.options)
	m := matrix{}
	for _, r := range rep.Rows {
		alive, _, _ := strings.Cut(r.Node, "@")
		for _, cell := range r.Cells {
			m[alive+" "+cell.Check] = cell
			assert.NotEmpty(t, cell.Saw, "%s %s", r.Node, cell.Check)
			assert.NotContains(t, cell.Saw+cell.Cause+cell.Fix, c.Cookie.Secret())
		}
	}
	return m, rep
}

// statuses leaves of each cell its status.
func (m matrix) statuses() map[string]health.Status {
	out := make(map[string]health.Status, len(m))
	for k, c := range m {
		out[k] = c.Status
	}
	return out
}

// healthy is the matrix of the untouched cluster.
func healthy() map[string]health.Status {
	m := make(map[string]health.Status)
	for _, n := range []string{"a", "b", "c"} {
		for _, c := range health.All() {
			m[n+" "+c.Name] = health.OK
			if absent[c.Name] {
				m[n+" "+c.Name] = health.None
			}
		}
	}
	return m
}

// with returns the healthy matrix with some cells changed; "b *" is all of a node's that are not named.
func with(changed map[string]health.Status) map[string]health.Status {
	m := healthy()
	for cell, status := range changed {
		if n, ok := strings.CutSuffix(cell, " *"); ok {
			for _, c := range health.All() {
				m[n+" "+c.Name] = status
			}
		}
	}
	for cell, status := range changed {
		if !strings.HasSuffix(cell, " *") {
			m[cell] = status
		}
	}
	return m
}

// waitFor examines until the matrix is what is wanted: what was made or undone may take a moment to be seen by all nodes.
func (c *cluster) waitFor(t *testing.T, want map[string]health.Status) (matrix, *health.Report) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		m, rep := c.matrix(t)
		if maps.Equal(want, m.statuses()) || time.Now().After(end) {
			require.Equal(t, want, m.statuses(), "%s", m.told())
			return m, rep
		}
	}
}

// fineOnly examines until every cell is ok or none: on a busy machine there may be a warning of that, or an answer may be late.
func fineOnly(t *testing.T, examine func() *health.Report) *health.Report {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		rep := examine()
		var wrong []string
		for _, row := range rep.Rows {
			for _, cell := range row.Cells {
				if cell.Status != fine && cell.Status != none {
					wrong = append(wrong, fmt.Sprintf("%s %s: %s; %s", row.Node, cell.Check, cell.Saw, cell.Cause))
				}
			}
		}
		if len(wrong) == 0 || time.Now().After(end) {
			assert.Empty(t, wrong)
			return rep
		}
	}
}

// told is everything that is not ok, for the message of a test that fails.
func (m matrix) told() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if c := m[k]; c.Status != health.OK && c.Status != health.None {
			fmt.Fprintf(&b, "%s %s: %s\n", k, c.Status, c.Saw)
		}
	}
	return b.String()
}

// fault is one thing that is wrong, made from outside, and every cell that shows it: all others have to stay as they are.
type fault struct {
	name string
	make func(t *testing.T, c *cluster)
	undo func(t *testing.T, c *cluster) // nil: it can't be; the next fault gets a cluster of its own
	want map[string]health.Status       // "b apps": fail; "b *": blocked
	saw  map[string]string              // "b apps": part of what it saw
	mute bool                           // a node does not answer, and is not waited for as long as one that is busy
}

const (
	warn    = health.Warn
	fail    = health.Fail
	blocked = health.Blocked
	none    = health.None
	fine    = health.OK
)

// absent are the checks which have nothing to check on the untouched cluster.
var absent = map[string]bool{"mnesia": true, "libcluster": true, "horde": true, "syn": true, "partitions": true, "alarms": true, "log": true}

// elsewhere are the checks that other tests break, because three nodes of one release cannot.
var elsewhere = map[string]bool{"flags": true}

// faults are in files beside the checks that they break.
func faults() []fault {
	return slices.Concat(reachFaults, appFaults, clusterFaults, codeFaults, resourceFaults, alarmFaults)
}

// TestEveryCellBreaks makes every fault, and looks at the whole matrix.
func TestEveryCellBreaks(t *testing.T) {
	c := start(t)
	c.waitFor(t, healthy())
	for _, f := range faults() {
		passed := t.Run(f.name, func(t *testing.T) {
			f.make(t, c)
			perNode := c.options.PerNode
			if f.mute {
				c.options.PerNode = 2 * time.Second
			}
			m, rep := c.waitFor(t, with(f.want))
			c.options.PerNode = perNode
			for cell, saw := range f.saw {
				assert.Contains(t, m[cell].Saw, saw, cell)
			}
			for cell, status := range with(f.want) {
				if status == warn || status == fail {
					assert.NotEmpty(t, m[cell].Cause, "%s: its cause", cell)
					assert.NotEmpty(t, m[cell].Fix, "%s: what to do", cell)
				}
			}
			assert.NotEqual(t, health.OK, rep.Worst)
			if f.undo == nil {
				return
			}
			f.undo(t, c)
			c.waitFor(t, healthy())
		})
		if f.undo == nil || !passed {
			c = start(t)
			c.waitFor(t, healthy())
		}
	}
}

// TestEveryCheckIsBroken keeps the table complete.
func TestEveryCheckIsBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, f := range faults() {
		for cell, status := range f.want {
			if _, check, _ := strings.Cut(cell, " "); status == warn || status == fail {
				broken[check] = true
			}
		}
	}
	for _, c := range health.All() {
		assert.True(t, broken[c.Name] || elsewhere[c.Name], "a fault breaks %s", c.Name)
	}
}

// goes has node b go in the middle of an examination. It is told of once, and what it had said until then counts.
func (c *cluster) goes(t *testing.T, how func(b *nodetest.Erl), says string) {
	t.Helper()
	options := c.options
	defer func() { c.options = options }()
	c.options.Limits.Latency, c.options.Limits.RunQueue, c.options.Limits.Schedulers = time.Minute, 1e6, 1 // who else uses the machine is no matter here
	b := c.nodes[1]
	c.options.Log = func(_ context.Context, node string, _ time.Time) (health.Log, error) {
		if node == b.Name {
			how(b)
		}
		return health.Log{}, nil
	}
	c.options.Checks = append(health.All(), health.ProbeChecks([]health.Probe{{Name: "sleeps", Steps: call(t, "timer:sleep(1000)")}})...) // is under way then
	m, _ := c.matrix(t)
	for cell, found := range m {
		if !strings.HasPrefix(cell, "b ") || found.Status != blocked && cell != "b ping" {
			assert.Contains(t, []health.Status{fine, none}, found.Status, "%s: %s", cell, found.Saw)
		}
	}
	assert.Equal(t, fail, m["b ping"].Status)
	assert.Contains(t, m["b ping"].Saw, says)
	assert.Equal(t, blocked, m["b sleeps"].Status)
	assert.Equal(t, "not asked: ping failed", m["b sleeps"].Saw)
}

// A node that is gone is told of once, in its own row; by whoever runs it, if he knows why.
func TestHealthOfAbsentNode(t *testing.T) {
	c := start(t)
	c.goes(t, (*nodetest.Erl).Stop, "went while it was examined: timed out")
	c.nodes[1].Continue()
	c.waitFor(t, healthy())
	c.options.Explain = func(_ context.Context, targets []checks.Target) { targets[1].Down = &checks.Finding{Saw: "shot"} }
	c.goes(t, (*nodetest.Erl).Kill, "shot")
	c.options.Explain = nil

	m, _ := c.waitFor(t, with(map[string]health.Status{"b *": blocked, "b ping": fail}))
	assert.Contains(t, m["b ping"].Saw, "no such name")
	assert.Contains(t, m["a mesh"].Saw, "1 of 2; b@127.0.0.1 does not answer")

	c.options.PerNode = time.Minute // the others are to answer
	c.targets[1].Down = &checks.Finding{Saw: "shot", Cause: "a duel", Fix: "bury it"}
	m, _ = c.matrix(t)
	assert.Equal(t, "shot", m["b ping"].Saw)
	assert.Equal(t, "a duel", m["b ping"].Cause)

	var err error
	c.options.Checks, err = health.Select(health.All(), []string{"memory", "limits", "code"}, nil)
	require.NoError(t, err)
	m, rep := c.matrix(t)
	assert.Equal(t, fail, m["b code"].Status, "the first tells it")
	assert.Equal(t, "shot", m["b code"].Saw)
	assert.Equal(t, blocked, m["b memory"].Status)
	assert.Equal(t, blocked, m["b limits"].Status)
	assert.Len(t, rep.Wrong(), 1)
}
