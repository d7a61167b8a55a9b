package node_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/nodetest"
)

// BenchmarkCall compares a sequential call from Go with the same call from an Erlang node (hidden, as we are) to the same
// target, in one run. Only the ratio carries over to other machines.
func BenchmarkCall(b *testing.B) {
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	b.Run("beamctl", func(b *testing.B) {
		ctx := b.Context()
		times := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			_, err := n.Call(ctx, e.Name, "erlang", "abs", int64(-1))
			times = append(times, time.Since(start))
			require.NoError(b, err)
		}
		report(b, times)
	})
	for _, call := range []string{"erpc", "rpc"} {
		b.Run("erl-"+call, func(b *testing.B) {
			if b.N == 1 {
				return // the framework's first guess
			}
			out := c.Eval(`T = '` + e.Name + `', pong = net_adm:ping(T),
				F = fun F(0, L) -> L; F(K, L) -> S = erlang:monotonic_time(nanosecond), 1 = ` + call + `:call(T, erlang, abs, [-1]),
					F(K-1, [erlang:monotonic_time(nanosecond)-S|L]) end,
				F(1000, []),
				io:format("~w", [F(` + strconv.Itoa(b.N) + `, [])])`)
			reportErl(b, out)
		})
	}
}

// report replaces the mean by the median, which noise moves less.
func report(b *testing.B, times []time.Duration) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
	b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
}

// reportErl takes a list of nanoseconds as Erlang prints it.
func reportErl(b *testing.B, list string) {
	b.Helper()
	var times []time.Duration
	for f := range strings.FieldsFuncSeq(list, func(r rune) bool { return r < '0' || r > '9' }) {
		ns, err := strconv.Atoi(f)
		require.NoError(b, err)
		times = append(times, time.Duration(ns))
	}
	require.Len(b, times, b.N)
	report(b, times)
	b.ReportMetric(0, "ns/op") // the framework's clock would count booting a VM
}

// BenchmarkCallParallel is many callers on one connection.
func BenchmarkCallParallel(b *testing.B) {
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Call(b.Context(), e.Name, "erlang", "abs", int64(-1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
