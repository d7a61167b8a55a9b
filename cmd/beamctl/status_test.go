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
	const idle = 10 * time.Second
	var resident int64
	var share float64
	for range 3 { // what there was to do may take a while on a busy machine: the last garbage collection comes later
		time.Sleep(time.Second)
		var before, after time.Duration
		resident, before = usage()
		time.Sleep(idle)
		_, after = usage()
		share = (after - before).Seconds() / idle.Seconds()
		t.Logf("%d MB resident, %.2f %% of a CPU", resident>>20, 100*share)
		if resident <= maxResident && share <= maxIdle {
			break
		}
	}
	assert.LessOrEqual(t, resident, int64(maxResident))
	assert.LessOrEqual(t, share, maxIdle)
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
