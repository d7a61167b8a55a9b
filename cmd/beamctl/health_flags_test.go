package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

// TestHealthFlags is every flag and the configuration, with one cluster.
func TestHealthFlags(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q")
	columns := func(args ...string) string {
		_, rep, _ := w.health(args...)
		var names []string
		for _, c := range rep.Rows[0].Cells {
			names = append(names, c.Check)
		}
		return strings.Join(names, " ")
	}
	t.Run("only and skip", func(t *testing.T) {
		assert.Equal(t, "ping rpc cookie flags ticks memory", columns("--only", "reach,memory"))
		assert.Equal(t, "ping memory", columns("--only", "reach", "--only", "memory", "--skip", "rpc,cookie,flags,ticks"))
		assert.Equal(t, exitUsage, w.run("health", "--only", "reech").code)
		assert.Contains(t, w.run("health", "--skip", "reech").err, "no such check: \"reech\": did you mean reach?\n  groups  reach, app, cluster, code, resources, alarms\n  checks  ping, rpc,")
		assert.Equal(t, exitUsage, w.run("health", "--only", "ping", "--skip", "reach").code)
	})
	t.Run("fail on", func(t *testing.T) {
		w.write("beamctl.yaml", "health: {memory: 1MiB}\n")
		const calm = "apps,versions,memory" // of which a busy machine makes no warning
		warned := w.run("health", "--only", calm)
		assert.Equal(t, exitOK, warned.code, warned.out)
		assert.Contains(t, warned.out, "WARN")
		assert.Regexp(t, `(?m)^warn node1@127\.0\.0\.1.* memory$`, warned.out) // nodes that say the same are named together
		assert.Contains(t, warned.out, "over the limit of 1 MiB")
		assert.Contains(t, warned.err, "3 warnings: 3 nodes,")
		assert.Equal(t, exitFailed, w.run("health", "--fail-on", "warn").code)
		assert.Equal(t, exitOK, w.run("health", "--fail-on", "warn", "--only", calm, "--skip", "memory").code)
		assert.Equal(t, exitUsage, w.run("health", "--fail-on", "never").code)
		w.write("other.yaml", "health: {memory: 1TiB}\n")
		assert.Equal(t, exitOK, w.run("health", "--fail-on", "warn", "--only", calm, "-f", "other.yaml").code)
		w.write("other.yaml", "health: {memory: lots}\n")
		wrong := w.run("health", "-f", "other.yaml")
		assert.Equal(t, exitUsage, wrong.code)
		assert.Contains(t, wrong.err, "other.yaml:1:18: health.memory: is no size")
	})
	t.Run("probes", func(t *testing.T) {
		w.write("beamctl.yaml", `
health:
  probes:
    - {name: empty, call: "kv:get(nothing)", expect: {equals: error}}
    - {name: elixir, call: ":kv.get(:nothing)", expect: {match: "{:ok, _}"}, on: once}
`)
		m, rep, code := w.health("--only", "probes")
		assert.Equal(t, exitFailed, code)
		assert.Equal(t, map[string]health.Status{"node1 elixir": health.Fail}, m.broken(), "%+v", rep)
		assert.Equal(t, "empty", columns("--only", "empty"))
		assert.Equal(t, "error", rep.Rows[2].Cells[0].Saw)
		assert.Equal(t, health.None, rep.Rows[2].Cells[1].Status)
		require.NoError(t, os.Remove(filepath.Join(w.dir, "beamctl.yaml")))
	})
	t.Run("forms", func(t *testing.T) {
		var suites junitSuites
		require.NoError(t, xml.Unmarshal([]byte(w.ok("health", "-o", "junit")), &suites))
		assert.Len(t, suites.Suites, 3)
		metrics := w.ok("health", "-o", "prometheus")
		problems, err := promlint.New(strings.NewReader(metrics)).Lint()
		require.NoError(t, err)
		assert.Empty(t, problems)
		assert.Contains(t, metrics, `beamctl_check_state{node="node2@127.0.0.1",group="reach",check="ping",state="ok"} 1`)
		assert.Empty(t, w.ok("health", "-o", "github", "--only", "reach"))
		assert.Equal(t, exitUsage, w.run("status", "-o", "junit").code)
		assert.Equal(t, exitUsage, w.run("health", "-o", "yaml").code)
		assert.Equal(t, exitUsage, w.run("health", "-w", "-o", "junit").code)
		assert.Equal(t, exitUsage, w.run("health", "-w", "--every", "1ms").code)
	})
	t.Run("watch", func(t *testing.T) {
		cmd := w.cmd("health", "--watch", "--every", "100ms", "-o", "json", "--only", "reach,apps")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		read := func() (rep health.Report) {
			require.True(t, lines.Scan())
			require.NoError(t, json.Unmarshal(lines.Bytes(), &rep))
			return rep
		}
		eventually(t, "all is well", func() bool { return read().Healthy })
		w.inNode(`erpc:call('node2@127.0.0.1', application, stop, [kv])`)
		eventually(t, "what is stopped shows", func() bool { return read().Worst == health.Fail })
		w.inNode(`erpc:call('node2@127.0.0.1', application, start, [kv])`)
		eventually(t, "what is started shows", func() bool { return read().Healthy })
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		for lines.Scan() { //nolint:revive // until it ends
		}
		require.NoError(t, cmd.Wait(), "Ctrl-C is how one stops looking")
	})
	t.Run("attach from", func(t *testing.T) {
		st := w.status()
		other := newWorld(t, "")
		_, port, _ := strings.Cut(st.EPMD, ":")
		other.env = append(other.env, "ERL_EPMD_PORT="+port)
		cookie := filepath.Join(st.StateDir, "cookie")
		other.well("--attach-from", "node2@127.0.0.1", "--cookie-file", cookie)
		m, _, _ := other.health("--attach-from", "node2@127.0.0.1", "--cookie-file", cookie)
		assert.Len(t, m, 3)
		assert.Equal(t, health.OK, m["node1@127.0.0.1"]["mesh"])
		both := other.run("health", "--attach-from", "node2@127.0.0.1", "--attach", "node1@127.0.0.1", "--cookie-file", cookie)
		assert.Equal(t, exitUsage, both.code)
		twice := other.run("health", "--attach", "node1@127.0.0.1,node1@127.0.0.1", "--cookie-file", cookie)
		assert.Equal(t, exitUsage, twice.code)
		assert.Contains(t, twice.err, "named twice")
		absent := other.run("health", "--attach-from", "node9@127.0.0.1", "--cookie-file", cookie)
		assert.Equal(t, exitNoCluster, absent.code)
		assert.Contains(t, absent.err, `"node9"`)
	})
	w.ok("stop", "-q")
}

// TestHealthOfForeigners compares what health says of brokers that beamctl did not start with what their own tools say.
func TestHealthOfForeigners(t *testing.T) {
	for _, f := range []*foreign{startRabbit(t), startEjabberd(t)} {
		w := newWorld(t, "")
		w.env = append(w.env, f.epmdEnv())
		var rep *health.Report
		eventually(t, "nothing is wrong, once it has booted and its schedulers rest", func() bool {
			_, now, code := w.health("--attach", f.name, "--cookie-file", f.cookieFile, "--fail-on", "warn")
			rep = now
			return code == exitOK
		})
		cells := map[string]health.Cell{}
		for _, c := range rep.Rows[0].Cells {
			cells[c.Check] = c
		}
		assert.Equal(t, "OTP 25", cells["rpc"].Saw)
		for _, check := range []string{"apps", "versions", "supervisors", "servers", "limits", "memory", "mnesia", "disk"} {
			assert.Equal(t, health.OK, cells[check].Status, "%s: %s: %s", f.name, check, cells[check].Saw)
		}
		assert.Greater(t, cells["supervisors"].Values["supervisors"], 20.0, f.name)
		assert.Greater(t, cells["servers"].Values["servers"], 50.0, f.name)
	}
	f := startRabbit(t)
	t.Run("an alarm of RabbitMQ", func(t *testing.T) {
		w := newWorld(t, "")
		w.env = append(w.env, f.epmdEnv())
		alarms := func() *health.Cell {
			_, rep, _ := w.health("--attach", f.name, "--cookie-file", f.cookieFile, "--only", "alarms")
			return cell(t, rep, f.name, "alarms")
		}
		assert.Equal(t, "none", alarms().Saw)
		watermark := func(share string) {
			out, code := f.tool(t, "rabbitmqctl", nil, "set_vm_memory_high_watermark", share)
			require.Zero(t, code, out)
		}
		watermark("0.0001")
		eventually(t, "the alarm is raised", func() bool { return alarms().Status == health.Warn })
		assert.Equal(t, "resource_limit memory", alarms().Saw)
		assert.Contains(t, alarms().Cause, "vm_memory_high_watermark")
		watermark("0.4")
		eventually(t, "the alarm is cleared", func() bool { return alarms().Status == health.OK })
	})
	asked := []struct {
		check, value, expr string
		tolerance          float64
		theirs             float64
	}{
		{check: "apps", value: "running", expr: "length(application:which_applications()).", tolerance: 1e-9},
		{check: "memory", value: "total_bytes", expr: "erlang:memory(total).", tolerance: 0.2},
		{check: "limits", value: "processes", expr: "erlang:system_info(process_count).", tolerance: 0.1},
		{check: "limits", value: "atoms", expr: "erlang:system_info(atom_count).", tolerance: 0.05},
	}
	for i := range asked {
		out, code := f.tool(t, "rabbitmqctl", nil, "eval", asked[i].expr)
		require.Zero(t, code, out)
		require.NoError(t, json.Unmarshal([]byte(strings.TrimSpace(out)), &asked[i].theirs), out)
	}
	w := newWorld(t, "")
	w.env = append(w.env, f.epmdEnv())
	_, rep, _ := w.health("--attach", f.name, "--cookie-file", f.cookieFile, "--only", "apps,memory,limits")
	for _, c := range rep.Rows[0].Cells {
		for _, q := range asked {
			if q.check == c.Check {
				assert.InEpsilon(t, q.theirs, c.Values[q.value], q.tolerance, "%s: %s", c.Check, q.expr)
			}
		}
	}
}
