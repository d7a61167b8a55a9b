package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

// matrix is what health says: node → check → status.
type matrix map[string]map[string]health.Status

// health runs `health -o json` with more arguments.
func (w *world) health(args ...string) (matrix, *health.Report, int) {
	w.t.Helper()
	r := w.run(append([]string{"health", "-o", "json"}, args...)...)
	var rep health.Report
	require.NoError(w.t, json.Unmarshal([]byte(r.out), &rep), "%s%s", r.out, r.err)
	m := matrix{}
	for _, row := range rep.Rows {
		m[row.Node] = map[string]health.Status{}
		for _, c := range row.Cells {
			m[row.Node][c.Check] = c.Status
		}
	}
	return m, &rep, r.code
}

// broken leaves of a matrix what is wrong: "node2 apps" → fail; with blocked cells, "node2 *" stands for all of them.
func (m matrix) broken() map[string]health.Status {
	out := map[string]health.Status{}
	for node, row := range m {
		short, _, _ := strings.Cut(node, "@")
		for check, status := range row {
			switch status {
			case health.Blocked:
				out[short+" *"] = status
			case health.Warn, health.Fail:
				out[short+" "+check] = status
			case health.OK, health.None:
			}
		}
	}
	return out
}

// unwell asks until that is wrong which is to be, and nothing else: on a busy machine a good node may be late once. There may be a warning of
// that at any time.
func (w *world) unwell(want map[string]health.Status, args ...string) (*health.Report, int) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		m, rep, code := w.health(args...)
		broken := m.broken()
		maps.DeleteFunc(broken, func(_ string, s health.Status) bool { return s == health.Warn })
		if maps.Equal(want, broken) || time.Now().After(end) {
			assert.Equal(w.t, want, broken)
			return rep, code
		}
	}
}

// well asks until nothing is wrong.
func (w *world) well(args ...string) {
	w.t.Helper()
	_, code := w.unwell(map[string]health.Status{}, args...)
	assert.Equal(w.t, exitOK, code)
}

// TestHealth breaks some cells, each by a call from a node that has nothing to do with beamctl, or by a signal. Package health breaks
// all.
func TestHealth(t *testing.T) {
	const fail, blocked = health.Fail, health.Blocked
	for _, tc := range []struct {
		name, example string
		fault         func(w *world)
		args          []string
		but           map[string]health.Status
		says          string // in the table
	}{
		{
			name: "healthy", example: "elixir-counter", fault: func(*world) {}, but: map[string]health.Status{}, says: "counter 1.0.0",
		},
		{
			name: "application stopped", example: "erlang-kv",
			fault: func(w *world) { w.inNode(`erpc:call('node2@127.0.0.1', application, stop, [kv])`) },
			but:   map[string]health.Status{"node2 apps": fail},
			says:  "kv not running",
		},
		{
			name: "cookie changed", example: "erlang-kv",
			fault: func(w *world) { w.inNode(`erpc:call('node3@127.0.0.1', erlang, set_cookie, [other])`) },
			but:   map[string]health.Status{"node3 cookie": fail, "node3 *": blocked},
			says:  "wrong cookie",
		},
		{
			name: "node stopped", example: "erlang-kv", args: []string{"--timeout", "5s"}, // which it takes
			fault: func(w *world) { w.stopProcess(w.status().Nodes[1].Pid) },
			but:   map[string]health.Status{"node2 ping": fail, "node2 *": blocked},
			says:  "does not answer",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.example)
			w.ok("start", "-q")
			w.ok("rpc", "--all", "global:sync()") // it would hold its lock for as long as a node is stopped, which shows as well
			tc.fault(w)
			rep, code := w.unwell(tc.but, tc.args...)
			assert.Len(t, rep.Rows, 3)
			assert.Equal(t, len(tc.but) == 0, rep.Healthy)
			want := exitOK
			if len(tc.but) > 0 {
				want = exitFailed
			}
			assert.Equal(t, want, code)
			table := w.run(append([]string{"health"}, tc.args...)...)
			assert.Equal(t, want, table.code)
			assert.Contains(t, table.out, tc.says)
			w.ok("stop", "-q")
		})
	}
}

// stopProcess stops a process and returns when it stands still: the signal alone is only a wish.
func (w *world) stopProcess(pid int) {
	w.t.Helper()
	require.NoError(w.t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(w.t, "the process stops", func() bool {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, s := range stats {
			b, err := os.ReadFile(s)
			if _, rest, ok := strings.Cut(string(b), ") "); err != nil || !ok || rest[0] != 'T' {
				return false
			}
		}
		return len(stats) > 0
	})
}

// Nodes that beamctl did not start: here those of a cluster seen from a directory where there is none.
func TestHealthAttached(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q")
	st := w.status()
	other := newWorld(t, "")
	_, port, _ := strings.Cut(st.EPMD, ":")
	other.env = append(other.env, "ERL_EPMD_PORT="+port)
	cookie := filepath.Join(st.StateDir, "cookie")

	nodes := "node1@127.0.0.1,node2@127.0.0.1=127.0.0.1:" + fmt.Sprint(st.Nodes[1].Port)
	other.well("--attach", nodes, "--cookie-file", cookie)
	m, _, _ := other.health("--attach", nodes, "--cookie-file", cookie)
	assert.Len(t, m, 2)
	assert.Equal(t, health.OK, m["node2@127.0.0.1"]["mesh"])

	absent := other.run("health", "--attach", "node9@127.0.0.1", "--cookie-file", cookie)
	assert.Equal(t, exitFailed, absent.code)
	assert.Contains(t, absent.out, `as "node9"`)
	nothing := other.run("health")
	assert.Equal(t, exitNoCluster, nothing.code)
	w.ok("stop", "-q")
}
