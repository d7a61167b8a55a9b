package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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

// TestHealth breaks some cells, each by a call from a node that has nothing to do with beamctl, or by a signal. Package health breaks
// all.
func TestHealth(t *testing.T) {
	const fail, blocked = health.Fail, health.Blocked
	for _, tc := range []struct {
		name, example string
		fault         func(w *world)
		but           map[string]health.Status
		says          string // in the table
		patience      string
	}{
		{
			name: "healthy", example: "elixir-counter", fault: func(*world) {}, but: map[string]health.Status{}, says: "counter 1.0.0", patience: "1m",
		},
		{
			name: "application stopped", example: "erlang-kv",
			fault: func(w *world) { w.inNode(`erpc:call('node2@127.0.0.1', application, stop, [kv])`) },
			but:   map[string]health.Status{"node2 apps": fail},
			says:  "kv not running", patience: "1m",
		},
		{
			name: "cookie changed", example: "erlang-kv",
			fault: func(w *world) { w.inNode(`erpc:call('node3@127.0.0.1', erlang, set_cookie, [other])`) },
			but:   map[string]health.Status{"node3 cookie": fail, "node3 *": blocked},
			says:  "wrong cookie", patience: "1m",
		},
		{
			name: "node stopped", example: "erlang-kv",
			fault: func(w *world) { w.stopProcess(w.status().Nodes[1].Pid) },
			but:   map[string]health.Status{"node2 ping": fail, "node2 *": blocked},
			says:  "does not answer", patience: "3s", // which it costs
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.example)
			w.ok("start", "-q")
			w.ok("rpc", "--all", "global:sync()") // it would hold its lock for as long as a node is stopped, which shows as well
			tc.fault(w)
			m, rep, code := w.health("--timeout", tc.patience)
			assert.Equal(t, tc.but, m.broken())
			assert.Len(t, m, 3)
			assert.Equal(t, len(tc.but) == 0, rep.Healthy)
			want := exitOK
			if len(tc.but) > 0 {
				want = exitFailed
			}
			assert.Equal(t, want, code)
			table := w.run("health", "--timeout", tc.patience)
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
	m, _, code := other.health("--attach", nodes, "--cookie-file", cookie)
	assert.Equal(t, exitOK, code)
	assert.Len(t, m, 2)
	assert.Equal(t, health.OK, m["node2@127.0.0.1"]["mesh"])

	absent := other.run("health", "--attach", "node9@127.0.0.1", "--cookie-file", cookie)
	assert.Equal(t, exitFailed, absent.code)
	assert.Contains(t, absent.out, `as "node9"`)
	nothing := other.run("health")
	assert.Equal(t, exitNoCluster, nothing.code)
	w.ok("stop", "-q")
}
