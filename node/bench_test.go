package node_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// The benchmarks of calls run ours and the peers' by turns, a round each, against one target, and report the median of the rounds'
// figures and the ratios to each peer: below 1 is faster than the peer. b.N is the number of rounds. Under
// `taskset -c 0` all of it shares one core, which makes figures repeatable.

const (
	callsPerRound = 2000
	warmUp        = 1000
)

// client makes a number of calls and returns how long each took.
type client func(n int) []time.Duration

// rounds runs all clients by turns and reports figure of each.
func rounds(b *testing.B, unit string, clients map[string]client, figure func([]time.Duration) float64) {
	b.Helper()
	got := map[string][]float64{}
	for range b.N {
		for name, c := range clients {
			got[name] = append(got[name], figure(c(callsPerRound)))
		}
	}
	b.ReportMetric(0, "ns/op")
	ours := medianOf(got["beamctl"])
	b.ReportMetric(ours, "beamctl-"+unit)
	for name, v := range got {
		if name != "beamctl" {
			b.ReportMetric(medianOf(v), name+"-"+unit)
			b.ReportMetric(ours/medianOf(v), "ratio-to-"+name)
		}
	}
}

func medianOf(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func p50(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1000
}

// BenchmarkCall is the median latency of sequential calls, in µs: ours against erpc:call and rpc:call of a hidden Erlang node, and
// ei_rpc of a C node.
func BenchmarkCall(b *testing.B) {
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	rounds(b, "p50-µs", map[string]client{
		"beamctl": ours(b, n, e.Name),
		"erpc":    erlang(b, c, e.Name, "erpc"),
		"rpc":     erlang(b, c, e.Name, "rpc"),
		"ei_rpc":  cNode(b, c, e.Name),
	}, p50)
}

func ours(b *testing.B, n *node.Node, target string) client {
	return func(k int) []time.Duration {
		times := make([]time.Duration, 0, k)
		for i := -warmUp; i < k; i++ {
			start := time.Now()
			_, err := n.Call(b.Context(), target, "erlang", "abs", int64(-1))
			if took := time.Since(start); i >= 0 {
				times = append(times, took)
			}
			require.NoError(b, err)
		}
		return times
	}
}

func erlang(b *testing.B, c *nodetest.Cluster, target, module string) client {
	return func(k int) []time.Duration {
		return durations(b, k, c.Eval(`T = '`+target+`', pong = net_adm:ping(T),
			F = fun F(0, L) -> L; F(K, L) -> S = erlang:monotonic_time(nanosecond), 1 = `+module+`:call(T, erlang, abs, [-1]),
				F(K-1, [erlang:monotonic_time(nanosecond)-S|L]) end,
			F(`+strconv.Itoa(warmUp)+`, []),
			io:format("~w", [F(`+strconv.Itoa(k)+`, [])])`))
	}
}

// cNode compiles testdata/ei_bench.c against the system's erl_interface.
func cNode(b *testing.B, c *nodetest.Cluster, target string) client {
	b.Helper()
	ei, err := filepath.Glob("/usr/lib/erlang/lib/erl_interface-*")
	require.NoError(b, err)
	require.NotEmpty(b, ei, "erlang-dev is needed")
	bin := filepath.Join(b.TempDir(), "ei_bench")
	out, err := exec.CommandContext(b.Context(), "gcc", "-O2", "-o", bin, "testdata/ei_bench.c",
		"-I"+ei[0]+"/include", "-L"+ei[0]+"/lib", "-lei", "-lpthread").CombinedOutput()
	require.NoError(b, err, "%s", out)
	return func(k int) []time.Duration {
		cmd := exec.CommandContext(b.Context(), bin, target, strconv.Itoa(k))
		cmd.Env = append(os.Environ(), c.EPMD.Env())
		cmd.Stdin = strings.NewReader(c.Cookie.Secret())
		out, err := cmd.Output()
		require.NoError(b, err)
		return durations(b, k, string(out))
	}
}

// durations reads whatever separates k numbers of nanoseconds.
func durations(b *testing.B, k int, list string) []time.Duration {
	b.Helper()
	var times []time.Duration
	for f := range strings.FieldsFuncSeq(list, func(r rune) bool { return r < '0' || r > '9' }) {
		ns, err := strconv.Atoi(f)
		require.NoError(b, err)
		times = append(times, time.Duration(ns))
	}
	require.Len(b, times, k)
	return times
}

// BenchmarkCall64 is the time per call, in µs, of 64 callers on one connection: ours against erpc:call and rpc:call of a hidden Erlang node.
func BenchmarkCall64(b *testing.B) {
	const callers, each = 64, 500
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	theirs := func(module string) client {
		return func(int) []time.Duration {
			return durations(b, 1, c.Eval(`T = '`+e.Name+`', pong = net_adm:ping(T),
				L = fun L(0) -> ok; L(K) -> 1 = `+module+`:call(T, erlang, abs, [-1]), L(K-1) end,
				R = fun(K) -> P = [spawn_monitor(fun() -> L(K) end) || _ <- lists:seq(1, `+strconv.Itoa(callers)+`)],
					[receive {'DOWN', M, _, _, normal} -> ok end || {_, M} <- P] end,
				R(50), S = erlang:monotonic_time(nanosecond), R(`+strconv.Itoa(each)+`),
				io:format("~w", [erlang:monotonic_time(nanosecond)-S])`))
		}
	}
	rounds(b, "µs/call", map[string]client{
		"beamctl": func(int) []time.Duration {
			run := func(each int) {
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range each {
							if _, err := n.Call(b.Context(), e.Name, "erlang", "abs", int64(-1)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			}
			run(50)
			start := time.Now()
			run(each)
			return []time.Duration{time.Since(start)}
		},
		"erpc": theirs("erpc"),
		"rpc":  theirs("rpc"),
	}, func(d []time.Duration) float64 { return float64(d[0].Nanoseconds()) / 1000 / callers / each })
}
