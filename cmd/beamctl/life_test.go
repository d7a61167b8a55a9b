package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// inNode evaluates Erlang on node1, by a node of the user's own that joins through exec, and returns what it prints.
func (w *world) inNode(expr string) string {
	w.t.Helper()
	return w.ok("exec", "--", "erl", "-noinput", "-hidden", "-nocookie", "-start_epmd", "false",
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval", `
  {ok, _} = net_kernel:start([list_to_atom("probe" ++ os:getpid() ++ "@127.0.0.1"), longnames]),
  {ok, C} = file:read_file(os:getenv("BEAMCTL_COOKIE_FILE")),
  true = erlang:set_cookie(node(), binary_to_atom(string:trim(C))),
  [N | _] = [list_to_atom(S) || S <- string:lexemes(os:getenv("BEAMCTL_NODES"), ",")],
  io:format("~p", [erpc:call(N, fun() -> `+expr+` end)]), halt(0).`)
}

// afterwards evaluates Erlang on node1 in a process that waits until the node of inNode is gone: it may end the node.
func (w *world) afterwards(expr string) {
	w.t.Helper()
	w.inNode(`Asker = node(group_leader()), spawn(fun() -> monitor_node(Asker, true), receive {nodedown, Asker} -> ok end, ` + expr + ` end)`)
}

// life is everything from start to stop, looked at from outside.
func life(t *testing.T, w *world, app string) {
	before := withoutBuild(files(t, filepath.Dir(w.dir)))

	w.ok("start")
	st := w.status()
	require.Len(t, st.Nodes, 3)
	for i, n := range st.Nodes {
		assert.Equal(t, fmt.Sprintf("node%d@127.0.0.1", i+1), n.Name)
		assert.Equal(t, launcher.NodeUp, n.State)
		assert.Equal(t, []string{app}, n.Apps)
		assert.Len(t, n.Peers, 2)
		assert.Equal(t, n.Pid, n.OSPid)
		assert.NotEmpty(t, n.OTP)
		assert.Empty(t, n.Problem)
		assertLoopbackOnly(t, n.Port)
	}
	rec := w.record()
	assert.NotEmpty(t, marked(rec.ID))
	fi, err := os.Stat(filepath.Join(st.StateDir, "cookie"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm())

	var list []listed
	require.NoError(t, json.Unmarshal([]byte(w.ok("list", "-o", "json")), &list))
	list = slices.DeleteFunc(list, func(l listed) bool { return l.Dir != w.dir }) // the user may have others
	require.Len(t, list, 1)
	assert.Equal(t, launcher.Ready, list[0].State)

	again := w.run("start")
	assert.Equal(t, exitNoStart, again.code)
	assert.Contains(t, again.err, "is running already")

	w.ok("stop")
	assert.Empty(t, marked(rec.ID), "processes")
	for _, n := range st.Nodes {
		assertNobodyListens(t, fmt.Sprintf("127.0.0.1:%d", n.Port))
	}
	assertNobodyListens(t, rec.EPMD)
	for _, n := range rec.Nodes {
		assertNobodyListens(t, n.EPMD)
	}
	w.ok("clean")
	assert.Equal(t, before, withoutBuild(files(t, filepath.Dir(w.dir))), "files")

	for _, verb := range []string{"stop", "status", "env"} {
		r := w.run(verb)
		assert.Equal(t, exitNoCluster, r.code, verb)
		assert.Contains(t, r.err, "no such cluster", verb)
	}
}

// withoutBuild leaves out what the project's own build tool makes.
func withoutBuild(paths []string) []string {
	var out []string
	for _, p := range paths {
		if !strings.HasSuffix(p, ".beam") && !strings.Contains(p, "/_build") && !strings.HasSuffix(p, "/.mix") && !strings.Contains(p, "/.mix/") {
			out = append(out, p)
		}
	}
	return out
}

func TestErlangLife(t *testing.T) { life(t, newWorld(t, "erlang-kv"), "kv") }

func TestElixirLife(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "_build")))
	life(t, w, "counter")
}

// TestLifeAsAnotherUser needs root only to become somebody else; who isn't root is somebody else already.
func TestLifeAsAnotherUser(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	if os.Getuid() == 0 {
		w.as(nobody)
	}
	life(t, w, "kv")
}

func assertNobodyListens(t testing.TB, addr string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if assert.Error(t, err, "%s still listens", addr) {
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		return
	}
	_ = conn.Close()
}

// assertLoopbackOnly reads from the kernel on which addresses a port is listened on.
func assertLoopbackOnly(t testing.TB, port int) {
	t.Helper()
	found := false
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != "0A" || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			found = true
			assert.Equal(t, fmt.Sprintf("0100007F:%04X", port), f[1], "listens on more than 127.0.0.1")
		}
	}
	assert.True(t, found, "port %d is not listened on", port)
}

// TestNothingEscapes has a node start what outlives a careless stop: a port program, a daemon in a session of its own that has lost its
// parent, and one that has shed even the marker.
func TestNothingEscapes(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	// The port belongs to a process that stays, as an application's would.
	w.inNode(`spawn(fun() -> open_port({spawn, "sleep 1001"}, []), receive stop -> ok end end)`)
	w.inNode(`os:cmd("setsid sh -c 'sleep 1002 & sleep 1003 &' >/dev/null 2>&1")`)
	w.inNode(`os:cmd("(env -i setsid sleep 1004 >/dev/null 2>&1 &)")`)
	sleeps := func() []int {
		return processes(func(pid string) bool {
			args, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
			wd, _ := os.Readlink(filepath.Join("/proc", pid, "cwd"))
			return strings.HasPrefix(string(args), "sleep\x00100") && strings.HasPrefix(wd, w.dir)
		})
	}
	eventually(t, "the daemons run", func() bool { return len(sleeps()) == 4 })
	id := w.record().ID
	w.ok("stop")
	assert.Empty(t, sleeps())
	assert.Empty(t, marked(id))
}

func TestTwoClustersWithTheSameNames(t *testing.T) {
	a, b := newWorld(t, "erlang-kv"), newWorld(t, "erlang-kv")
	var wg sync.WaitGroup
	for _, w := range []*world{a, b} {
		wg.Go(func() { w.run("start") })
	}
	wg.Wait()
	sa, sb := a.status(), b.status()
	assert.Equal(t, sa.Nodes[0].Name, sb.Nodes[0].Name)
	assert.NotEqual(t, sa.EPMD, sb.EPMD)
	assert.Equal(t, "[]", a.inNode(`[ok = kv:put(where, a) || _ <- [1]], []`))
	assert.Equal(t, "ok", b.inNode(`kv:put(where, b)`))
	assert.Equal(t, "{ok,a}", a.inNode(`kv:get(where)`))
	a.ok("stop")
	assert.Equal(t, "{ok,b}", b.inNode(`kv:get(where)`), "stopping one leaves the other alone")
	for _, n := range b.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State)
		assert.Len(t, n.Peers, 2)
	}
	b.ok("stop")
}

// TestCookieStaysSecret reads every process's command line from before the start until after the stop, and every log.
func TestCookieStaysSecret(t *testing.T) {
	s := sample(t)
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	cookie, err := os.ReadFile(filepath.Join(w.record().Spec.Dir, ".beamctl", "kv", "cookie"))
	require.NoError(t, err)
	secret := strings.TrimSpace(string(cookie))
	require.Len(t, secret, 40)
	w.ok("exec", "--", "escript", "test/kv_cluster_test.escript")
	outputs := w.ok("status") + w.ok("status", "-o", "json") + w.ok("env") + w.ok("list", "-o", "json") + w.ok("logs")
	w.inNode(`os:cmd("ps axww")`)
	w.ok("stop", "--keep", "-o", "json")
	assert.NotContains(t, outputs, secret)
	assert.NotContains(t, s.seen(), secret, "in a command line")
	for _, f := range files(t, w.dir) {
		if b, err := os.ReadFile(f); err == nil {
			assert.NotContains(t, string(b), secret, f)
		}
	}
	w.ok("clean")

	// The same sampler, when there is something to find.
	leak := w.cmd("exec") // only for its environment
	leak.Path, leak.Args = "/bin/sh", []string{"sh", "-c", "read -r over; : -setcookie " + secret}
	over, err := leak.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, leak.Start())
	eventually(t, "the sampler sees what is there", func() bool { return strings.Contains(s.seen(), secret) })
	require.NoError(t, over.Close())
	_ = leak.Wait() // there was nothing to read
}

// sampler collects the command lines of all processes.
type sampler struct {
	mu    sync.Mutex
	lines map[string]struct{}
}

// sampleEvery is far below the life of anything that beamctl runs.
const sampleEvery = 3 * time.Millisecond

func sample(t *testing.T) *sampler {
	t.Helper()
	s := &sampler{lines: make(map[string]struct{})}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			dirs, _ := os.ReadDir("/proc")
			for _, d := range dirs {
				if b, err := os.ReadFile("/proc/" + d.Name() + "/cmdline"); err == nil && len(b) > 0 {
					s.mu.Lock()
					s.lines[string(b)] = struct{}{}
					s.mu.Unlock()
				}
			}
			select {
			case <-time.After(sampleEvery):
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
	return s
}

func (s *sampler) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for l := range s.lines {
		b.WriteString(l + "\n")
	}
	return b.String()
}
