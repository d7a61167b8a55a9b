package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd/epmdtest"
	"github.com/beamctl/beamctl/launcher"
)

// Each benchmark here runs beamctl and its peer by turns in one run and reports the medians of both: on a shared machine only their
// ratio means anything.

// paired runs both by turns b.N times.
func paired(b *testing.B, peer string, ours, theirs func() time.Duration) {
	b.Helper()
	var a, p []time.Duration
	for range b.N {
		a, p = append(a, ours()), append(p, theirs())
	}
	ma, mp := median(a), median(p)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ma.Microseconds())/1000, "beamctl-ms")
	b.ReportMetric(float64(mp.Microseconds())/1000, peer+"-ms")
	b.ReportMetric(float64(ma)/float64(mp), "ratio")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// bareWorld is a project whose application does nothing.
func bareWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, "")
	w.write("ebin/bare.app", `{application, bare, [{vsn, "1"}, {modules, []}, {registered, []}, {applications, [kernel, stdlib]}]}.`)
	return w
}

// BenchmarkStart compares `beamctl start` with booting the same BEAMs bare, in parallel, with the same arguments and environment, until
// all of them mesh: each connects to those before it, and is done when it sees all others.
func BenchmarkStart(b *testing.B) {
	for _, n := range []int{3, 20} {
		b.Run(fmt.Sprintf("%d nodes", n), func(b *testing.B) {
			w := bareWorld(b)
			count := fmt.Sprint(n)
			w.ok("start", "-q", "-n", count)
			bare := w.bareNodes(b)
			w.ok("stop", "-q")
			paired(b, "erl", func() time.Duration {
				defer w.ok("stop", "-q")
				return took(func() { w.ok("start", "-q", "-n", count) })
			}, bare)
		})
	}
}

// BenchmarkSync compares a `beamctl sync` that finds nothing to push, the whole process, with `beamctl status` of the same three nodes.
func BenchmarkSync(b *testing.B) {
	w := newWorld(b, "elixir-counter")
	w.ok("start", "-q")
	defer w.ok("stop", "-q")
	paired(b, "status", func() time.Duration { return took(func() { w.ok("sync", "-q") }) },
		func() time.Duration { return took(func() { w.ok("status", "-q") }) })
}

// bareNodes returns how to boot the nodes of the running cluster without beamctl: what they get is what they have now, but for an
// EPMD, a cookie and a copy of the boot expression that outlive the cluster, and for the expression that makes the mesh.
func (w *world) bareNodes(b *testing.B) func() time.Duration {
	b.Helper()
	rec := w.record()
	dir := b.TempDir()
	for name, from := range map[string]string{"cookie": filepath.Join(w.dir, ".beamctl", rec.Spec.Cluster, "cookie"), "boot.erl": "../../launcher/boot.erl"} {
		text, err := os.ReadFile(from)
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	e := epmdtest.Start(b)
	var names []string
	var envs [][]string
	for _, n := range rec.Nodes {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", n.Process.Pid))
		require.NoError(b, err)
		env := strings.Split(strings.TrimRight(string(environ), "\x00"), "\x00")
		env = slices.DeleteFunc(env, func(kv string) bool { // without them no supervisor takes it for its own
			return strings.HasPrefix(kv, launcher.MarkerEnv+"=") || strings.HasPrefix(kv, "ERL_CRASH_DUMP=")
		})
		envs = append(envs, append(env, "BEAMCTL_NODE_COOKIE="+filepath.Join(dir, "cookie"), "BEAMCTL_BOOT="+filepath.Join(dir, "boot.erl"), e.Env()))
		names = append(names, n.Name)
	}
	return func() time.Duration {
		var nodes []*exec.Cmd
		var inputs []io.Closer
		took := took(func() {
			var outputs []*bufio.Reader
			for i, env := range envs {
				cmd := exec.Command("erl", "-noinput", "-pa", filepath.Join(w.dir, "ebin"), "-eval", meshExpr(names, i))
				cmd.Env, cmd.Dir = env, dir
				in, err := cmd.StdinPipe()
				require.NoError(b, err)
				out, err := cmd.StdoutPipe()
				require.NoError(b, err)
				require.NoError(b, cmd.Start())
				nodes, inputs, outputs = append(nodes, cmd), append(inputs, in), append(outputs, bufio.NewReader(out))
			}
			for _, out := range outputs {
				line, err := out.ReadString('\n')
				require.NoError(b, err)
				require.Equal(b, "meshed\n", line)
			}
		})
		for i, cmd := range nodes {
			_ = inputs[i].Close()
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		return took
	}
}

// meshExpr connects node i with those before it, and says when it sees all others.
func meshExpr(names []string, i int) string {
	return fmt.Sprintf(`
  All = ['%s'], {Lower, _} = lists:split(%d, All),
  Connect = fun Again(N) -> net_kernel:connect_node(N) orelse begin timer:sleep(10), Again(N) end end,
  [Connect(N) || N <- Lower],
  Wait = fun Again() -> length(All -- [node() | nodes()]) =:= 0 orelse begin timer:sleep(10), Again() end end,
  Wait(), io:format("meshed~n").`, strings.Join(names, "','"), i)
}

// BenchmarkHealth is the wall time of a whole `beamctl health` with all checks, of three nodes and of fifty. Its peer is one `erl` that
// asks the same nodes by rpc, one after the other, for a part of it: what one would write by hand.
func BenchmarkHealth(b *testing.B) {
	for _, nodes := range []string{"3", "50"} {
		b.Run(nodes, func(b *testing.B) {
			w := bareWorld(b)
			w.ok("start", "-q", "-n", nodes, "--timeout", "3m")
			defer w.ok("stop", "-q")
			paired(b, "erl", func() time.Duration {
				return took(func() { // fifty nodes on few cores may well be slow to answer each other
					require.LessOrEqual(b, w.run("health", "-q", "--timeout", "20s").code, exitFailed)
				})
			}, func() time.Duration {
				return took(func() {
					w.inNode(`[begin
						pong = net_adm:ping(M), {ok, _} = {ok, rpc:call(M, application, which_applications, [])},
						_ = rpc:call(M, erlang, nodes, []), _ = rpc:call(M, erlang, memory, []), _ = rpc:call(M, erlang, get_cookie, []),
						_ = rpc:call(M, supervisor, which_children, [kernel_sup]), _ = rpc:call(M, global, registered_names, []),
						_ = [rpc:call(M, erlang, system_info, [K]) || K <- [otp_release, process_count, atom_count, port_count]],
						_ = [rpc:call(M, erlang, get_module_info, [Mod, md5]) || {Mod, _} <- rpc:call(M, code, all_loaded, []), lists:member(Mod, [kernel, lists])]
					end || M <- [node() | nodes()]]`)
				})
			})
		})
	}
}

// BenchmarkRPC compares the whole process `beamctl rpc` with erl_call, which is written in C and does the same.
func BenchmarkRPC(b *testing.B) {
	w := bareWorld(b)
	w.ok("start", "-q")
	defer w.ok("stop", "-q")
	st := w.status()
	cookie, err := os.ReadFile(filepath.Join(st.StateDir, "cookie"))
	require.NoError(b, err)
	home := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(strings.TrimSpace(string(cookie))), 0o400))
	erlCall, err := filepath.Glob("/usr/lib/erlang/lib/erl_interface-*/bin/erl_call")
	require.NoError(b, err)
	require.NotEmpty(b, erlCall)
	_, port, _ := strings.Cut(st.EPMD, ":")
	paired(b, "erl_call", func() time.Duration {
		return took(func() { require.Equal(b, "1\n", w.ok("rpc", "node1", "erlang:abs(-1)")) })
	}, func() time.Duration {
		cmd := exec.Command(erlCall[0], "-name", "node1@127.0.0.1", "-a", "erlang abs [-1]")
		cmd.Env = append(os.Environ(), "HOME="+home, "ERL_EPMD_PORT="+port)
		return took(func() {
			out, err := cmd.CombinedOutput()
			require.NoError(b, err, "%s", out)
			require.Contains(b, string(out), "1")
		})
	})
}
