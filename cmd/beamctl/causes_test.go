package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/diagnose"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/launcher"
)

// cell returns what health says of one check of one node.
func cell(t *testing.T, rep *health.Report, node, check string) *health.Cell {
	t.Helper()
	for _, row := range rep.Rows {
		for i := range row.Cells {
			if row.Node == node && row.Cells[i].Check == check {
				return &row.Cells[i]
			}
		}
	}
	require.Fail(t, "no such cell", "%s %s", node, check)
	return nil
}

// of leaves the findings of one level: on a busy machine there may be a warning of that at any time.
func of(level diagnose.Level, r *diagnose.Report) (out []diagnose.Finding) {
	for _, f := range r.Findings {
		if f.Level == level {
			out = append(out, f)
		}
	}
	return out
}

// TestCauses: what the supervisor has seen explains why a node does not answer; what it was asked for, and what is over, is no fault.
func TestCauses(t *testing.T) {
	const node2 = "node2@127.0.0.1"
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q")
	w.ok("rpc", "--all", "global:sync()")
	state := func(i int) string { return w.status().Nodes[i].State }

	t.Run("killed", func(t *testing.T) {
		require.NoError(t, syscall.Kill(w.status().Nodes[1].OSPid, syscall.SIGKILL))
		w.crashed(1)
		eventually(t, "the others notice", func() bool { return len(w.status().Nodes[0].Peers) == 1 && len(w.status().Nodes[2].Peers) == 1 })
		rep, code := w.unwell(map[string]health.Status{"node2 ping": health.Fail, "node2 *": health.Blocked}) // it is told once
		assert.Equal(t, exitFailed, code)
		ping := cell(t, rep, node2, "ping")
		assert.Regexp(t, `^crashed at [0-9-]* ?\d\d:\d\d:\d\d: killed by signal 9 \(SIGKILL\)$`, ping.Saw)
		assert.Contains(t, ping.Cause, "SIGKILL")
		assert.Contains(t, ping.Fix, "beamctl start node2")
		assert.Contains(t, cell(t, rep, "node1@127.0.0.1", "mesh").Saw, "1 of 2; node2@127.0.0.1 does not answer")

		only := w.run("health", "--only", "memory,apps,limits")
		assert.Equal(t, exitFailed, only.code)
		assert.Equal(t, 1, strings.Count(only.out, "crashed at"), only.out)

		call := w.run("rpc", "node2", "erlang:node()")
		assert.Equal(t, exitNoCluster, call.code)
		assert.Contains(t, call.err, ping.Saw)

		r, code := w.diagnose()
		assert.Equal(t, exitFailed, code)
		found := of(diagnose.Fail, r)
		require.Len(t, found, 1, "%+v", r.Findings)
		assert.Equal(t, diagnose.AreaReach, found[0].Area)
		assert.Equal(t, node2+" does not run", found[0].What)
		assert.Equal(t, ping.Saw, found[0].Saw)
		assert.NotContains(t, found[0].Error(), "meant?")
		assert.Equal(t, ping.Saw, r.Nodes[1].Down)
	})
	t.Run("started again", func(t *testing.T) {
		w.ok("start", "node2", "-q")
		w.ok("restart", "node1", "-q")
		w.ok("exec", "--as-node", "guest", "--", "erl", "-noinput", "-eval", "pong = net_adm:ping('node1@127.0.0.1'), pong = net_adm:ping('node3@127.0.0.1'), halt().")
		eventually(t, "the guest is gone", func() bool { return len(w.status().Nodes[0].Peers) == 2 && len(w.status().Nodes[2].Peers) == 2 })
		var r *diagnose.Report
		eventually(t, "nothing is wrong now", func() bool { r, _ = w.diagnose(); return r.OK })
		past := of(diagnose.Past, r)
		require.Len(t, past, 1, "%+v", r.Findings)
		assert.Contains(t, past[0].What, node2+" had crashed, and runs again since")
		assert.NotContains(t, past[0].Fix, "dump")
		assert.Contains(t, past[0].Cause, "SIGKILL", "as before it was started again")
		assert.Contains(t, past[0].Fix, "beamctl logs node2")
		w.ok("restart", "node2", "-q")
		r, _ = w.diagnose()
		assert.Equal(t, past[0].What, of(diagnose.Past, r)[0].What, "it ran again before it was restarted")
		text := w.run("diagnose", "--sample", "50ms")
		assert.Equal(t, exitOK, text.code)
		assert.Contains(t, text.err, "nothing is wrong now")
		assert.NotContains(t, text.out, "overlapping")
	})
	t.Run("stopped by beamctl", func(t *testing.T) {
		w.ok("stop", "node3", "-q")
		_, rep, code := w.health()
		assert.Equal(t, exitFailed, code)
		assert.Regexp(t, `^stopped at `, cell(t, rep, "node3@127.0.0.1", "ping").Saw)
		r, _ := w.diagnose()
		found := of(diagnose.Fail, r)
		require.Len(t, found, 1, "%+v", r.Findings)
		assert.Contains(t, found[0].Cause, "beamctl stop node3")
		w.ok("start", "node3", "-q")
	})
	t.Run("stopped by a signal", func(t *testing.T) {
		w.ok("rpc", "--all", "global:sync()")
		pid := w.status().Nodes[1].OSPid
		w.stopProcess(pid)
		eventually(t, "the supervisor sees it", func() bool { return state(1) == launcher.NodeUnreachable })
		var rep *health.Report
		within(t, func(timeout string) bool {
			_, rep, _ = w.health("--only", "reach", "--timeout", timeout)
			return strings.Contains(cell(t, rep, node2, "ping").Saw, "is stopped (state T)")
		})
		assert.Contains(t, cell(t, rep, node2, "ping").Fix, "kill -CONT")
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	})
	t.Run("left", func(t *testing.T) {
		w.inNode(`catch erpc:call('node2@127.0.0.1', fun() -> spawn(fun() -> net_kernel:stop() end) end)`) // which may be faster than the reply
		var ping *health.Cell
		eventually(t, "it is no node any more", func() bool {
			_, rep, _ := w.health("--only", "ping")
			ping = cell(t, rep, node2, "ping")
			return ping.Status == health.Fail
		})
		assert.Contains(t, ping.Saw, "has told EPMD that it leaves")
		assert.Contains(t, ping.Fix, "beamctl restart node2")
		w.ok("restart", "node2", "-q")
	})
	t.Run("another cookie, in a former life", func(t *testing.T) {
		const node3 = "node3@127.0.0.1"
		w.inNode(`erpc:call('node3@127.0.0.1', erlang, set_cookie, [other])`)
		r, code := w.diagnose()
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, about(r, diagnose.AreaReach, node3), "beamctl restart node3")
		assert.Empty(t, about(r, diagnose.AreaLog, node3), "who was rejected are we")
		w.ok("restart", "node3", "-q")
		w.inNode(`erpc:cast('node3@127.0.0.1', erlang, halt, ["sick of it"])`)
		w.crashed(2)
		_, rep, _ := w.health("--only", "ping")
		assert.Contains(t, cell(t, rep, node3, "ping").Cause, "crash dump: sick of it")
		assert.NotContains(t, cell(t, rep, node3, "ping").Cause, "cookie")
		w.ok("start", "node3", "-q")
	})
	t.Run("a server that hangs", func(t *testing.T) {
		w.inNode(`erpc:call('node3@127.0.0.1', sys, suspend, [kv_store])`)
		w.write("beamctl.yaml", "health: {probes: [{name: number, call: \"erlang:abs(-7)\", expect: {range: \">8\"}}, {name: word, call: \":erlang.node()\", expect: {equals: \":nowhere\"}, on: once}]}\n")
		r, code := w.diagnose()
		assert.Equal(t, exitFailed, code)
		hung := about(r, diagnose.AreaHealth, "node3@127.0.0.1")
		assert.Contains(t, hung, "node3@127.0.0.1: the check servers fails")
		assert.Contains(t, hung, "kv_store is suspended")
		assert.Contains(t, about(r, diagnose.AreaHealth, ""), "node1@127.0.0.1, node2@127.0.0.1, node3@127.0.0.1: the check number fails")
		require.NotNil(t, r.Health)
		assert.Len(t, r.Health.Rows, 3)
		assert.Contains(t, w.run("health", "-o", "junit", "--only", "probes").out, `message="7; expected: range &gt;8"`)
		assert.Contains(t, w.run("health", "-o", "prometheus", "--only", "probes").out, `beamctl_number_value{node="node1@127.0.0.1"} 7`)
		memory := cell(t, r.Health, "node1@127.0.0.1", "memory")
		for _, kind := range []string{"resident_bytes", "processes_bytes", "ets_bytes"} {
			assert.Greater(t, memory.Values[kind], 10e3, kind)
		}
		assert.NotContains(t, memory.Values, "total_bytes", "nobody has made it count")
		word := cell(t, r.Health, "node1@127.0.0.1", "word")
		assert.Equal(t, `:"node1@127.0.0.1"`, word.Saw, "in the probe's own syntax")
		page := w.run("diagnose", "-o", "html", "--sample", "50ms").out
		assert.Contains(t, page, "fail: kv_store is suspended")
		w.inNode(`erpc:call('node3@127.0.0.1', sys, resume, [kv_store])`)
	})
	t.Run("attach from", func(t *testing.T) {
		st := w.status()
		other := newWorld(t, "")
		_, port, _ := strings.Cut(st.EPMD, ":")
		other.env = append(other.env, "ERL_EPMD_PORT="+port)
		cookie := filepath.Join(st.StateDir, "cookie")
		r, code := other.diagnose("--attach-from", node2, "--cookie-file", cookie)
		assert.Equal(t, exitOK, code, "%+v", r.Findings)
		assert.Len(t, r.Nodes, 3)
		assert.Equal(t, exitUsage, other.run("diagnose", "--attach-from", node2, "--attach", node2, "--cookie-file", cookie).code)
		absent := other.run("diagnose", "--attach-from", "node9@127.0.0.1", "--cookie-file", cookie)
		assert.Equal(t, exitNoCluster, absent.code)
		assert.Contains(t, absent.err, `"node9"`)
	})
	w.ok("stop", "-q")
}
