package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runs is `beamctl run`, after which nothing may be left, whatever came of it.
func (w *world) runs(args ...string) result {
	w.t.Helper()
	before := withoutBuild(files(w.t, filepath.Dir(w.dir)))
	r := w.run(append([]string{"run"}, args...)...)
	assert.Empty(w.t, w.ids(), "%v left a cluster: %s", args, r.err)
	assert.Empty(w.t, w.processesHere(), "%v left processes", args)
	assert.Subset(w.t, before, withoutBuild(files(w.t, filepath.Dir(w.dir))), "files")
	return r
}

// processesHere returns what runs in this world's directories or has come from there: not by marker, and not by name.
func (w *world) processesHere() []int {
	return processes(func(pid string) bool {
		wd, _ := os.Readlink(filepath.Join("/proc", pid, "cwd"))
		env, _ := os.ReadFile(filepath.Join("/proc", pid, "environ"))
		return strings.HasPrefix(wd, w.dir) || bytes.Contains(env, []byte("XDG_RUNTIME_DIR="+filepath.Dir(w.dir)))
	})
}

func TestRunElixirExample(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	r := w.runs("--timeout", "100s", "--", "mix", "test", "--only", "real_nodes")
	assert.Equal(t, 0, r.code, r.out+r.err)
	assert.Contains(t, r.out, "0 failures")
	assert.NotContains(t, r.out, " 0 tests")
}

func TestRunErlangExample(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	r := w.runs("--", "escript", "test/kv_cluster_test.escript")
	assert.Equal(t, 0, r.code, r.err)
	assert.Contains(t, r.out, "6 passed, 0 failed")
	assert.NotContains(t, r.out, "node1@", "stdout is the command's")
}

// TestRunCommonTest runs a suite whose node is in the cluster by --as-node alone, although ct_run has names of its own.
func TestRunCommonTest(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	r := w.run("run", "--as-node", "tests", "--hidden", "--", "ct_run", "-noinput", "-dir", "test", "-suite", "kv_cluster_SUITE", "-logdir", "test", "-pa", "ebin")
	assert.Equal(t, 0, r.code, r.out+r.err)
	assert.Contains(t, r.out, "5 ok, 0 failed")
	assert.Empty(t, w.processesHere())
	assert.Empty(t, w.ids())
}

func TestRunExitCodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.env = append(w.env, `ERL_ZFLAGS=-eval 'io:put_chars("I was here"),io:nl()'`)
	for _, c := range []struct {
		code  int
		args  []string
		reads string
	}{
		{0, []string{"true"}, "ready in"},
		{7, []string{"--", "sh", "-c", "until grep -q 'I was here' .beamctl/kv/nodes/node1/console.log; do sleep 0.05; done; exit 7"}, "node1 | I was here"},
		{124, []string{"--timeout", "5s", "--", "sleep", "60"}, "timed out after 5s"},
		{124, []string{"--timeout", "1ms", "--", "touch", "ran"}, "timed out after 1ms"},
		{125, []string{"--count", "0", "--", "touch", "ran"}, "--count: 0 nodes"},
		{125, []string{"-C", "test", "--", "touch", "ran"}, "no Erlang or Elixir project here"},
		{126, []string{"--", "/"}, ""},
		{127, []string{"--", "no-such-program"}, ""},
		{128 + 9, []string{"--", "sh", "-c", "kill -9 $$"}, "the last lines of the nodes' logs"},
		{3, []string{"--", "sh", "-c", `trap "exit 3" TERM; kill -TERM $PPID; while :; do sleep 0.05; done`}, ""},
		{0, []string{"--", "sh", "-c", `setsid sleep 1001 & (env -i setsid sleep 1002 >/dev/null 2>&1 &) ; true`}, ""},
	} {
		r := w.runs(append([]string{"-n", "1"}, c.args...)...)
		assert.Equal(t, c.code, r.code, "%v: %s", c.args, r.err)
		assert.Contains(t, r.err, c.reads, "%v", c.args)
	}
	assert.NoFileExists(t, filepath.Join(w.dir, "ran"))
	assert.Equal(t, exitUsage, w.run("run").code)
}

func TestRunStartFails(t *testing.T) {
	w := newWorld(t, "")
	w.app(`, {applications, [kernel, stdlib, nosuch]}`, "")
	r := w.runs("--", "touch", "ran")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.err, "application nosuch is missing")
	assert.NotContains(t, r.err, "console.log:", "which run has removed")
	assert.NoFileExists(t, filepath.Join(w.dir, "ran"))
	w.write("beamctl.yaml", "build: [sh, -c, 'echo broken; exit 1']\n")
	r = w.runs("--", "touch", "ran")
	assert.Contains(t, r.err, "broken")
	assert.NotContains(t, r.err, "build.log", "which run has removed")
	r = w.run("run", "--keep-on-failure", "--", "touch", "ran")
	assert.Contains(t, r.err, "build.log:1", "which run has kept")
}

func TestRunKeepsOnFailure(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.runs("-n", "1", "--keep-on-failure", "--", "true")
	r := w.run("run", "-n", "1", "--keep-on-failure", "--", "false")
	assert.Equal(t, 1, r.code)
	kept := filepath.Join(w.dir, ".beamctl", "kv")
	assert.Contains(t, r.err, "kept in "+kept)
	assert.FileExists(t, filepath.Join(kept, "nodes", "node1", "console.log"))
	assert.NoFileExists(t, filepath.Join(kept, "cookie"))
	assert.Empty(t, marked(w.record().ID))
	assert.Equal(t, exitNoCluster, w.run("status").code)
	w.ok("logs")
	w.runs("-n", "1", "--", "true") // the next one has the place
}

// TestRunIsRefused: what runs already is not run's to touch.
func TestRunIsRefused(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "1")
	r := w.run("run", "--", "touch", "ran")
	assert.Equal(t, 125, r.code)
	assert.Contains(t, r.err, "is running already")
	assert.NoFileExists(t, filepath.Join(w.dir, "ran"))
	assert.Equal(t, "up", w.status().Nodes[0].State)
	w.ok("stop")
}

// TestRunKilled kills run, its supervisor and its guardian while the command runs.
func TestRunKilled(t *testing.T) {
	for name, c := range map[string]struct {
		victim func(w *world, run int) int
		sig    syscall.Signal
		code   int
	}{
		"run":        {func(_ *world, run int) int { return run }, syscall.SIGKILL, -1},
		"supervisor": {func(w *world, _ int) int { return w.record().Supervisor.Pid }, syscall.SIGKILL, 125},
		"guardian":   {func(w *world, _ int) int { return w.record().Guardian.Pid }, syscall.SIGKILL, 125},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "erlang-kv")
			cmd := w.cmd("run", "-n", "2", "--", "sh", "-c", "touch running; sleep 1001 & sleep 1002")
			var errs bytes.Buffer
			cmd.Stderr = &errs
			require.NoError(t, cmd.Start())
			eventually(t, "the command runs", func() bool { _, err := os.Stat(filepath.Join(w.dir, "running")); return err == nil })
			require.NoError(t, syscall.Kill(c.victim(w, cmd.Process.Pid), c.sig))
			_ = cmd.Wait()
			assert.Equal(t, c.code, cmd.ProcessState.ExitCode(), errs.String())
			if c.code == 125 {
				assert.Contains(t, errs.String(), "cluster kv ended while sh ran")
				assert.Empty(t, w.processesHere())
			}
			eventually(t, "nothing runs", func() bool { return len(w.processesHere()) == 0 })
			eventually(t, "nothing is left", func() bool { return len(w.ids()) == 0 })
			assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
		})
	}
}

// TestRunInterrupted: a signal before the command runs ends all of it.
func TestRunInterrupted(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.env = append(w.env, "ERL_ZFLAGS=-eval timer:sleep(infinity)") // no node boots before the signal comes
	cmd := w.cmd("run", "--", "touch", "ran")
	require.NoError(t, cmd.Start())
	eventually(t, "it starts", func() bool { return len(w.records()) > 0 })
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	assert.Equal(t, 128+15, cmd.ProcessState.ExitCode())
	assert.NoFileExists(t, filepath.Join(w.dir, "ran"))
	assert.Empty(t, w.processesHere())
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
}

// TestExecAsNode tries each kind of command that can be a node.
func TestExecAsNode(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("mixed/mix.exs", "defmodule M.MixProject do\n  use Mix.Project\n  def project, do: [app: :m, version: \"1.0.0\"]\nend\n")
	w.write("mixed/test/test_helper.exs", "ExUnit.start()\n")
	w.write("mixed/test/m_test.exs", `defmodule MTest do
  use ExUnit.Case
  test "a node of the cluster" do
    assert node() == :"mixer@127.0.0.1"
    assert length(Node.list()) == 3
    assert :erpc.call(hd(Node.list()), :erlang, :nodes, []) |> Enum.member?(node())
    {out, 0} = System.cmd("erl", ["-noinput", "-eval", "io:put_chars(atom_to_list(node())), halt()."])
    assert out == "nonode@nohost"
    assert File.exists?(System.fetch_env!("BEAMCTL_COOKIE_FILE"))
  end
end
`)
	w.write("bar/rebar.config", "{plugins, []}.\n")
	w.write("bar/src/bar.app.src", `{application, bar, [{vsn, "1"}, {applications, [kernel, stdlib]}]}.`)
	w.write("bar/test/bar_SUITE.erl", `-module(bar_SUITE).
-export([all/0, alive/1]).
all() -> [alive].
alive(_) -> 'barrer@127.0.0.1' = node(), [_, _, _] = nodes().
`)
	w.ok("start")
	show := `io:format("~p ~p~n", [node(), lists:sort(nodes())]), halt().`
	assert.Equal(t, "'shell@127.0.0.1' ['node1@127.0.0.1','node2@127.0.0.1','node3@127.0.0.1']\n",
		w.ok("exec", "--as-node", "shell", "--", "erl", "-noinput", "-eval", show))
	assert.Equal(t, "'shell@127.0.0.1' []\n", w.ok("exec", "--as-node", "shell@127.0.0.1", "--hidden", "--", "erl", "-noinput", "-eval", show),
		"hidden connections are not in nodes()")
	assert.Contains(t, w.ok("exec", "--as-node", "mixer", "--", "sh", "-c", "cd mixed && mix test"), "1 test, 0 failures")
	assert.Contains(t, w.ok("exec", "--as-node", "barrer", "--", "sh", "-c", "cd bar && rebar3 ct"), "All 1 tests passed")

	// A remote shell connects before any -eval, and wants a terminal.
	w.env = append(w.env, "TERM=xterm")
	seat := w.sit(t, "exec", "--as-node", "remote", "--", "erl", "-remsh", "node1@127.0.0.1")
	for _, step := range []struct{ prompt, keys string }{
		{")1> ", "lists:member('remote@127.0.0.1', nodes()) andalso {from, node()}.\r"},
		{"{from,'node1@127.0.0.1'}", "\a"}, // Ctrl-G
		{"--> ", "q\r"},
	} {
		eventually(t, "there is "+step.prompt, func() bool { return strings.Contains(seat.Raw(), step.prompt) })
		seat.types(step.keys)
	}
	require.NoError(t, seat.cmd.Wait())

	cmd := w.cmd("exec", "--as-node", "shell", "--", "erl", "-noinput", "-eval", "file:write_file(pid, os:getpid()).")
	require.NoError(t, cmd.Start())
	var vm int
	eventually(t, "the node runs", func() bool {
		pid, _ := os.ReadFile(filepath.Join(w.dir, "pid"))
		vm, _ = strconv.Atoi(string(pid))
		return vm != 0
	})
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "the node dies with exec", func() bool { return !alive(vm) })

	for name, c := range map[string]struct {
		args  []string
		code  int
		reads string
	}{
		"no BEAM":       {[]string{"--as-node", "ghost", "--", "true"}, 125, "was never node ghost@127.0.0.1"},
		"own code":      {[]string{"--as-node", "ghost", "--", "false"}, 1, "was never node ghost@127.0.0.1"},
		"own name":      {[]string{"--as-node", "ghost", "--", "erl", "-noinput", "-name", "other@127.0.0.1", "-eval", "halt()."}, 125, "leave the name to beamctl"},
		"a member":      {[]string{"--as-node", "node2", "--", "true"}, 125, "EPMD has a node of that name"},
		"not a name":    {[]string{"--as-node", "a b", "--", "true"}, 125, "letters, digits"},
		"unknown host":  {[]string{"--as-node", "a@no-such-host.invalid", "--", "true"}, 125, "no-such-host.invalid"},
		"foreign host":  {[]string{"--as-node", "a@192.0.2.1", "--", "erl", "-noinput", "-eval", "halt()."}, 82, "was never node"},
		"cookie hidden": {[]string{"--as-node", "ps", "--", "erl", "-noinput", "-eval", `io:put_chars(os:cmd("ps -o args= -p " ++ os:getpid())), halt(9).`}, 9, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.run(append([]string{"exec"}, c.args...)...)
			assert.Equal(t, c.code, r.code, r.err)
			assert.Contains(t, r.err, c.reads)
			cookie, err := os.ReadFile(filepath.Join(w.dir, ".beamctl", "kv", "cookie"))
			require.NoError(t, err)
			assert.NotContains(t, r.out, strings.TrimSpace(string(cookie)))
		})
	}
	w.ok("stop")
}
