package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// portApp is an application that listens on the port that its node was given, as a web server would.
const portApp = `start(_, _) ->
  {ok, L} = gen_tcp:listen(list_to_integer(os:getenv("PORT")), [{ip, {127,0,0,1}}]),
  P = spawn(fun() -> receive stop -> ok end end), ok = gen_tcp:controlling_process(L, P), {ok, P}.`

// TestEightClustersAtOnce starts them in the same instant: no port is anybody else's.
func TestEightClustersAtOnce(t *testing.T) {
	const clusters = 8
	worlds := make([]*world, clusters)
	for i := range worlds {
		w := newWorld(t, "")
		w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, portApp)
		w.write("beamctl.yaml", "cluster: same\ncount: 2\nenv: {PORT: '{{.Port \"http\"}}'}\nready: {timeout: 100s}\n")
		worlds[i] = w
	}
	var wg sync.WaitGroup
	results := make([]result, clusters)
	for i, w := range worlds {
		wg.Go(func() { results[i] = w.run("start") })
	}
	wg.Wait()
	seen := make(map[int]string)
	for i, w := range worlds {
		require.Equal(t, 0, results[i].code, results[i].err)
		for _, n := range w.record().Nodes {
			require.Len(t, n.Ports, 2)
			for name, port := range n.Ports {
				assert.Empty(t, seen[port], "port %d (%s) is taken twice", port, name)
				seen[port] = name
				assertLoopbackOnly(t, port)
			}
		}
	}
	assert.Len(t, seen, 2*2*clusters)
	for _, w := range worlds {
		wg.Go(func() { w.run("stop") })
	}
	wg.Wait()
	for _, w := range worlds {
		assert.NoDirExists(t, w.dir+"/.beamctl")
	}
}

func TestPorts(t *testing.T) {
	w := newWorld(t, "")
	w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, portApp)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	// Fixed and taken: who has it?
	config := "count: 1\nenv: {PORT: '{{.Port \"http\"}}'}\n"
	w.write("beamctl.yaml", config+fmt.Sprintf("ports: {http: %d}\n", port))
	r := w.run("start")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, fmt.Sprintf("port %d (ports.http) is taken", port))
	assert.Contains(t, r.err, fmt.Sprintf("held by pid %d: beamctl.test", os.Getpid()), "which is the command")
	assert.Contains(t, r.err, "ports.http in beamctl.yaml")
	w.ok("clean")

	// In a range it is passed over.
	w.write("beamctl.yaml", config+fmt.Sprintf("ports: {http: %d-%d}\n", port, min(port+20, 65535)))
	w.ok("start")
	got := w.record().Nodes[0].Ports["http"]
	assert.Greater(t, got, port)
	assertLoopbackOnly(t, got)
	assert.Equal(t, got, w.status().Nodes[0].Ports["http"])
	assert.Regexp(t, fmt.Sprintf(` \d+ http:%d `, got), w.ok("status"))
	w.ok("stop")

	// Freed, it can be had again.
	require.NoError(t, taken.Close())
	w.write("beamctl.yaml", config+fmt.Sprintf("ports: {http: %d}\n", port))
	w.ok("start")
	assert.Equal(t, port, w.record().Nodes[0].Ports["http"])
	assert.Contains(t, w.ok("status", "-o", "json"), "node1@127.0.0.1")
	w.ok("stop")

	// One port is not enough for two.
	r = w.run("start", "-n", "2")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, fmt.Sprintf("of the ports %d (ports.http) 2 are wanted and 1 free", port))
	assert.Contains(t, r.err, "ports.http in beamctl.yaml needs a wider range")
	w.ok("clean")
}

func TestConfigVerbs(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	assert.Contains(t, w.run("init", "-n", "2").err, "2 × mix, MIX_ENV test (default)")
	again := w.run("init")
	assert.Equal(t, exitUsage, again.code)
	assert.Contains(t, again.err, "there is a beamctl.yaml already")
	out := w.ok("config", "--env", "SECRET_KEY=hunter2")
	assert.Contains(t, out, "beamctl.yaml:")
	assert.NotContains(t, out, "hunter2")
	for _, key := range []string{"count", "runtime", "apps", "env.MIX_ENV", "env.SECRET_KEY", "--env", "ready.timeout"} {
		assert.Contains(t, out, key)
	}
	assert.Contains(t, w.ok("config", "-o", "json"), `"file": "`+w.dir+`/beamctl.yaml"`)
	assert.True(t, strings.HasPrefix(w.ok("config", "--schema"), "{"))

	w.ok("start") // as the file says
	assert.Len(t, w.status().Nodes, 2)
	w.ok("stop")

	w.write("beamctl.yaml", "conut: 2\nenv: [x]\n")
	for _, verb := range []string{"config", "start"} {
		r := w.run(verb)
		assert.Equal(t, exitUsage, r.code)
		assert.Contains(t, r.err, `beamctl.yaml:1:1: unknown key "conut"; is it "count"?`)
		assert.Contains(t, r.err, "beamctl.yaml:2:6: env: is a list where a mapping is wanted")
	}
	assert.NoDirExists(t, w.dir+"/.beamctl")
}
