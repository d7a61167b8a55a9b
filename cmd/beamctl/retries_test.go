package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/beamctl/beamctl/launcher"
)

// dying is an application whose node dies as often as there are empty files of it in the project, into which it writes its pid: at once as
// node1, and as node2 when it is connected already, while node1 waits until the last of these processes is gone.
func (w *world) dying(lives int) {
	w.t.Helper()
	w.starting(`Here = lists:takewhile(fun(C) -> C =/= $@ end, atom_to_list(node())),
  Of = fun(Node) -> lists:sort(filelib:wildcard("` + w.dir + `/life-" ++ Node ++ "-*")) end,
  Lives = [F || F <- Of(Here), filelib:file_size(F) =:= 0],
  Die = fun(L, Last, Status) -> io:format(Last), ok = file:write_file(L, os:getpid()), halt(Status) end,
  Gone = fun(F) -> {ok, Pid} = file:read_file(F), Pid =/= <<>> andalso not filelib:is_dir("/proc/" ++ binary_to_list(Pid)) end,
  Wait = fun W() -> lists:all(Gone, Of("node2")) orelse begin timer:sleep(20), W() end end,
  case {Here, Lives} of
    {"node1", [L | _]} -> Die(L, "not yet~n", 7);
    {"node1", []} -> Wait(), timer:sleep(500);
    {"node2", [L | _]} -> spawn(fun() -> timer:sleep(400), Die(L, "not so fast~n", 8) end);
    _ -> ok
  end`)
	for _, node := range []string{"node1", "node2"} {
		for i := range lives {
			w.write("life-"+node+"-"+string(rune('a'+i)), "")
		}
	}
}

// TestRetries starts nodes again that die while they boot.
func TestRetries(t *testing.T) {
	w := newWorld(t, "")
	w.dying(2)
	w.write("none.yaml", "")
	w.write("beamctl.yaml", "ready: {retries: 2}\n")
	r := w.run("start")
	assert.Equal(t, exitOK, r.code, r.err)
	for _, text := range []string{
		"node1@127.0.0.1  retrying (1 of 2: node1@127.0.0.1 did not start: its process ended (exit status 7))",
		"node1@127.0.0.1  retrying (2 of 2: ",
		"node2@127.0.0.1  retrying (2 of 2: node2@127.0.0.1 did not start: its process ended (exit status 8))",
	} {
		assert.Contains(t, r.err, text)
	}
	assert.NotContains(t, r.err, "failed")
	for _, n := range w.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State, n.Problem)
		assert.Len(t, n.Peers, 2)
	}
	assert.Equal(t, 4, strings.Count(w.ok("events"), "retrying"))
	w.well()
	w.stopped()

	// Without: the cluster doesn't count as started although node2 was ready for a moment.
	w.write("life-node2-x", "")
	r = w.run("start", "-n", "2", "-f", w.dir+"/none.yaml")
	assert.Equal(t, exitNoStart, r.code, r.err)
	assert.Contains(t, r.err, "(exit status 8)")
	w.ok("clean")

	w.dying(2)
	w.env = append(w.env, "BEAMCTL_READY_RETRIES=1")
	r = w.run("start", "-n", "1")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, "retrying (1 of 1: ")
	assert.Contains(t, r.err, "(exit status 7)")
	w.ok("clean")
}
