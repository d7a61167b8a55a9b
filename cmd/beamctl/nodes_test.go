package main

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// states returns the nodes' states, in order.
func states(st launcher.Status) []string {
	var out []string
	for _, n := range st.Nodes {
		out = append(out, n.State)
	}
	return out
}

// meshed asserts that all nodes are up, healthy, and see each other.
func (w *world) meshed(n int) {
	w.t.Helper()
	eventually(w.t, "all see each other", func() bool {
		st := w.status()
		alone := func(node launcher.NodeStatus) bool { return node.State != launcher.NodeUp || len(node.Peers) != n-1 }
		return len(st.Nodes) == n && !slices.ContainsFunc(st.Nodes, alone)
	})
	w.well()
}

func TestStopAndStartNodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	w.inNode(`spawn(fun() -> open_port({spawn, "sleep 1001"}, []), receive stop -> ok end end)`)
	before := w.record().Nodes
	w.ok("stop", "node1", "node3@127.0.0.1")
	st := w.status()
	assert.Equal(t, []string{"stopped", "up", "stopped"}, states(st))
	assert.Equal(t, "exit status 0", st.Nodes[0].Exit)
	assert.Zero(t, st.Nodes[0].Pid)
	assert.False(t, alive(before[0].Process.Pid))
	assert.Equal(t, before[1].Process, w.record().Nodes[1].Process, "it went on")
	again := w.run("start", "-n", "5")
	assert.Equal(t, exitNoStart, again.code)
	assert.Contains(t, again.err, "is running already")
	assert.Contains(t, again.err, "start its nodes that do not run: beamctl start node1 node3\n")
	assert.Contains(t, again.err, "it has 3 of 5 nodes; start the others: beamctl add -n 2\n")
	r := w.run("exec", "--", "true")
	assert.Equal(t, exitOK, r.code)
	assert.Contains(t, r.err, "warning: node1@127.0.0.1, node3@127.0.0.1 do not run\n")
	assert.Contains(t, r.err, "fix   beamctl start node1 node3\n")
	assert.NotContains(t, r.err, "node2@")
	for args, says := range map[string]string{
		"exec --hidden -- true": "--as-node NAME", "run --hidden -- true": "--as-node NAME",
		"exec -o json -- true": "there is no other than table", "run -o json -- true": "there is no other than table", "status -o yaml": "is none of table, json\n",
	} {
		r := w.run(strings.Fields(args)...)
		assert.Equal(t, exitUsage, r.code, args)
		assert.Contains(t, r.err, says)
	}

	out := w.ok("start", "node1")
	assert.Contains(t, out, "stopped")
	assert.Equal(t, []string{"up", "up", "stopped"}, states(w.status()))
	assert.Equal(t, "ok", w.inNode(`kv:put(again, start)`))
	w.ok("start", "node1", "node2", "node3")
	w.meshed(3)
	assert.Equal(t, before[0].EPMD, w.record().Nodes[0].EPMD, "its door is the same")

	for _, verb := range []string{"start", "stop", "restart", "remove"} {
		r := w.run(verb, "node9")
		assert.Equal(t, exitNoCluster, r.code, verb)
		assert.Contains(t, r.err, "no such node in cluster kv: node9 (there are node1, node2")
	}
	w.ok("stop", "node1", "node2", "node3")
	r = w.run("sync")
	assert.Equal(t, exitNoCluster, r.code)
	assert.Contains(t, r.err, "none of the nodes runs\n  fix   start them: beamctl start node1 node2 node3\n")
	w.ok("stop")
	assert.Equal(t, exitNoCluster, w.run("start", "node1").code)
}

func TestRestartNodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	before := w.record().Nodes
	assert.Equal(t, "ok", w.inNode(`kv:put(kept, rolling)`))
	w.ok("restart")
	w.meshed(3)
	assert.Equal(t, "{ok,rolling}", w.inNode(`kv:get(kept)`), "one after the other: there was always one to copy from")
	for i, n := range w.record().Nodes {
		assert.NotEqual(t, before[i].Process, n.Process)
		assert.False(t, alive(before[i].Process.Pid))
	}
	w.ok("restart", "--all-at-once")
	w.meshed(3)
	assert.Equal(t, "error", w.inNode(`kv:get(kept)`), "all together: nobody was left to copy from")
	w.ok("stop")
}

func TestAddAndRemoveNodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "2")
	w.ok("add", "-n", "2")
	w.ok("add", "spare")
	w.meshed(5)
	assert.Equal(t, "node4@127.0.0.1", w.record().Nodes[3].Name)
	assert.Contains(t, w.ok("logs", "spare"), "")
	for _, bad := range [][]string{{"add", "node1"}, {"add", "no/name"}, {"add", "-n", "0"}, {"add", "-n", "2", "x"}, {"remove"}} {
		r := w.run(bad...)
		assert.Equal(t, exitUsage, r.code, "%v", bad)
		assert.NotContains(t, r.err, "occurred", "%v: the words of a library", bad)
	}
	r := w.run("add", "fresh", "node2")
	assert.Contains(t, r.err, "there is a node2 already")
	assert.Contains(t, r.err, "fix   give it another name: beamctl add NAME")
	assert.Contains(t, w.run("add", "no/name").err, "these nodes cannot be added\n  saw   node name \"no/name@127.0.0.1\"")
	assert.Len(t, w.status().Nodes, 5)
	door := w.record().Nodes[0].EPMD
	w.ok("remove", "node1", "spare")
	w.meshed(3)
	assertNobodyListens(t, door)
	assert.Equal(t, "node2@127.0.0.1", w.record().Nodes[0].Name)
	r = w.run("remove", "node2", "node3", "node4")
	assert.Equal(t, exitUsage, r.code, r.err)
	assert.Contains(t, r.err, "a cluster without nodes is none")
	w.meshed(3)
	w.ok("stop")
}

func TestAddThatFails(t *testing.T) {
	w := newWorld(t, "")
	w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, `start(_, _) ->
  case node() of 'node2@127.0.0.1' -> {error, not_here}; _ -> {ok, spawn(fun() -> receive stop -> ok end end)} end.`)
	w.ok("start", "-n", "1")
	r := w.run("add")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, "node2@127.0.0.1 did not start: application a failed to start")
	assert.Len(t, w.status().Nodes, 1, "what doesn't start is not added")
	w.ok("stop")

	r = w.run("start", "--keep-going")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, "node2@127.0.0.1 did not start: application a failed to start")
	w.crashed(1)
	assert.Equal(t, []string{"up", "crashed", "up"}, states(w.status()), "the others were to go on")
	eventually(t, "they see each other alone", func() bool { return len(w.status().Nodes[0].Peers) == 1 })
	w.ok("stop")
}

func TestCrashesAreExplained(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	w.afterwards(`erlang:halt("the disc is on fire")`)
	n := w.crashed(0)
	assert.Contains(t, n.Exit, "exit status 1")
	assert.Contains(t, n.Cause, "the disc is on fire")
	assert.Contains(t, n.Cause, "nodes/node1/erl_crash.dump")
	assert.Zero(t, n.Restart, "by default a crash is a result")
	assert.Contains(t, w.ok("status"), "the disc is on fire")
	assert.Equal(t, "ok\n", w.ok("rpc", "node3", "application:stop(kv)"))

	// It is told before something is done with the cluster; what that returns is its own.
	r := w.run("exec", "-q", "--", "sh", "-c", "echo ran; exit 7")
	assert.Equal(t, 7, r.code)
	assert.Equal(t, "ran\n", r.out)
	assert.Contains(t, r.err, "warning: node1@127.0.0.1 crashed\n  saw   exit status 1\n  cause ")
	assert.Contains(t, r.err, "the disc is on fire")
	assert.Contains(t, r.err, "warning: node3@127.0.0.1 does not run kv\n")
	assert.NotContains(t, r.err, "node2")
	r = w.run("start", "-q", "-o", "json", "node1")
	assert.Equal(t, exitOK, r.code)
	assert.True(t, json.Valid([]byte(r.out)), r.out)
	assert.Contains(t, r.err, "warning: node3@127.0.0.1 does not run kv\n")
	assert.NotContains(t, r.err, "node1@127.0.0.1 crashed")
	assert.Empty(t, w.run("restart", "-q", "node3").err)
	w.meshed(3)

	// What does not tell of the end is no cause of it.
	w.inNode(`erpc:call('node2@127.0.0.1', fun() -> spawn(fun() ->
		group_leader(whereis(user), self()), % what is logged stays there
		logger:warning("just a note"), logger_std_h:filesync(default), halt(3) end) end)`)
	n = w.crashed(1)
	assert.Contains(t, w.ok("logs", "node2"), "just a note")
	assert.Equal(t, "exit status 3", n.Exit)
	assert.Contains(t, n.Cause, "its log may say why")
	assert.NotContains(t, w.ok("status")+w.ok("events"), "just a note")
	w.ok("stop")
}

func TestRestartOnCrash(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "--restart", "on-crash")
	kill := func(i int) {
		t.Helper()
		require.NoError(t, syscall.Kill(w.record().Nodes[i].Process.Pid, syscall.SIGKILL))
	}
	begin := time.Now()
	kill(1)
	eventually(t, "it is back", func() bool { return w.status().Nodes[1].Restart == 1 && w.status().Nodes[1].State == launcher.NodeUp })
	assert.Greater(t, time.Since(begin), time.Second, "not at once")
	eventually(t, "it sees the others", func() bool { return len(w.status().Nodes[1].Peers) == 2 })
	w.meshed(3)
	begin = time.Now()
	kill(1)
	eventually(t, "it is back", func() bool { return w.status().Nodes[1].Restart == 2 && w.status().Nodes[1].State == launcher.NodeUp })
	assert.Greater(t, time.Since(begin), 2*time.Second, "the pause grows")

	w.afterwards(`init:stop()`)
	eventually(t, "it ends by itself", func() bool { return w.status().Nodes[0].State == launcher.NodeExited })
	w.ok("stop", "node3")
	kill(1)
	w.ok("stop", "node2") // before its pause is over
	time.Sleep(1500 * time.Millisecond)
	assert.Equal(t, []string{"exited", "stopped", "stopped"}, states(w.status()), "who was told to stop, or did so by itself, stays down")

	w.ok("start", "node1", "node2", "node3")
	kill(2)
	w.ok("stop") // in the middle of its pause
	assert.Equal(t, exitUsage, w.run("start", "--restart", "sometimes").code)
	assert.NotContains(t, w.ok("list"), w.dir)
}
