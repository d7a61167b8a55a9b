package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node/codesync"
)

// sync runs `sync -o json` with more arguments.
func (w *world) sync(args ...string) (*launcher.SyncReport, result) {
	w.t.Helper()
	r := w.run(append([]string{"sync", "-o", "json"}, args...)...)
	var rep launcher.SyncReport
	if r.out != "" {
		require.NoError(w.t, json.Unmarshal([]byte(r.out), &rep), "%s%s", r.out, r.err)
	}
	return &rep, r
}

// edit replaces text in a file of the project, which has to be there.
func (w *world) edit(name, old, text string) {
	w.t.Helper()
	now := w.read(name)
	require.Contains(w.t, now, old)
	w.write(name, strings.Replace(now, old, text, 1))
}

// read returns the content of a file of the project.
func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	require.NoError(w.t, err)
	return string(b)
}

// beams are the compiled modules of the project.
func (w *world) beams() []string {
	w.t.Helper()
	beams, err := filepath.Glob(filepath.Join(w.dir, "ebin", "*.beam"))
	require.NoError(w.t, err)
	return beams
}

// age makes what was compiled an hour older: build tools compare seconds, and a test that waits for the next one takes long.
func (w *world) age() {
	w.t.Helper()
	past := time.Now().Add(-time.Hour)
	for _, b := range w.beams() {
		require.NoError(w.t, os.Chtimes(b, past, past))
	}
}

// calls runs a call on every node, and returns their answers.
func (w *world) calls(call string) []string {
	w.t.Helper()
	var rows []struct{ Result, Error string }
	r := w.run("rpc", "--all", "-o", "json", call)
	require.NoError(w.t, json.Unmarshal([]byte(r.out), &rows), "%s%s", r.out, r.err)
	var out []string
	for _, row := range rows {
		out = append(out, row.Result+row.Error)
	}
	return out
}

// syncEvents are what the cluster's events say of syncs.
func (w *world) syncEvents() (said []string) {
	w.t.Helper()
	dec := json.NewDecoder(strings.NewReader(w.ok("events", "-o", "json")))
	for dec.More() {
		var e launcher.Event
		require.NoError(w.t, dec.Decode(&e))
		if e.Stage == launcher.StageSynced || e.Stage == launcher.StageUnsynced {
			said = append(said, string(e.Stage)+" "+e.Detail)
		}
	}
	return said
}

func three(s string) []string { return []string{s, s, s} }

// TestSync changes a running Erlang project in all the ways in which one does.
func TestSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	w.ok("rpc", "--all", `kv:put(colour, <<"red">>)`) // now all have loaded it
	pids := w.calls("erlang:whereis(kv_store)")
	states := func(rep *launcher.SyncReport) (out []launcher.SyncState) {
		for _, n := range rep.Nodes {
			out = append(out, n.State)
		}
		return out
	}
	all := func(s launcher.SyncState) []launcher.SyncState { return []launcher.SyncState{s, s, s} }
	build := func() {
		w.t.Helper()
		w.age()
		w.tool("", "erl", "-make")
	}
	t.Run("nothing", func(t *testing.T) {
		rep, r := w.sync()
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Equal(t, all(launcher.Synced), states(rep))
		assert.Empty(t, rep.Changes())
		assert.Equal(t, 4, rep.Nodes[0].Same)
	})
	t.Run("a node that does not answer", func(t *testing.T) {
		pid := w.status().Nodes[2].Pid
		w.stopProcess(pid)
		within(t, func(timeout string) bool {
			rep, r := w.sync("--timeout", timeout)
			assert.Equal(t, exitTimeout, r.code, r.err)
			return slices.Equal([]launcher.SyncState{launcher.Synced, launcher.Synced, launcher.Unreachable}, states(rep)) &&
				strings.Contains(r.err, fmt.Sprintf("node3@127.0.0.1 stands still\n  saw   it does not answer: its process %d is stopped", pid))
		})
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	})
	t.Run("a source that is not compiled", func(t *testing.T) {
		w.edit("src/kv.erl", "-export([put/2,", "-export([version/0, put/2,")
		w.edit("src/kv.erl", "put(Key, Value) ->", "put(Key, Value) when Key =/= undefined ->")
		w.write("src/kv.erl", w.read("src/kv.erl")+"version() -> 2.\n")
		w.age()
		rep, r := w.sync()
		assert.Equal(t, exitFailed, r.code)
		require.Len(t, rep.Stale, 1)
		assert.Equal(t, "src/kv.erl", rep.Stale[0].Source)
		assert.Equal(t, all(launcher.AsBuilt), states(rep))
		r = w.run("exec", "--", "true")
		assert.Equal(t, launcher.ExecFailed, r.code)
		assert.Contains(t, r.err, "src/kv.erl is newer than ebin/kv.beam")
		for _, verb := range [][]string{{"restart", "node1"}, {"add"}, {"start", "node1"}} {
			r = w.run(verb...)
			assert.Equal(t, exitNoStart, r.code, verb)
			assert.Contains(t, r.err, "src/kv.erl is newer than ebin/kv.beam", verb)
		}
		assert.Len(t, w.status().Nodes, 3)
	})
	t.Run("dry run", func(t *testing.T) {
		build()
		rep, r := w.sync("--dry-run")
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Equal(t, all(launcher.Outdated), states(rep))
		assert.Equal(t, []string{"kv"}, rep.Changes())
		for _, answer := range w.calls("kv:version()") {
			assert.Contains(t, answer, "undef")
		}
		for _, n := range w.status().Nodes {
			assert.Equal(t, []string{"kv"}, n.Drift)
		}
		r = w.run("exec", "--", "true")
		assert.Equal(t, launcher.ExecFailed, r.code)
		assert.Contains(t, r.err, "node2@127.0.0.1 runs another version than the disk has of kv")
		w.ok("exec", "--stale", "--", "true")
	})
	t.Run("push", func(t *testing.T) {
		out := w.ok("sync", "-q")
		assert.Regexp(t, `(?m)^node1@127.0.0.1 +synced +kv +- +- +3 +\d+B$`, out)
		said := w.syncEvents()
		before := len(said) - 3
		require.Positive(t, before)
		assert.Contains(t, said[before-1], "unsynced node3@127.0.0.1 stands still")
		assert.Equal(t, three("synced pushed kv"), said[before:])
		assert.Equal(t, three("2"), w.calls("kv:version()"))
		assert.Equal(t, pids, w.calls("erlang:whereis(kv_store)"), "the processes go on")
		assert.Equal(t, three(`{ok,<<"red">>}`), w.calls("kv:get(colour)"))
		for _, n := range w.status().Nodes {
			assert.Empty(t, n.Drift)
		}
		w.ok("exec", "--", "true")
	})
	t.Run("some nodes, and then the others", func(t *testing.T) {
		w.age()
		w.edit("src/kv.erl", "version() -> 2.", "version() -> 3.")
		rep, r := w.sync("--nodes", "node2", "--compile")
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Len(t, rep.Nodes, 1)
		assert.Equal(t, []string{"2", "3", "2"}, w.calls("kv:version()"))
		w.ok("stop", "node3")
		rep, r = w.sync()
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Equal(t, []launcher.SyncState{launcher.Synced, launcher.Synced, launcher.Down}, states(rep))
		assert.Equal(t, []string{"kv"}, rep.Nodes[0].Pushed)
		assert.Empty(t, rep.Nodes[1].Pushed)
		rep, r = w.sync("--nodes", "node3")
		assert.Equal(t, exitNoCluster, r.code, r.err)
		assert.Equal(t, []launcher.SyncState{launcher.Down}, states(rep))
		assert.Contains(t, r.err, "node3@127.0.0.1 does not run", "who names a node means it")
		w.ok("start", "node3")
		assert.Equal(t, three("3"), w.calls("kv:version()"), "it took the code from the disk")
		pids = w.calls("erlang:whereis(kv_store)")
	})
	t.Run("a state to convert", func(t *testing.T) {
		w.edit("src/kv_store.erl", "handle_info/2]).", "handle_info/2, code_change/3]).")
		w.write("src/kv_store.erl", w.read("src/kv_store.erl")+"\ncode_change(_, Peers, _) -> persistent_term:put(converted, self()), {ok, Peers}.\n")
		w.age()
		w.ok("sync", "--compile", "--change-code", "kv_store")
		assert.Equal(t, pids, w.calls("persistent_term:get(converted)"))
		assert.Equal(t, three(`{ok,<<"red">>}`), w.calls("kv:get(colour)"), "and it was resumed")
	})
	t.Run("a process that cannot be suspended", func(t *testing.T) {
		w.edit("src/kv_store.erl", "handle_info(", "handle_info(block, S) -> receive go_on -> {noreply, S} end;\nhandle_info(")
		w.age()
		w.ok("sync", "--compile")
		w.ok("rpc", "node2", "erlang:send(kv_store, block)")
		w.edit("src/kv_store.erl", "receive go_on ->", "receive stop -> {stop, normal, S}; go_on ->")
		build()
		rep, r := w.sync("--change-code", "kv_store")
		assert.Equal(t, exitFailed, r.code, r.err)
		assert.Contains(t, r.err, "nothing was pushed: a process whose state is to be converted cannot be suspended")
		assert.Regexp(t, `saw +node2@127.0.0.1: .*<[\d.]+> \(kv_store\)`, r.err)
		assert.Contains(t, r.err, "or without --change-code")
		assert.Equal(t, all(launcher.Outdated), states(rep))
		w.ok("rpc", "node2", "erlang:send(kv_store, go_on)")
		assert.Equal(t, three(`{ok,<<"red">>}`), w.calls("kv:get(colour)"), "all go on")
		w.ok("sync", "--change-code", "kv_store")
	})
	t.Run("a bad module", func(t *testing.T) {
		w.edit("src/kv.erl", "version() -> 3.", "version() -> 4.")
		build()
		good := w.read("ebin/kv_sup.beam")
		code := strings.Index(good, "Code") + 32 // the header of the chunk, and a few instructions
		bad := []byte(good)
		for i := range 16 {
			bad[code+i] = 0xff
		}
		w.write("ebin/kv_sup.beam", string(bad))
		rep, r := w.sync()
		assert.Equal(t, exitFailed, r.code, r.err)
		assert.Equal(t, all(launcher.Outdated), states(rep))
		assert.Contains(t, r.err, "nothing was pushed: there are modules that cannot be\n  saw   all: kv_sup: its loader says badfile", "as one, though all say so")
		assert.Contains(t, r.err, "fix   build again, with the OTP that runs on node1@127.0.0.1 node2@127.0.0.1 node3@127.0.0.1")
		assert.Empty(t, rep.Changes())
		assert.Equal(t, three("3"), w.calls("kv:version()"), "nothing was pushed")

		w.write("ebin/kv_sup.beam", good[:100])
		_, r = w.sync()
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, "cannot be read")
		require.NoError(t, os.Remove(filepath.Join(w.dir, "ebin", "kv_sup.beam")))
		require.NoError(t, os.Symlink("nowhere", filepath.Join(w.dir, "ebin", "kv_sup.beam")))
		_, r = w.sync()
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, "is a link to what is not there")
		require.NoError(t, os.Remove(filepath.Join(w.dir, "ebin", "kv_sup.beam")))
		w.write("ebin/kv_sup.beam", good)
	})
	t.Run("a build that fails", func(t *testing.T) {
		source := w.read("src/kv.erl")
		w.write("src/kv.erl", source+"oops(\n")
		w.age()
		_, r := w.sync("--compile")
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, "src/kv.erl:", "the compiler's own words")
		assert.Contains(t, r.err, "the project does not build")
		_, r = w.sync()
		assert.Equal(t, exitFailed, r.code, "erlc has deleted kv.beam")
		assert.Contains(t, r.err, "ebin/kv.app lists module kv, which is not there")
		assert.Equal(t, three("3"), w.calls("kv:version()"))
		w.write("src/kv.erl", source)
		rep, r := w.sync("--compile", "--change-code", "kv")
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Equal(t, []string{"kv"}, rep.Nodes[0].Unserved, "which has no process")
		assert.Equal(t, three("4"), w.calls("kv:version()"))
	})
	t.Run("modules come and go, and applications change", func(t *testing.T) {
		w.write("src/extra.erl", "-module(extra).\n-export([f/0]).\nf() -> f.\n")
		w.ok("sync", "--compile")
		assert.Equal(t, three("f"), w.calls("extra:f()"))
		require.NoError(t, os.Remove(filepath.Join(w.dir, "src", "extra.erl")))
		require.NoError(t, os.Remove(filepath.Join(w.dir, "ebin", "extra.beam")))
		w.edit("ebin/kv.app", `{vsn, "1.0.0"}`, `{vsn, "1.1.0"}`)
		rep, r := w.sync()
		assert.Equal(t, exitOK, r.code, r.err)
		for _, n := range rep.Nodes {
			assert.Equal(t, []string{"extra"}, n.Deleted)
			assert.Equal(t, []launcher.AppChange{{App: "kv", Key: "vsn", Running: `"1.0.0"`, Disk: `"1.1.0"`}}, n.Apps)
		}
		assert.Equal(t, three("false"), w.calls("erlang:module_loaded(extra)"))
	})
	t.Run("processes in old code", func(t *testing.T) {
		w.write("src/loop.erl", "-module(loop).\n-export([start/0, loop/0, v/0]).\nv() -> 1.\nstart() -> register(looper, spawn(fun loop/0)).\nloop() -> receive stop -> ok end.\n")
		w.ok("sync", "--compile")
		assert.Equal(t, three("1"), w.calls("loop:v()"))
		w.ok("rpc", "node2", "loop:start()")
		for v := range 2 {
			w.edit("src/loop.erl", "v() -> 1"+strings.Repeat("0", v), "v() -> 1"+strings.Repeat("0", v+1))
			w.age()
			rep, r := w.sync("--compile")
			if v == 0 {
				assert.Equal(t, exitOK, r.code, r.err)
				continue
			}
			assert.Equal(t, exitFailed, r.code)
			assert.Equal(t, all(launcher.Outdated), states(rep))
			assert.Regexp(t, `node2@127.0.0.1: <[\d.]+> \(looper\) runs old code of loop, in loop:loop/0`, r.err)
			assert.Zero(t, rep.Nodes[0].Bytes, "it runs nothing of what it was sent")
			events := w.syncEvents()
			assert.Regexp(t, `^unsynced nothing was pushed: .*looper`, events[len(events)-1])
		}
		var r result
		within(t, func(timeout string) bool {
			_, r = w.sync("--purge", "wait", "--timeout", timeout)
			assert.Equal(t, exitTimeout, r.code)
			return strings.Contains(r.err, "They were waited for")
		})
		assert.Contains(t, r.err, "or --purge kill: it kills them")
		assert.NotContains(t, r.err, "context deadline exceeded")
		assert.Equal(t, three("10"), w.calls("loop:v()"))
		rep, r := w.sync("--purge", "kill")
		assert.Equal(t, exitOK, r.code, r.err)
		require.Len(t, rep.Nodes[1].Killed, 1)
		assert.Equal(t, "looper", rep.Nodes[1].Killed[0].Name)
		assert.Equal(t, three("100"), w.calls("loop:v()"))
	})
	t.Run("files by name", func(t *testing.T) {
		other := filepath.Join(w.dir, "elsewhere")
		w.write("elsewhere/src/named.erl", "-module(named).\n-export([f/0]).\nf() -> by_name.\n")
		w.tool("", "erlc", "-o", other, filepath.Join(other, "src", "named.erl"))
		rep, r := w.sync("elsewhere/named.beam")
		assert.Equal(t, exitOK, r.code, r.err)
		assert.Equal(t, []string{"named"}, rep.Changes())
		assert.Equal(t, three("by_name"), w.calls("named:f()"))
	})
	t.Run("one file of many, as the help has it", func(t *testing.T) {
		files := w.beams()
		w.calls("code:ensure_modules_loaded([kv, kv_app, kv_sup, kv_store])")
		w.edit("src/kv_store.erl", "code_change(_, Peers, _) -> persistent_term:put(converted, self())", "code_change(_, Peers, _) -> persistent_term:put(converted, again)")
		build()
		rep, r := w.sync("ebin/kv_store.beam", "--change-code", "kv_store", "--persist")
		assert.Equal(t, exitOK, r.code, r.err)
		for _, n := range rep.Nodes {
			assert.Equal(t, []string{"kv_store"}, n.Pushed)
			assert.Empty(t, n.Deleted)
		}
		assert.Equal(t, three("again"), w.calls("persistent_term:get(converted)"))
		for _, module := range []string{"kv", "kv_app", "kv_sup"} {
			assert.Equal(t, three("true"), w.calls("erlang:module_loaded("+module+")"), module)
		}
		assert.Equal(t, files, w.beams(), "--persist removes no file, either")
	})
	said := w.syncEvents()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no code":        {[]string{"src"}, exitUsage, "there are no compiled modules below src"},
		"no such path":   {[]string{"nowhere"}, exitUsage, "beamctl: there is no file or directory nowhere\n"},
		"no such node":   {[]string{"--nodes", "node9"}, exitNoCluster, "node9"},
		"unknown purge":  {[]string{"--purge", "hard"}, exitUsage, "none of soft, wait, kill"},
		"unknown module": {[]string{"--change-code", "kv_stroe"}, exitUsage, "there is no module kv_stroe"},
		"one of two":     {[]string{"--change-code", "kv,kv_stroe", "--dry-run"}, exitUsage, "there is no module kv_stroe"},
		"endless dry":    {[]string{"--watch", "--dry-run"}, exitUsage, "would do nothing"},
		"no such target": {[]string{"--attach", "nobody@127.0.0.1", "--cookie-file", ".beamctl/kv/cookie", "ebin"}, exitNoCluster, "nobody@127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, r := w.sync(c.args...)
			assert.Equal(t, c.code, r.code, r.err)
			assert.Contains(t, r.err, c.says)
		})
	}
	assert.Equal(t, said, w.syncEvents(), "slips of the pen are no events")
	assert.Empty(t, w.run("sync", "nowhere").out, "and tell of no node")
	w.ok("stop")
}

// TestSyncElixir pushes structs and protocols, whose consolidated modules are what nodes run.
func TestSyncElixir(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "elixir-counter")
	w.write("lib/shape.ex", `defprotocol Shape do
  def area(shape)
end

defmodule Square do
  defstruct [:side]

  defimpl Shape do
    def area(s), do: s.side * s.side
  end
end
`)
	w.ok("start", "-n", "2")
	area := "'Elixir.Shape':area(#{'__struct__' => 'Elixir.%s'"
	square := strings.Replace(area, "%s", "Square", 1) + ", side => 3})"
	circle := strings.Replace(area, "%s", "Circle", 1) + ", r => 2})"
	assert.Equal(t, []string{"9", "9"}, w.calls(square))
	pids := w.calls("erlang:whereis('Elixir.Counter.Replica')")

	w.write("lib/circle.ex", "defmodule Circle do\n  defstruct [:r]\n\n  defimpl Shape do\n    def area(c), do: 3 * c.r * c.r\n  end\nend\n")
	w.edit("lib/shape.ex", "s.side * s.side", "-s.side * s.side")
	rep, r := w.sync("--compile")
	require.Equal(t, exitOK, r.code, r.err)
	assert.Contains(t, rep.Changes(), "Elixir.Shape.Square")
	assert.Equal(t, []string{"-9", "-9"}, w.calls(square))
	assert.Equal(t, []string{"12", "12"}, w.calls(circle))
	assert.Equal(t, []string{"true", "true"}, w.calls("'Elixir.Protocol':'consolidated?'('Elixir.Shape')"))
	assert.Equal(t, pids, w.calls("erlang:whereis('Elixir.Counter.Replica')"))

	// A module that is gone is gone; one whose build has failed is not.
	w.write("lib/circle.ex", "defmodule Circle do")
	_, r = w.sync("--compile")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "the project does not build")
	_, r = w.sync()
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "the build is not complete")
	assert.Equal(t, []string{"12", "12"}, w.calls(circle))
	for _, args := range [][]string{{"restart", "node1"}, {"add", "-n", "1"}} {
		r = w.run(args...)
		assert.Equal(t, exitNoStart, r.code, args)
		assert.Contains(t, r.err, "lists module Elixir.Circle, which is not there")
	}
	assert.Equal(t, 125, w.run("exec", "--", "true").code)
	r = w.run("status")
	assert.Contains(t, r.out+r.err, "run code that is not on disk: Elixir.Shape.Circle")
	assert.NotContains(t, r.out+r.err, "other code")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "lib", "circle.ex")))
	rep, r = w.sync("--compile")
	require.Equal(t, exitOK, r.code, r.err)
	assert.Contains(t, rep.Changes(), "Elixir.Shape.Circle")
	assert.Equal(t, []string{"false", "false"}, w.calls("erlang:module_loaded('Elixir.Shape.Circle')"))
	assert.Equal(t, []string{"-9", "-9"}, w.calls(square))

	// A build that has begun from nothing (mix clean) has not written all of it yet.
	for says, names := range map[string][]string{
		"protocol Elixir.Shape is not consolidated yet": {"consolidated"},
		"lib/counter/replica.ex was not compiled":       {"ebin/counter.app", "ebin/Elixir.Counter.Replica.beam"},
	} {
		built := filepath.Join(w.dir, "_build/test/lib/counter")
		for _, name := range names {
			require.NoError(t, os.Rename(filepath.Join(built, name), filepath.Join(built, name+"~")))
		}
		rep, r = w.sync()
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, says)
		assert.Empty(t, rep.Changes())
		for _, name := range names {
			require.NoError(t, os.Rename(filepath.Join(built, name+"~"), filepath.Join(built, name)))
		}
	}
	rep, r = w.sync()
	assert.Equal(t, exitOK, r.code, r.err)
	assert.Empty(t, rep.Changes())
	assert.Equal(t, pids, w.calls("erlang:whereis('Elixir.Counter.Replica')"))
	w.ok("stop")
}

// TestStartRefusesStaleCode has a project that nobody builds.
func TestStartRefusesStaleCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "erlang-kv")
	w.tool("", "erl", "-make")
	w.write("beamctl.yaml", "build: []\ncount: 1\n")
	w.age()
	for _, c := range []struct {
		args []string
		code int
	}{{[]string{"start"}, exitNoStart}, {[]string{"run", "--", "true"}, launcher.ExecFailed}} {
		r := w.run(c.args...)
		assert.Equal(t, c.code, r.code)
		assert.Contains(t, r.err, "src/kv_sup.erl is newer than ebin/kv_sup.beam")
		assert.Contains(t, r.err, "--stale")
		assert.NotContains(t, r.err, "started", "no node was")
	}
	w.ok("run", "--stale", "--", "true")
	w.write("beamctl.yaml", "count: 1\n")
	w.ok("run", "--", "true") // which builds
	w.ok("clean")
}

// refused says why a sync refused each module.
func refused(rep *launcher.SyncReport) map[string]codesync.Why {
	out := make(map[string]codesync.Why)
	for _, n := range rep.Nodes {
		for _, r := range n.Refused {
			out[string(r.Module)] = r.Why
		}
	}
	return out
}

// TestSyncRefuses has modules that cannot be pushed, among one that can.
func TestSyncRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "erlang-kv")
	w.write("src/onload.erl", "-module(onload).\n-on_load(f/0).\nf() -> ok.\n")
	w.write("src/fine.erl", "-module(fine).\n-export([f/0]).\nf() -> 1.\n")
	w.ok("start", "-n", "1")
	w.ok("rpc", "node1", "fine:f()")
	w.ok("rpc", "node1", "code:ensure_loaded(onload)")
	w.age()
	w.edit("src/onload.erl", "f() -> ok.", "f() -> g(), ok.\ng() -> ok.")
	w.edit("src/fine.erl", "f() -> 1.", "f() -> 2.")
	rep, r := w.sync("--compile")
	assert.Equal(t, exitFailed, r.code)
	assert.Equal(t, map[string]codesync.Why{"onload": codesync.WhyNative}, refused(rep))
	assert.Contains(t, r.err, "onload: it has -on_load")
	assert.Contains(t, r.err, "restart node1@127.0.0.1 (beamctl restart)")
	assert.Contains(t, r.err, "or push all others: --leave-out")
	assert.Empty(t, rep.Changes())
	assert.Equal(t, []string{"1"}, w.calls("fine:f()"))
	rep, r = w.sync("--leave-out")
	assert.Equal(t, exitOK, r.code, r.err)
	assert.Equal(t, launcher.Outdated, rep.Nodes[0].State)
	assert.Equal(t, []string{"2"}, w.calls("fine:f()"))
	w.ok("stop")
}

// watching is a `sync --watch -o json` under way.
type watching struct {
	t      *testing.T
	events chan launcher.SyncEvent
}

// watch begins to watch, and sees to it that it ends with the test as it should.
func (w *world) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	cmd := w.cmd(append([]string{"sync", "--watch", "-o", "json"}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	require.NoError(t, cmd.Start())
	s := &watching{t, make(chan launcher.SyncEvent, 100)}
	go func() {
		defer close(s.events)
		for dec := json.NewDecoder(out); ; {
			var e launcher.SyncEvent
			if dec.Decode(&e) != nil {
				return
			}
			s.events <- e
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended with the cluster
		for e := range s.events {
			t.Logf("and then: %+v", e)
		}
		assert.NoError(t, cmd.Wait(), "both are how one stops: %s", &errs)
	})
	return s
}

// next returns the next event, which has to be of that kind. Before it others may come of the kinds that are said.
func (s *watching) next(what string, before ...string) launcher.SyncEvent {
	s.t.Helper()
	for {
		select {
		case e, ok := <-s.events:
			require.True(s.t, ok, "it ended")
			if e.What != what && slices.Contains(before, e.What) {
				s.t.Logf("before: %+v", e)
				continue
			}
			require.Equal(s.t, what, e.What, "%+v", e)
			return e
		case <-time.After(2 * time.Minute):
			require.FailNow(s.t, "nothing was told", "%s is missing", what)
		}
	}
}

// await returns the first event that is as wanted: a sync may come between that finds half of a build, or a node that goes.
func (s *watching) await(wanted func(launcher.SyncEvent) bool) launcher.SyncEvent {
	s.t.Helper()
	for end := time.After(2 * time.Minute); ; {
		select {
		case e, ok := <-s.events:
			require.True(s.t, ok, "it ended")
			if wanted(e) {
				return e
			}
			s.t.Logf("meanwhile: %+v", e)
		case <-end:
			require.FailNow(s.t, "it was not told")
		}
	}
}

// pushed awaits that a module was.
func (s *watching) pushed(module string) launcher.SyncEvent {
	s.t.Helper()
	return s.await(func(e launcher.SyncEvent) bool {
		return e.What == launcher.SyncChanged && slices.Contains(e.Report.Changes(), module)
	})
}

// left awaits that a node has.
func (s *watching) left(node string) {
	s.t.Helper()
	s.await(func(e launcher.SyncEvent) bool { return e.What == launcher.SyncLeft && e.Node == node })
}

// TestSyncWatch has nodes that boot from one directory and are kept in sync with another: so it shows that a node which was restarted is
// brought up to date.
func TestSyncWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "2")
	require.NoError(t, os.CopyFS(filepath.Join(w.dir, "out"), os.DirFS(filepath.Join(w.dir, "ebin"))))
	w.calls("kv:keys()")
	build := func(version string) {
		t.Helper()
		source := strings.Replace(w.read("src/kv.erl"), "-export([put", "-export([version/0, put", 1) + "version() -> " + version + ".\n"
		w.write("new/kv.erl", source)
		w.tool("", "erlc", "-o", "new", "new/kv.erl")
		require.NoError(t, os.Rename(filepath.Join(w.dir, "new", "kv.beam"), filepath.Join(w.dir, "out", "kv.beam"))) // never half of it, or none
	}
	s := w.watch(t, "out")
	e := s.next(launcher.SyncStart)
	assert.Len(t, e.Report.Nodes, 2)
	assert.Empty(t, e.Report.Changes())

	build("1")
	e = s.pushed("kv")
	st, err := os.Stat(filepath.Join(w.dir, "out", "kv.beam"))
	require.NoError(t, err)
	t.Logf("pushed %s after the last write, %.0f ms of it to push", e.Time.Sub(st.ModTime()), e.Report.Millis)
	assert.Equal(t, []string{"kv"}, e.Report.Changes())
	assert.Equal(t, []string{"1", "1"}, w.calls("kv:version()"))

	w.ok("restart", "node2")
	s.left("node2@127.0.0.1")
	joined := func(e launcher.SyncEvent) bool { return e.What == launcher.SyncJoined }
	e = s.await(joined)
	assert.Equal(t, "node2@127.0.0.1", e.Node)
	assert.Equal(t, []string{"kv"}, e.Report.Changes())
	assert.Equal(t, []string{"1", "1"}, w.calls("kv:version()"))

	paused := w.status().Nodes[1].Pid
	w.stopProcess(paused) // it neither answers nor goes, for a while
	build("2")
	s.await(func(e launcher.SyncEvent) bool { return strings.Contains(e.Error, "node2@127.0.0.1 stands still") })
	require.NoError(t, syscall.Kill(paused, syscall.SIGCONT))
	s.pushed("kv")
	assert.Equal(t, []string{"2", "2"}, w.calls("kv:version()"))

	// A directory that is deleted and made anew, as builds do; and one node less.
	w.ok("stop", "node1")
	s.left("node1@127.0.0.1")
	require.NoError(t, os.Rename(filepath.Join(w.dir, "out"), filepath.Join(w.dir, "old")))
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "out"), 0o755))
	require.NoError(t, os.CopyFS(filepath.Join(w.dir, "out"), os.DirFS(filepath.Join(w.dir, "old"))))
	build("3")
	e = s.pushed("kv")
	assert.Equal(t, "node2@127.0.0.1", e.Report.Nodes[0].Node)
	w.ok("start", "node1")
	assert.Equal(t, "node1@127.0.0.1", s.await(joined).Node)
	w.ok("add", "node7")
	assert.Equal(t, "node7@127.0.0.1", s.await(joined).Node)
	assert.Equal(t, three("3"), w.calls("kv:version()"))
	w.ok("stop") // it ends with the cluster
}

// TestSyncWatchCompiles saves sources, and nothing else.
func TestSyncWatchCompiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-n", "1")
	w.calls("kv:keys()")
	w.age()
	w.edit("src/kv.erl", "-export([put", "-export([version/0, put")
	t.Run("each source", func(t *testing.T) {
		s := w.watch(t, "--compile", "-q")
		e := s.next(launcher.SyncFailed)
		assert.Contains(t, e.Error, "the project does not build")
		w.age()
		w.write("src/kv.erl", w.read("src/kv.erl")+"version() -> 1.\n")
		s.next(launcher.SyncChanged, launcher.SyncFailed) // if the beam that erlc has deleted is missing for long, that is told, too
		assert.Equal(t, []string{"1"}, w.calls("kv:version()"))
		// What changes nothing on any node has its answer, too: a module that nobody has loaded, a failure that is over.
		w.write("src/later.erl", "-module(later).\n")
		assert.Empty(t, s.next(launcher.SyncChanged).Report.Changes())
		w.write("src/broken.erl", "-module(")
		assert.Contains(t, s.next(launcher.SyncFailed).Error, "the project does not build")
		require.NoError(t, os.Remove(filepath.Join(w.dir, "src/broken.erl")))
		assert.Empty(t, s.next(launcher.SyncChanged).Report.Changes())

		// So has each build that is refused, also if it is for the same reason as the one before.
		old := "-module(later).\n-export([loop/0, v/0]).\nloop() -> receive stop -> ok end.\nv() -> "
		save := func(v int) {
			w.age()
			w.write("src/later.erl", old+strconv.Itoa(v)+".\n")
		}
		save(1)
		s.await(func(launcher.SyncEvent) bool { return slices.Equal(w.calls("later:v()"), []string{"1"}) })
		w.calls("erlang:spawn(later, loop, [])")
		save(2)
		s.pushed("later")
		for v := range 2 {
			save(3 + v)
			s.await(func(e launcher.SyncEvent) bool { return strings.Contains(e.Error, "processes still run the code") })
		}
		assert.Equal(t, []string{"2"}, w.calls("later:v()"))
	})

	one := w.watch(t, "ebin/kv_sup.beam") // the file alone
	one.next(launcher.SyncStart)
	w.age()
	w.edit("src/kv_sup.erl", "-export([", "-export([version/0, ")
	w.write("src/kv_sup.erl", w.read("src/kv_sup.erl")+"version() -> 2.\n")
	w.tool("", "erlc", "-o", ".", "src/kv_sup.erl")
	require.NoError(t, os.Rename(filepath.Join(w.dir, "kv_sup.beam"), filepath.Join(w.dir, "ebin", "kv_sup.beam")))
	assert.Equal(t, []string{"kv_sup"}, one.next(launcher.SyncChanged).Report.Changes())
	w.ok("stop")
}

// TestSyncText tells of what was done, and of nothing else.
func TestSyncText(t *testing.T) {
	node := func(state launcher.SyncState, pushed, deleted []string, bytes int) *launcher.NodeSync {
		return &launcher.NodeSync{State: state, Pushed: pushed, Deleted: deleted, Bytes: bytes}
	}
	took := codesync.Took{Stage: 0.003, Commit: 0.001}
	for want, rep := range map[string]launcher.SyncReport{
		"2 nodes in sync, found in 8 ms": {Nodes: []*launcher.NodeSync{node(launcher.Synced, nil, nil, 0), node(launcher.Synced, nil, nil, 0)}},
		"pushed 1 module (a) to 2 nodes (1 not running) in 8 ms: 20B sent, staged in 3, loaded in 1": {Nodes: []*launcher.NodeSync{
			node(launcher.Synced, []string{"a"}, nil, 10), node(launcher.Synced, []string{"a"}, nil, 10), node(launcher.Down, nil, nil, 0),
		}},
		"what is built runs on 2 nodes, found in 8 ms": {Nodes: []*launcher.NodeSync{node(launcher.AsBuilt, nil, nil, 0), node(launcher.AsBuilt, nil, nil, 0)}},
		"deleted 1 module (b) on 1 node in 8 ms":       {Nodes: []*launcher.NodeSync{node(launcher.Synced, nil, []string{"b"}, 0)}},
		"pushed 2 modules (a c), deleted 1 module (b) on 1 node in 8 ms: 10B sent, staged in 3, loaded in 1": {
			Nodes: []*launcher.NodeSync{node(launcher.Synced, []string{"c", "a"}, []string{"b"}, 10)},
		},
		"0 nodes in sync, 1 without what was left out, found in 8 ms": {Nodes: []*launcher.NodeSync{node(launcher.Outdated, nil, nil, 0)}},
		"would push 1 module (a) to 1 node":                           {DryRun: true, Nodes: []*launcher.NodeSync{node(launcher.Outdated, []string{"a"}, nil, 10)}},
	} {
		rep.Millis, rep.Took = 8, took
		assert.Equal(t, want, syncText(&rep))
	}
}
