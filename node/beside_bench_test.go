package node_test

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// BenchmarkCallBesideBulk is the latency of sequential calls, in µs, while 100 MB after 100 MB go over the same connection, in either direction,
// and while nothing does.
func BenchmarkCallBesideBulk(b *testing.B) {
	const size, calls = 100_000_000, 2000
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	out := etf.Raw(append(binary.BigEndian.AppendUint32([]byte{109}, size), make([]byte, size)...)) // BINARY_EXT: no time goes into encoding
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
	p50s, p99s := map[string][]float64{}, map[string][]float64{}
	rates := map[string][]float64{}
	for range b.N {
		for name, load := range loads {
			ctx, stop := context.WithCancel(b.Context())
			over := make(chan struct{})
			var moved atomic.Int64
			begun := time.Now()
			go func() {
				defer close(over)
				var both sync.WaitGroup
				for range 2 { // one is on the wire while the other is being made
					both.Go(func() {
						for load(ctx) == nil {
							moved.Add(1)
						}
					})
				}
				both.Wait()
			}()
			times := make([]time.Duration, 0, calls)
			for end := time.Now().Add(2 * time.Second); len(times) < calls && time.Now().Before(end); {
				start := time.Now()
				_, err := n.Call(b.Context(), e.Name, "erlang", "abs", int64(-1))
				require.NoError(b, err)
				times = append(times, time.Since(start))
			}
			stop()
			<-over
			rates[name] = append(rates[name], float64(moved.Load())*size/1e6/time.Since(begun).Seconds())
			p50s[name] = append(p50s[name], p50(times)) // sorts
			p99s[name] = append(p99s[name], float64(times[len(times)*99/100].Nanoseconds())/1000)
			n.Disconnect(e.Name) // with what is left of the last transfer
			require.NoError(b, n.Connect(b.Context(), e.Name))
		}
	}
	b.ReportMetric(0, "ns/op")
	for name := range loads {
		b.ReportMetric(medianOf(p50s[name]), name+"-p50-µs")
		b.ReportMetric(medianOf(p99s[name]), name+"-p99-µs")
		if name != "idle" {
			b.ReportMetric(medianOf(rates[name]), name+"-MB/s")
		}
	}
}
