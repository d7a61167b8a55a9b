package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// app writes a plain Erlang project without an Emakefile: the file of application a, and its callback module compiled.
func (w *world) app(extra, module string) {
	w.t.Helper()
	w.write("ebin/a.app", `{application, a, [{vsn, "1"}, {modules, []}, {registered, []}`+extra+`]}.`)
	if module != "" {
		w.write("src/a_app.erl", "-module(a_app).\n-export([start/2, stop/1]).\n"+module+"\nstop(_) -> ok.\n")
		out, err := exec.CommandContext(w.t.Context(), "erlc", "-o", filepath.Join(w.dir, "ebin"), filepath.Join(w.dir, "src", "a_app.erl")).CombinedOutput()
		require.NoError(w.t, err, "%s", out)
	}
}

// TestWhatTheUserReads produces each failure for real. Every one leaves its logs for `beamctl logs`, and nothing that runs.
func TestWhatTheUserReads(t *testing.T) {
	deps := `, {applications, [kernel, stdlib`
	mod := deps + `]}, {mod, {a_app, []}}`
	for name, c := range map[string]struct {
		prepare func(t *testing.T, w *world)
		args    []string
		until   string // its time is to run out, but not before this
		code    int
		reads   []string
		noState bool // it fails before there is any
	}{
		"no project": {
			prepare: func(*testing.T, *world) {},
			code:    exitNoStart, reads: []string{"no Erlang or Elixir project here", "mix.exs", "fix   go to the project's directory"}, noState: true,
		},
		"modules without an application": {
			prepare: func(_ *testing.T, w *world) { w.write("Emakefile", `{'src/*', [{outdir, "ebin"}]}.`) },
			code:    exitNoStart, reads: []string{"has an Emakefile, but no ebin/*.app", "fix   write ebin/NAME.app", "--runtime erl"}, noState: true,
		},
		"no erl": {
			prepare: func(_ *testing.T, w *world) { w.app(mod, ""); w.env = append(w.env, "PATH=/nonexistent") },
			code:    exitNoStart, reads: []string{"erl is not on PATH", "fix "}, noState: true,
		},
		"no mix": {
			prepare: func(_ *testing.T, w *world) {
				w.write("mix.exs", "[app: :a]")
				w.env = append(w.env, "PATH=/nonexistent")
			},
			code: exitNoStart, reads: []string{"mix is not on PATH", "fix "}, noState: true,
		},
		"no build program": {
			prepare: func(_ *testing.T, w *world) { w.app("", ""); w.write("beamctl.yaml", "build: [mx, compile]\n") },
			code:    exitNoStart, reads: []string{"mx is not on PATH", "cause the project is built with it: `build` is mx compile"}, noState: true,
		},
		"bad count": {
			prepare: func(_ *testing.T, w *world) { w.app("", "") },
			args:    []string{"-n", "0", "--cluster", "a b"},
			code:    exitUsage, reads: []string{"0 nodes", `cluster name "a b"`}, noState: true,
		},
		"short name": {
			prepare: func(_ *testing.T, w *world) { w.app("", "") },
			args:    []string{"--name", "{{.Node}}@somewhere"},
			code:    exitUsage, reads: []string{"node1@somewhere", "dot"}, noState: true,
		},
		"host is not ours": {
			prepare: func(_ *testing.T, w *world) { w.app("", "") },
			args:    []string{"--name", "{{.Node}}@192.0.2.1"}, // TEST-NET-1: nobody's
			code:    exitNoStart, reads: []string{"cannot listen on 192.0.2.1"}, noState: true,
		},
		"fixed EPMD port taken": {
			prepare: func(t *testing.T, w *world) {
				w.app("", "")
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { l.Close() })
				w.env = append(w.env, "TAKEN="+strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
			},
			args: []string{"--epmd-port", "$TAKEN"},
			code: exitNoStart, reads: []string{"is taken", "held by pid " + strconv.Itoa(os.Getpid())}, noState: true,
		},
		"missing application": {
			prepare: func(_ *testing.T, w *world) { w.app(deps+", nosuch]}", "") },
			code:    exitNoStart, reads: []string{"application nosuch is missing", "a needs nosuch", "console.log:"},
		},
		"missing module": {
			prepare: func(_ *testing.T, w *world) { w.app(mod, "") },
			code:    exitNoStart, reads: []string{"could not start", "a_app:start called module a_app"},
		},
		"application refuses": {
			prepare: func(_ *testing.T, w *world) { w.app(mod, `start(_, _) -> {error, no_licence}.`) },
			code:    exitNoStart, reads: []string{"application a failed to start", "no_licence"},
		},
		"port taken": {
			prepare: func(_ *testing.T, w *world) {
				w.app(mod, `start(_, _) -> {ok, L} = gen_tcp:listen(4001, [{ip, {127,0,0,5}}]), P = spawn(fun() -> receive stop -> ok end end), gen_tcp:controlling_process(L, P), {ok, P}.`)
			},
			code: exitNoStart, reads: []string{"a port that it wants is taken", "eaddrinuse"},
		},
		"node ends": {
			prepare: func(_ *testing.T, w *world) {
				w.app(mod, `start(_, _) -> io:format("giving up~n"), halt(7).`)
			},
			code: exitNoStart, reads: []string{"its process ended (exit status 7)", "giving up"},
		},
		"too slow": {
			prepare: func(_ *testing.T, w *world) {
				w.app(mod, `start(_, _) -> io:format("hold on~n"), timer:sleep(infinity).`)
			},
			args: []string{"-n", "1"}, until: "last seen: booting: init:get_status()",
			code: exitTimeout, reads: []string{"did not start in time", "hold on", "last seen: booting: init:get_status()"},
		},
		"erl -make fails": {
			prepare: func(_ *testing.T, w *world) {
				w.app(mod, "")
				w.write("Emakefile", `{'src/*', [{outdir, "ebin"}]}.`)
				w.write("src/a_app.erl", "-module(a_app).\nthis is not Erlang.\n")
			},
			code: exitNoStart, reads: []string{"the project does not build: erl -make", "a_app.erl:2"},
		},
		"mix compile fails": {
			prepare: func(_ *testing.T, w *world) {
				w.write("mix.exs", "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\nend\n")
				w.write("lib/a.ex", "defmodule A do\n  def f, do: undefined_here\nend\n")
			},
			code: exitNoStart, reads: []string{"the project does not build: mix compile", "undefined_here"},
		},
		"mix application fails": {
			prepare: func(_ *testing.T, w *world) {
				w.write("mix.exs", "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\"]\n  def application, do: [mod: {A, []}]\nend\n")
				w.write("lib/a.ex", "defmodule A do\n  use Application\n  def start(_, _), do: {:error, :no_licence}\nend\n")
			},
			code: exitNoStart, reads: []string{"application a failed to start", "no_licence"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			c.prepare(t, w)
			for i := range c.args {
				c.args[i] = strings.ReplaceAll(c.args[i], "$TAKEN", lookupEnv(w.env, "TAKEN"))
			}
			args := append([]string{"start"}, c.args...)
			var r result
			if c.until == "" {
				r = w.run(args...)
			} else {
				within(t, func(timeout string) bool {
					r = w.run(append(args, "--timeout", timeout)...)
					return strings.Contains(r.err, c.until)
				})
			}
			assert.Equal(t, c.code, r.code, r.err)
			for _, text := range c.reads {
				assert.Contains(t, r.err, text)
			}
			assert.Empty(t, r.out)
			if c.noState {
				assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
				return
			}
			for _, id := range w.ids() {
				assert.Empty(t, marked(id))
			}
			st := w.run("status")
			assert.Equal(t, exitNoCluster, st.code)
			logs := w.run("logs")
			assert.Equal(t, exitOK, logs.code)
			if built := filepath.Join(".beamctl", "a", "build.log"); strings.Contains(r.err, "does not build") {
				assert.Contains(t, st.err, built)
				assert.NotContains(t, st.err, "beamctl logs")
				assert.Contains(t, logs.err, built)
			}
			w.ok("clean")
			assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
		})
	}
}

func lookupEnv(env []string, key string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

// TestExecExitCodes is what a CI job relies on.
func TestExecExitCodes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	none := w.run("exec", "--", "true")
	assert.Equal(t, 125, none.code)
	assert.Contains(t, none.err, "no such cluster")
	assert.Equal(t, exitUsage, w.run("exec").code)

	w.ok("start", "-n", "1")
	w.write("not-executable", "")
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"true"}},
		{7, []string{"sh", "-c", "exit 7"}},
		{124, []string{"--timeout", "100ms", "--", "sleep", "60"}},
		{126, []string{"--", "./not-executable"}},
		{126, []string{"--", "/"}},
		{127, []string{"--", "no-such-program"}},
		{128 + 9, []string{"--", "sh", "-c", "kill -9 $$"}},
		{3, []string{"--", "sh", "-c", `trap "exit 3" TERM; kill -TERM $PPID; while :; do sleep 0.05; done`}}, // ours is passed on
	} {
		assert.Equal(t, c.code, w.run(append([]string{"exec"}, c.args...)...).code, "%v", c.args)
	}
	assert.Equal(t, "-x\n", w.ok("exec", "echo", "-x"), "flags behind the command are the command's")
	env := w.ok("exec", "env")
	assert.NotContains(t, env, "BEAMCTL_CLUSTER=", "what the user runs is the user's")
	for line := range strings.SplitSeq(strings.TrimSpace(w.ok("env")), "\n") {
		assert.Contains(t, env, strings.TrimPrefix(line, "export "))
	}
	w.ok("stop")
}
