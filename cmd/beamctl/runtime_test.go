package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// rebar3Project makes the Erlang example a rebar3 project.
func rebar3Project(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "erlang-kv")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "Emakefile")))
	app, err := os.ReadFile(filepath.Join(w.dir, "ebin", "kv.app"))
	require.NoError(t, err)
	w.write("src/kv.app.src", string(app))
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "ebin")))
	w.write("config/sys.config", `[{kv, [{greeting, "from sys.config"}]}].`)
	w.write("rebar.config", `{shell, [{config, "config/sys.config"}]}.
{relx, [{release, {kv, "1.0.0"}, [kv, runtime_tools]}, {dev_mode, false}, {include_erts, false}, {extended_start_script, true}, {sys_config, "config/sys.config"}]}.
`)
	return w
}

// tool runs a build tool in the project, with nothing of a cluster.
func (w *world) tool(env string, argv ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = w.dir, append(slices.Clone(w.env), env)
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, "%v: %s", argv, out)
}

// cluster starts what there is, looks at it, and returns what it found. Everything is to be up, to run the application and to
// see the others, on loopback alone and on the ports reserved for it.
func (w *world) started(apps ...string) launcher.Status {
	w.t.Helper()
	w.ok("start")
	st := w.status()
	for i, n := range st.Nodes {
		assert.Equal(w.t, launcher.NodeUp, n.State, n.Problem)
		assert.Equal(w.t, apps, n.Apps)
		assert.Len(w.t, n.Peers, len(st.Nodes)-1)
		assertLoopbackOnly(w.t, n.Port)
		assert.Equal(w.t, n.Port, w.record().Nodes[i].Ports["dist"])
	}
	return st
}

// secret returns the running cluster's cookie.
func (w *world) secret() string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.status().StateDir, "cookie"))
	require.NoError(w.t, err)
	return strings.TrimSpace(string(b))
}

// stopped stops it, and looks whether anything is left.
func (w *world) stopped() {
	w.t.Helper()
	id := w.record().ID
	w.ok("stop")
	assert.Empty(w.t, marked(id))
	assert.NoDirExists(w.t, filepath.Join(w.dir, ".beamctl"))
}

func TestRebar3(t *testing.T) {
	w := rebar3Project(t)
	w.started("kv")
	assert.Equal(t, `{ok,"from sys.config"}`, w.inNode(`application:get_env(kv, greeting)`))
	assert.Equal(t, "ok", w.inNode(`kv:put(a, 1)`))
	w.stopped()
}

// TestReleases starts releases by their own scripts. What they would put into their command line is a decoy.
func TestReleases(t *testing.T) {
	for name, c := range map[string]struct {
		build func(t *testing.T) (w *world, release string)
		app   string
		sync  func(w *world) // what was changed; nil: not
	}{
		"mix": {func(t *testing.T) (*world, string) {
			w := newWorld(t, "elixir-counter")
			w.tool("MIX_ENV=prod", "mix", "release", "--quiet")
			return w, "_build/prod/rel/counter"
		}, "counter", (*world).syncRelease},
		"relx": {func(t *testing.T) (*world, string) {
			w := rebar3Project(t)
			w.tool("", "rebar3", "release")
			return w, "_build/default/rel/kv"
		}, "kv", nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, release := c.build(t)
			w.write("beamctl.yaml", "release: "+release+"\nready: {timeout: 60s}\n")
			before := files(t, filepath.Join(w.dir, release))
			s := sample(t)
			w.started(c.app)
			secret := w.secret()
			assert.Equal(t, before, files(t, filepath.Join(w.dir, release)), "the release itself is left alone")
			if c.sync != nil {
				c.sync(w)
				before = files(t, filepath.Join(w.dir, release))
			}
			w.stopped()
			assert.Contains(t, s.seen(), "not-the-cookie")
			assert.NotContains(t, s.seen(), secret)
			assert.Equal(t, before, files(t, filepath.Join(w.dir, release)), "the release itself is left alone")
			assert.Equal(t, exitNoStart, w.run("start", "-q", "-n", "1", "--tls", "auto").code)
			assert.Contains(t, w.run("logs").out, "Protocol 'inet_tls': not supported")
			w.ok("clean")

			// In the release's own directory nothing needs to be said.
			inside := newWorld(t, "")
			require.NoError(t, os.RemoveAll(inside.dir))
			require.NoError(t, os.CopyFS(inside.dir, os.DirFS(filepath.Join(w.dir, release))))
			assert.Contains(t, inside.ok("config"), "releases/start_erl.data")
		})
	}
}

// syncRelease makes a release again under its nodes, which load nothing by themselves, and brings them up to date.
func (w *world) syncRelease() {
	w.t.Helper()
	assert.Equal(w.t, three("embedded"), w.calls("code:get_mode()"))
	w.edit("lib/counter.ex", "  alias Counter.Replica\n", "  alias Counter.Replica\n  def extra, do: Counter.Extra.value()\n")
	w.write("lib/extra.ex", "defmodule Counter.Extra do\n  def value, do: 7\nend\n")
	w.tool("MIX_ENV=prod", "mix", "compile")
	rep, _ := w.sync()
	require.Len(w.t, rep.Stale, 1, "the release is older than the build")
	assert.Equal(w.t, "_build/prod/lib/counter/ebin/Elixir.Counter.beam", rep.Stale[0].Source)
	assert.Contains(w.t, w.run("exec", "--", "true").err, "Elixir.Counter.beam is newer than")
	w.tool("MIX_ENV=prod", "mix", "release", "--quiet", "--overwrite")
	for _, n := range w.status().Nodes {
		assert.Equal(w.t, []string{"Elixir.Counter"}, n.Drift)
	}
	rep, r := w.sync()
	assert.Equal(w.t, exitOK, r.code, r.err)
	for _, n := range rep.Nodes {
		assert.Equal(w.t, []string{"Elixir.Counter", "Elixir.Counter.Extra"}, n.Pushed)
	}
	assert.Equal(w.t, three("7"), w.calls("'Elixir.Counter':extra()"))
	w.ok("exec", "--", "true")
}

// TestCommand starts nodes by scripts: one that leaves all to beamctl, one that names itself, one that starts distribution and looks for the
// cookie where Erlang does. All three are one cluster.
func TestCommand(t *testing.T) {
	w := newWorld(t, "")
	w.write("run.sh", "#!/bin/sh\necho \"$GREETING from $NODE in $PWD\"\nerl -noinput \"$@\"\n")
	require.NoError(t, os.Chmod(filepath.Join(w.dir, "run.sh"), 0o755))
	w.write("beamctl.yaml", `
runtime: command
command: [./run.sh]
args: [-config, "{{.Dir}}/etc/{{.Node}}.config"]
env: {GREETING: hello, NODE: '{{.Node}} {{.Index}} {{.Cluster}}'}
ports: {mqtt: any}
files:
  etc/{{ "node" }}.config: "unused"
nodes:
  - {name: plain, files: {etc/plain.config: '[{kernel, [{beamctl_port, {{.Port "mqtt"}}}]}].'}}
  - {name: named, args: [-name, "{{.Name}}"]}
  - {name: own, distribution: own, args: [-name, "{{.Name}}", -setcookie, visible]}
`)
	bad := w.run("start")
	assert.Equal(t, exitOK, bad.code, bad.err)
	s := sample(t)
	st := w.status()
	require.Len(t, st.Nodes, 3)
	for _, n := range st.Nodes {
		assert.Equal(t, launcher.NodeUp, n.State, n.Problem)
		assert.Len(t, n.Peers, 2)
		assert.NotEqual(t, n.Pid, n.OSPid, "there is a shell between")
		assertLoopbackOnly(t, n.Port)
	}
	rec := w.record()
	assert.Equal(t, fmt.Sprintf("{ok,%d}", rec.Nodes[0].Ports["mqtt"]), w.inNode(`application:get_env(kernel, beamctl_port)`))
	assert.GreaterOrEqual(t, rec.Nodes[0].Ports["mqtt"], 20000)
	assert.NotContains(t, rec.Nodes[1].Ports, "mqtt", "only who asks for a port gets one")
	eventually(t, "what it printed is in its log", func() bool { return strings.Contains(w.ok("logs"), "hello from plain 1 project in "+w.dir) })
	assert.NotContains(t, s.seen(), w.secret())
	w.stopped()
}

// TestMixedCluster has nodes of different runtimes in one cluster, each with what it is to run.
func TestMixedCluster(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	kv := newWorld(t, "erlang-kv")
	kv.tool("", "erl", "-make")
	w.write("beamctl.yaml", `
nodes:
  - {name: mix, vm_args: [+S, "1:1"], env: {ROLE: "{{.Node}} alone"}}
  - {name: erl, runtime: erl, ebin: [`+kv.dir+`/ebin], apps: [kv], env: {ROLE: "{{.Node}}'s"}}
  - {name: bare, runtime: erl, ebin: [], apps: [], bin: [wrapped]}
`)
	w.write("config/runtime.exs", "import Config\nconfig :counter, role: System.get_env(\"ROLE\"), env: config_env()\n")
	erl, err := exec.LookPath("erl")
	require.NoError(t, err)
	w.write("wrapped/erl", "#!/bin/sh\nexec "+erl+" -kernel wrapped yes \"$@\"\n")
	require.NoError(t, os.Chmod(filepath.Join(w.dir, "wrapped", "erl"), 0o755))
	w.ok("start")
	st := w.status()
	for i, apps := range [][]string{{"counter"}, {"kv"}, nil} {
		assert.Equal(t, launcher.NodeUp, st.Nodes[i].State, st.Nodes[i].Problem)
		assert.Len(t, st.Nodes[i].Peers, 2)
		assert.Equal(t, apps, st.Nodes[i].Apps)
	}
	w.well()
	assert.Contains(t, w.ok("rpc", "mix", "erlang:system_info(schedulers)"), "1")
	assert.Contains(t, w.ok("rpc", "erl", `os:getenv("ROLE")`), "erl's")
	assert.Equal(t, "{ok,<<\"mix alone\">>}\n", w.ok("rpc", "mix", "application:get_env(counter, role)"), "runtime.exs is evaluated in the node's environment")
	assert.Equal(t, "{ok,test}\n", w.ok("rpc", "mix", "application:get_env(counter, env)"))
	assert.Contains(t, w.ok("rpc", "bare", "application:get_env(kernel, wrapped)"), "yes")
	w.stopped()
}

func TestShortNames(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("beamctl.yaml", "names: short\nname: '{{.Node}}@localhost'\n")
	st := w.started("kv")
	assert.Equal(t, "node1@localhost", st.Nodes[0].Name)
	w.stopped()
}

// TestIPv6 has nodes that listen on ::1 only, with inet6_tcp.
func TestIPv6(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("beamctl.yaml", "name: '{{.Node}}@::1'\n")
	w.ok("start")
	for _, n := range w.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State, n.Problem)
		assert.Len(t, n.Peers, 2)
		assertNobodyListens(t, fmt.Sprintf("127.0.0.1:%d", n.Port))
	}
	w.well()
	guest := w.run("exec", "--as-node", "guest", "--", "erl", "-noinput", "-eval", `io:format("~p ~p", [node(), length(nodes())]), halt()`)
	assert.Equal(t, "'guest@::1' 3", guest.out, guest.err)
	w.stopped()
}

func TestMeshModes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "--mesh", "none")
	for _, n := range w.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State)
		assert.Empty(t, n.Peers)
	}
	w.well()
	w.stopped()

	within(t, func(timeout string) bool {
		r := w.run("start", "-n", "2", "--mesh", "app", "--timeout", timeout)
		assert.Equal(t, exitTimeout, r.code)
		w.ok("clean")
		return strings.Contains(r.err, "does not see") // the application was to make the mesh, and doesn't
	})
}
