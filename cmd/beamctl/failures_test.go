package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the golden files anew")

// erlWrapper puts a program before erl on PATH: a start script such as people have, with all that can be wrong with those.
func (w *world) erlWrapper(script string) {
	w.t.Helper()
	erl, err := exec.LookPath("erl")
	require.NoError(w.t, err)
	dir := filepath.Join(w.dir, "wrappers")
	require.NoError(w.t, os.MkdirAll(dir, 0o755))
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, "erl"), []byte("#!/bin/sh\n"+strings.ReplaceAll(script, "@ERL@", erl)+"\n"), 0o755))
	w.env = append(w.env, "PATH="+dir+":"+os.Getenv("PATH"))
}

// starting is an application whose start function has this body.
func (w *world) starting(body string) {
	w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, "start(_, _) -> "+body+", {ok, spawn(fun() -> receive stop -> ok end end)}.")
}

// TestFailuresAsTheyAreRead produces each known failure for real and compares what the user reads with a golden file, in which
// only what varies is masked.
func TestFailuresAsTheyAreRead(t *testing.T) {
	type failure struct {
		prepare func(t *testing.T, w *world)
		args    []string // of start
		code    int
	}
	failures := map[string]failure{
		"dotted-short-name": {
			prepare: func(_ *testing.T, w *world) { w.starting("ok"); w.erlWrapper(`exec @ERL@ -sname node1@127.0.0.1 "$@"`) },
			args:    []string{"-n", "1"}, code: exitNoStart,
		},
		"name-without-a-dot": {
			prepare: func(_ *testing.T, w *world) { w.starting("ok") },
			args:    []string{"--name", "{{.Node}}@somewhere"}, code: exitUsage,
		},
		"cookie-mismatch": {
			prepare: func(_ *testing.T, w *world) {
				w.starting("ok")
				w.write("other-cookie", "another")
				w.erlWrapper(`[ "$BEAMCTL_MEMBER" = node2 ] && export BEAMCTL_NODE_COOKIE=` + w.dir + `/other-cookie; exec @ERL@ "$@"`)
			},
			args: []string{"-n", "2"}, code: exitNoStart,
		},
		"cookie-mismatch-between-nodes": { // which let beamctl in
			prepare: func(_ *testing.T, w *world) {
				w.starting(`Other = 'node1@127.0.0.1',
  case node() of
    'node2@127.0.0.1' ->
      erlang:set_cookie(Other, another), erlang:disconnect_node(Other),
      spawn(fun Again() -> net_kernel:connect_node(Other), timer:sleep(100), Again() end);
    _ -> ok
  end`)
			},
			args: []string{"-n", "2", "--timeout", "60s"}, code: exitNoStart,
		},
		"port-taken": {
			prepare: func(t *testing.T, w *world) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { _ = l.Close() })
				w.starting(fmt.Sprintf(`{ok, _} = gen_tcp:listen(%d, [{ip, {127,0,0,1}}])`, l.Addr().(*net.TCPAddr).Port))
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"epmd-port-taken": {
			prepare: func(t *testing.T, w *world) {
				w.starting("ok")
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { _ = l.Close() })
				w.env = append(w.env, fmt.Sprintf("TAKEN=%d", l.Addr().(*net.TCPAddr).Port))
			},
			args: []string{"-n", "1", "--epmd-port", "$TAKEN"}, code: exitNoStart,
		},
		"missing-application": {
			prepare: func(_ *testing.T, w *world) { w.app(`, {applications, [kernel, stdlib, nosuch]}`, "") },
			args:    []string{"-n", "1"}, code: exitNoStart,
		},
		"compile-error-erlang": {
			prepare: func(_ *testing.T, w *world) {
				w.app("", "")
				w.write("Emakefile", `{'src/*', [{outdir, "ebin"}]}.`)
				w.write("src/a_app.erl", "-module(a_app).\nthis is not Erlang.\n")
			},
			code: exitNoStart,
		},
		"child-that-does-not-exist": {
			prepare: func(_ *testing.T, w *world) {
				w.write("mix.exs", "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\n"+
					"  def application, do: [mod: {A, []}]\nend\n")
				w.write("lib/a.ex", "defmodule A do\n  def start(_, _), do: Supervisor.start_link([A.Nope], strategy: :one_for_one)\nend\n")
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"compile-error-elixir": {
			prepare: func(_ *testing.T, w *world) {
				w.write("mix.exs", "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\nend\n")
				w.write("lib/a.ex", "defmodule A do\n  raise \"not today\"\nend\n")
			},
			code: exitNoStart,
		},
		"missing-erl": {
			prepare: func(_ *testing.T, w *world) { w.starting("ok"); w.env = append(w.env, "PATH=/nonexistent") },
			code:    exitNoStart,
		},
		"boot-crash": {
			prepare: func(_ *testing.T, w *world) { w.starting("ok"); w.env = append(w.env, "ERL_ZFLAGS=-s nosuch") },
			args:    []string{"-n", "1"}, code: exitNoStart,
		},
		"crash-dump": {
			prepare: func(_ *testing.T, w *world) { w.starting(`erlang:halt("the disc is on fire")`) },
			args:    []string{"-n", "1"}, code: exitNoStart,
		},
		"no-epmd": {
			prepare: func(_ *testing.T, w *world) {
				w.starting("ok")
				w.erlWrapper("ERL_EPMD_PORT=1 exec @ERL@ \"$@\"")
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"flags-lost": {
			prepare: func(_ *testing.T, w *world) {
				w.write("beamctl.yaml", "runtime: command\ncommand: [sh, -c, unset ERL_AFLAGS; exec erl -noinput]\n")
			},
			args: []string{"-n", "1", "--timeout", "5s"}, code: exitTimeout,
		},
		"script-that-ends": {
			prepare: func(_ *testing.T, w *world) {
				w.write("beamctl.yaml", "runtime: command\ncommand: [sh, -c, sleep 60 & exit 0]\n")
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"no-program": {
			prepare: func(t *testing.T, w *world) {
				w.write("server", "not a script")
				require.NoError(t, os.Chmod(filepath.Join(w.dir, "server"), 0o755))
				w.write("beamctl.yaml", "runtime: command\ncommand: [./server]\n")
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"runtime-dir-too-long": {
			prepare: func(_ *testing.T, w *world) {
				w.starting("ok")
				w.env = append(w.env, "BEAMCTL_RUNTIME_DIR=/tmp/"+strings.Repeat("x", 90))
			},
			code: exitNoStart,
		},
		"host-unresolved": {
			prepare: func(_ *testing.T, w *world) { w.starting("ok") },
			args:    []string{"--name", "{{.Node}}@no-such-host.invalid"}, code: exitNoStart,
		},
		"out-of-file-descriptors": {
			prepare: func(_ *testing.T, w *world) {
				w.starting(`[case file:open("/dev/null", [read]) of
    {ok, _} -> ok;
    Error -> io:format("opening a file: ~p~n", [Error]), halt(3)
  end || _ <- lists:seq(1, 100)]`)
				w.erlWrapper("ulimit -n 40; exec @ERL@ \"$@\"")
			},
			args: []string{"-n", "1"}, code: exitNoStart,
		},
		"node-writes-to-full-disk": {
			prepare: func(_ *testing.T, w *world) { w.starting(`ok = file:write_file("/dev/full", <<"data">>)`) },
			args:    []string{"-n", "1"}, code: exitNoStart,
		},
	}
	if os.Getuid() == 0 { // who may mount
		failures["disk-full"] = failure{
			prepare: func(t *testing.T, w *world) { w.starting("ok"); fill(t, smallDisk(t, filepath.Join(w.dir, "small"))) },
			args:    []string{"--state-dir", "small"}, code: exitNoStart,
		}
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			f.prepare(t, w)
			args := []string{"start", "-q"}
			for _, arg := range f.args {
				args = append(args, strings.ReplaceAll(arg, "$TAKEN", lookupEnv(w.env, "TAKEN")))
			}
			r := w.run(args...)
			assert.Equal(t, f.code, r.code)
			assert.Empty(t, r.out)
			golden(t, name, w.masked(r.err))
			w.ok("clean")
		})
	}
	t.Run("supervisor-without-file-descriptors", func(t *testing.T) {
		w := newWorld(t, "")
		w.starting("ok")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -n 63; exec "+binary+" start -q")
		cmd.Dir, cmd.Env = w.dir, w.env
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Equal(t, exitNoStart, cmd.ProcessState.ExitCode())
		golden(t, "supervisor-without-file-descriptors", w.masked(string(out)))
		assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
		// With one more all is well, also with another node.
		cmd = exec.CommandContext(t.Context(), "sh", "-c", "ulimit -n 64; exec "+binary+" start -q -n 2")
		cmd.Dir, cmd.Env = w.dir, w.env
		out, err = cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		w.ok("add", "-q")
		r := w.run("add", "-q")
		assert.Equal(t, exitNoStart, r.code)
		assert.Contains(t, r.err, "too few files open for 4 nodes")
		w.well()
		w.ok("stop")
	})
	t.Run("name-in-use", func(t *testing.T) {
		w := newWorld(t, "erlang-kv")
		w.ok("start", "-n", "1")
		shell := w.cmd("exec", "--as-node", "node2", "--", "erl", "-noinput")
		require.NoError(t, shell.Start())
		eventually(t, "the shell is registered", func() bool { return strings.Contains(w.ok("events"), "a guest") })
		r := w.run("add", "-q")
		assert.Equal(t, exitNoStart, r.code)
		golden(t, "name-in-use", w.masked(r.err))
		w.ok("stop")
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
}

// smallDisk mounts a tmpfs of a megabyte.
func smallDisk(t *testing.T, at string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(at, 0o755))
	require.NoError(t, mountSmallDisk(at))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(at, 0)) })
	return at
}

// fill leaves no room on a disk.
func fill(t *testing.T, at string) {
	t.Helper()
	f, err := os.Create(filepath.Join(at, "ballast"))
	require.NoError(t, err)
	defer f.Close()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	require.ErrorIs(t, err, unix.ENOSPC)
}

// masks are what varies from run to run, from machine to machine.
var masks = []struct {
	what *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`\d\d?-[A-Z][a-z]{2}-\d{4}::\d\d:\d\d:\d\d\.\d+`), "TIME"},
	{regexp.MustCompile(`pid \d+: \S+`), "pid N: PROGRAM"},
	{regexp.MustCompile(`pid \d+`), "pid N"},
	{regexp.MustCompile(`(port |:)\d{4,5}\b`), "${1}PORT"},
	{regexp.MustCompile(`'[0-9A-Z]{8,}@`), "'BEAMCTL@"},       // a name from the node's pool
	{regexp.MustCompile(`console\.log:\d+`), "console.log:N"}, // several processes report one crash, in any order
	{regexp.MustCompile(`<0\.\d+\.0>`), "<PID>"},
	{regexp.MustCompile(`lookup (\S+?)( on \S+)?: .*`), "lookup $1: REASON"},
	{regexp.MustCompile(`beamctl-probe-\d+`), "beamctl-probe-N"},
	{regexp.MustCompile(`(?m)^(  saw   ).*\bemfile\b.*$`), "${1}SOMETHING WITH emfile"}, // whichever process met it first
	{regexp.MustCompile(`PATH=\S*`), "PATH=PATH"},
}

func (w *world) masked(text string) string {
	text = strings.ReplaceAll(text, w.dir, "PROJECT")
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.mask)
	}
	return text
}

// golden compares a text with testdata/failures/NAME.txt.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "failures", name+".txt")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(bytes.TrimSpace(want)), strings.TrimSpace(text))
}
