package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// says has a node print a line, and returns when it is in the log: what is said next is later.
func (w *world) says(node, text string) {
	w.t.Helper()
	w.ok("rpc", node, fmt.Sprintf("io:put_chars(user, <<%q/utf8, 10>>)", text))
	eventually(w.t, "it is in the log", func() bool { return strings.Contains(w.ok("logs", node), text+"\n") })
}

func TestLogsMergeNodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	assert.Equal(t, "no output yet\n", w.run("logs").err)
	begun := time.Now().Truncate(time.Millisecond) // as the stamps are
	for i := range 6 {
		w.says(fmt.Sprintf("node%d", 3-i%3), fmt.Sprintf("word %d", i))
	}
	assert.Equal(t, "node3 | word 0\nnode2 | word 1\nnode1 | word 2\nnode3 | word 3\nnode2 | word 4\nnode1 | word 5\n", w.ok("logs"))
	assert.Equal(t, "node3 | word 3\nnode2 | word 4\nnode1 | word 5\n", w.ok("logs", "-n", "1"))
	assert.Equal(t, "node2 | word 1\nnode2 | word 4\n", w.ok("logs", "node2"))
	assert.Equal(t, "node1 | word 2\nnode3 | word 3\n", w.ok("logs", "--grep", "word [23]"))
	none := w.run("logs", "--grep", "nothing like that")
	assert.Equal(t, result{err: "no line matches\n"}, none)
	assert.Empty(t, w.run("logs", "-o", "json", "--grep", "nothing like that").err)
	assert.Empty(t, w.run("logs", "-q", "--since", "1ms"))
	assert.Equal(t, 6, strings.Count(w.ok("logs", "--since", "10m"), "\n"))
	assert.Regexp(t, `^node3 \| \d\d:\d\d:\d\d\.\d{3} word 0\n`, w.ok("logs", "-t"))
	var l launcher.LogLine
	require.NoError(t, json.Unmarshal([]byte(strings.Split(w.ok("logs", "-o", "json"), "\n")[1]), &l))
	assert.Equal(t, launcher.LogLine{Time: l.Time, Node: "node2", Text: "word 1"}, l)
	assert.WithinRange(t, l.Time, begun, time.Now())
	for _, bad := range [][]string{{"--since", "yesterday"}, {"--grep", "("}, {"-n", "-1"}} {
		assert.Equal(t, exitUsage, w.run(append([]string{"logs"}, bad...)...).code, "%v", bad)
	}

	follower := w.follow("logs", "-f", "-n", "1", "node1")
	follower.shows("word 5")
	w.says("node1", "while it follows")
	w.says("node2", "not asked for")
	// A line that the node's death leaves without end belongs to the log, too.
	w.afterwards(`io:put_chars(user, "last wor"), halt(3)`)
	assert.Contains(t, w.crashed(0).Cause, "last wor")
	w.ok("start", "node1")
	w.says("node1", "again")
	w.ok("stop")
	require.NoError(t, follower.Wait(), "it ends with the cluster")
	assert.Contains(t, follower.text(), "node1 | word 5\nnode1 | while it follows\n")
	assert.Contains(t, follower.text(), "again\n")
	assert.NotContains(t, follower.text(), "not asked for")
}

// TestLogsAreRotated has a node print more than a log may hold.
func TestLogsAreRotated(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "1")
	w.inNode(`[ok = io:format(user, "~8..0w ~s~n", [I, lists:duplicate(990, $x)]) || I <- lists:seq(1, 20000)], ok`)
	w.says("node1", "the end")
	eventually(t, "all is in the log", func() bool { return strings.Contains(w.ok("logs", "-n", "1"), "the end") })
	dir := filepath.Join(w.dir, ".beamctl", "kv", "nodes", "node1")
	total := int64(0)
	for _, f := range []string{"console.log", "console.log.1"} {
		fi, err := os.Stat(filepath.Join(dir, f))
		require.NoError(t, err)
		total += fi.Size()
	}
	assert.Less(t, total, int64(17<<20), "20 MB were printed")
	lines := strings.Split(strings.TrimSpace(w.ok("logs")), "\n")
	assert.Equal(t, "node1 | the end", lines[len(lines)-1])
	assert.Contains(t, lines[len(lines)-2], "00020000 x")
	assert.Greater(t, len(lines), 8000)
	w.ok("stop")
}

func TestEvents(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "2")
	follower := w.cmd("events", "-f", "-o", "json")
	var out bytes.Buffer
	follower.Stdout = &out
	require.NoError(t, follower.Start())
	require.NoError(t, syscall.Kill(w.record().Nodes[1].Process.Pid, syscall.SIGKILL))
	w.crashed(1)
	w.ok("start", "node2")
	w.ok("stop", "node1")
	shown := w.ok("events")
	assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.\d{3}  node2@127.0.0.1  crashed \(killed by signal 9 \(SIGKILL\)\)$`, shown)
	assert.NotContains(t, w.ok("events", "node1"), "node2@")
	assert.Empty(t, w.ok("events", "--since", "1ms"))
	w.ok("stop", "--keep")
	require.NoError(t, follower.Wait())

	var stages []string
	for line := range strings.Lines(out.String()) {
		var e launcher.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		if e.Stage != launcher.StageWaiting {
			stages = append(stages, strings.TrimSuffix(e.Node, "@127.0.0.1")+" "+string(e.Stage))
		}
	}
	next := 0
	for _, want := range []string{
		"node2 started", "node2 registered", "node2 connected", "node2 ready", " ready", "node2 crashed",
		"node2 started", "node2 registered", "node2 connected", "node2 ready", "node1 stopped", " stopping", "node2 stopped", " stopped",
	} {
		for next < len(stages) && stages[next] != want {
			next++
		}
		require.Less(t, next, len(stages), "%q is not there, or not in its place: %q", want, stages)
		next++
	}
	assert.Contains(t, w.ok("events"), "node1@127.0.0.1  stopped", "the file outlives the cluster with --keep")
	w.ok("clean")
}
