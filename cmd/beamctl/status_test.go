package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

func TestStatusMeasures(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "1")
	before := w.status().Nodes[0]
	assert.Greater(t, before.Memory, int64(10<<20))
	w.inNode(`persistent_term:put(ballast, lists:seq(1, 10000000)), ok`) // 160 MB, and some work
	after := w.status().Nodes[0]
	assert.Greater(t, after.Memory-before.Memory, int64(100<<20))
	assert.Greater(t, after.CPU, before.CPU)
	w.ok("stop")
}

func TestStatusWatch(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "2")
	plain := w.follow("status", "-w", "--every", "100ms")
	lines := w.follow("status", "-w", "--every", "100ms", "-o", "json")
	plain.shows("%  ") // it has looked twice
	plain.shows("node2@127.0.0.1  up ")
	lines.shows("\n")
	w.ok("stop", "node2")
	plain.shows("node2@127.0.0.1  stopped ")
	require.NoError(t, plain.Process.Signal(os.Interrupt))
	require.NoError(t, plain.Wait(), "Ctrl-C is how one stops looking")
	lines.shows(`"state":"stopped"`)
	w.ok("stop")
	require.NoError(t, lines.Wait(), "it ends with the cluster")
	text, jsons := plain.text(), lines.text()
	assert.Contains(t, text, "node2@127.0.0.1  up ")
	assert.Regexp(t, `node1@127.0.0.1  up .* \d+%  `, text)
	assert.NotContains(t, text, "\x1b", "it is no terminal")
	n := 0
	for line := range strings.Lines(jsons) {
		var st launcher.Status
		require.NoError(t, json.Unmarshal([]byte(line), &st))
		n++
	}
	assert.Greater(t, n, 1)
}

// The most that a cluster of three nodes may cost besides the nodes.
const (
	maxResident = 40 << 20
	maxIdle     = 0.005 // of a CPU
)

// TestSupervisorIsSmall measures supervisor and guardian after some work, and while nothing is to be done.
func TestSupervisorIsSmall(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	w.inNode(`[ok = io:format(user, "~s~n", [lists:duplicate(990, $x)]) || _ <- lists:seq(1, 5000)], ok`)
	for range 20 {
		w.status()
	}
	w.ok("restart", "node2")
	rec := w.record()
	pids := []int{rec.Supervisor.Pid, rec.Guardian.Pid}
	usage := func() (resident int64, cpu time.Duration) {
		for _, pid := range pids {
			r, c := residentAndCPU(t, pid)
			resident, cpu = resident+r, cpu+c
		}
		return resident, cpu
	}
	const idle, looks = 10 * time.Second, 6
	for look := 1; ; look++ { // until the work and its garbage are done with, for which a busy machine takes its time
		_, before := usage()
		time.Sleep(idle)
		resident, after := usage()
		t.Logf("%d MB resident, %.2f %% of a CPU", resident>>20, 100*(after-before).Seconds()/idle.Seconds())
		if small := resident <= maxResident && (after-before).Seconds() <= maxIdle*idle.Seconds(); small || look == looks {
			assert.True(t, small)
			break
		}
	}
	assert.True(t, alive(pids[0]) && alive(pids[1]))
	w.ok("stop")
}

// residentAndCPU asks the kernel (proc_pid_stat(5)).
func residentAndCPU(t testing.TB, pid int) (int64, time.Duration) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	n := func(field int) int64 {
		v, err := strconv.ParseInt(f[field-3], 10, 64)
		require.NoError(t, err)
		return v
	}
	return n(24) * int64(os.Getpagesize()), time.Duration(n(14)+n(15)) * 10 * time.Millisecond
}
