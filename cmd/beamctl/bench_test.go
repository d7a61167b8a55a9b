package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd/epmdtest"
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

// BenchmarkStart compares `beamctl start` (three bare nodes until all are ready and meshed) with booting three bare `erl -name` nodes in
// parallel, each done when it says that it is up; they are not meshed.
func BenchmarkStart(b *testing.B) {
	w := bareWorld(b)
	e := epmdtest.Start(b)
	paired(b, "erl", func() time.Duration {
		defer w.ok("stop", "-q")
		return took(func() { w.ok("start", "-q") })
	}, func() time.Duration {
		return took(func() {
			var nodes []*exec.Cmd
			for i := range 3 {
				cmd := exec.Command("erl", "-name", fmt.Sprintf("n%d@127.0.0.1", i), "-setcookie", "bench", "-start_epmd", "false", "-noinput",
					"-eval", "halt().")
				cmd.Env = append(w.env, e.Env())
				require.NoError(b, cmd.Start())
				nodes = append(nodes, cmd)
			}
			for _, cmd := range nodes {
				require.NoError(b, cmd.Wait())
			}
		})
	})
}

// BenchmarkHealth is the wall time of a whole `beamctl health` of three nodes. Its peer is one `erl` that pings them, what
// one would write by hand.
func BenchmarkHealth(b *testing.B) {
	w := bareWorld(b)
	w.ok("start", "-q")
	defer w.ok("stop", "-q")
	paired(b, "erl", func() time.Duration {
		return took(func() { w.ok("health", "-q") })
	}, func() time.Duration {
		return took(func() { w.inNode(`[pong = net_adm:ping(M) || M <- [node() | nodes()]]`) })
	})
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
