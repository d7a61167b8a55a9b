package node_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// BenchmarkCallBesideBulk is the latency of small calls, one every 2 ms, in µs, while 100 MB go over the same connection again and again, in either
// direction, and while nothing does: ours, and erpc's of a hidden Erlang node. Some of that time the term is not on the wire but being made, or put
// together.
func BenchmarkCallBesideBulk(b *testing.B) {
	const size, calls, pace = 100_000_000, 500, 2 * time.Millisecond
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	out := etf.Raw(append(binary.BigEndian.AppendUint32([]byte{109}, size), make([]byte, size)...)) // BINARY_EXT
	_, err := n.Call(b.Context(), e.Name, "persistent_term", "put", etf.Atom("bulk"), out)
	require.NoError(b, err)
	loads := map[string]func(ctx context.Context) error{
		"idle": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"sending": func(ctx context.Context) error {
			_, err := n.Call(ctx, e.Name, "erlang", "byte_size", out)
			return err
		},
		"receiving": func(ctx context.Context) error {
			_, err := n.Call(ctx, e.Name, "persistent_term", "get", etf.Atom("bulk"))
			return err
		},
	}
	erpc := map[string]string{
		"idle":      `receive after infinity -> ok end`,
		"sending":   `erpc:call(T, erlang, byte_size, [B])`,
		"receiving": `erpc:call(T, persistent_term, get, [bulk])`,
	}
	figures := map[string][]float64{}
	report := func(key string, times []time.Duration) {
		slices.Sort(times)
		for _, percent := range []int{50, 90, 99} {
			key := fmt.Sprintf("%s-p%d-µs", key, percent)
			figures[key] = append(figures[key], float64(times[calls*percent/100].Nanoseconds())/1000)
		}
	}
	for range b.N {
		for name, load := range erpc {
			report("erpc-"+name, durations(b, calls, c.Eval(fmt.Sprintf(`T = '%s', pong = net_adm:ping(T), B = binary:copy(<<0>>, %d), Self = self(),
				Load = spawn(fun L() -> %s, L() end),
				Call = fun() -> S = erlang:monotonic_time(nanosecond), 1 = erpc:call(T, erlang, abs, [-1]),
					Self ! {took, erlang:monotonic_time(nanosecond) - S} end,
				[begin spawn(Call), timer:sleep(%d) end || _ <- lists:seq(1, %d)],
				Times = [receive {took, D} -> D end || _ <- lists:seq(1, %[5]d)],
				exit(Load, kill), io:format("~w", [Times])`, e.Name, size, load, pace.Milliseconds(), calls))))
		}
		for name, load := range loads {
			ctx, stop := context.WithCancel(b.Context())
			var all sync.WaitGroup
			moved, begun := 0, time.Now()
			all.Go(func() {
				for load(ctx) == nil {
					moved++
				}
			})
			times := make([]time.Duration, calls)
			for i := range times {
				time.Sleep(time.Until(begun.Add(time.Duration(i) * pace)))
				all.Go(func() {
					start := time.Now()
					_, err := n.Call(b.Context(), e.Name, "erlang", "abs", int64(-1))
					times[i] = time.Since(start)
					if err != nil {
						b.Error(err)
					}
				})
			}
			took := time.Since(begun)
			stop()
			all.Wait()
			report(name, times)
			if name != "idle" {
				figures[name+"-MB/s"] = append(figures[name+"-MB/s"], float64(moved)*size/1e6/took.Seconds())
			}
			n.Disconnect(e.Name) // with what is left of the last transfer
			require.NoError(b, n.Connect(b.Context(), e.Name))
		}
	}
	b.ReportMetric(0, "ns/op")
	for key, v := range figures {
		b.ReportMetric(medianOf(v), key)
	}
}
