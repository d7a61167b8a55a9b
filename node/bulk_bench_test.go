package node_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/nodetest"
)

// BenchmarkBulk moves a binary of 64 MiB to and from a node by a call, ours against erpc:call of a hidden Erlang node, in ms.
func BenchmarkBulk(b *testing.B) {
	const size = 64 << 20
	c := nodetest.New(b)
	e := c.Erl("target")
	n := c.Node(e)
	ms := func(d []time.Duration) float64 { return float64(d[0].Microseconds()) / 1000 }
	erl := func(call string) client {
		return func(int) []time.Duration {
			return durations(b, 1, c.Eval(`T = '`+e.Name+`', pong = net_adm:ping(T), B = binary:copy(<<0>>, `+strconv.Itoa(size)+`),
				F = fun() -> S = erlang:monotonic_time(nanosecond), `+call+`, erlang:monotonic_time(nanosecond) - S end,
				F(), io:format("~w", [lists:min([F(), F(), F()])]), byte_size(B)`))
		}
	}
	best := func(f func()) []time.Duration {
		f()
		d := took(f)
		for range 2 {
			d = min(d, took(f))
		}
		return []time.Duration{d}
	}
	big := make([]byte, size)
	b.Run("send", func(b *testing.B) {
		rounds(b, "ms", map[string]client{
			"beamctl": func(int) []time.Duration {
				return best(func() {
					got, err := n.Call(b.Context(), e.Name, "erlang", "byte_size", big)
					require.NoError(b, err)
					require.Equal(b, int64(size), got)
				})
			},
			"erpc": erl(`erpc:call(T, erlang, byte_size, [B])`),
		}, ms)
	})
	b.Run("receive", func(b *testing.B) {
		rounds(b, "ms", map[string]client{
			"beamctl": func(int) []time.Duration {
				return best(func() {
					got, err := n.Call(b.Context(), e.Name, "binary", "copy", []byte{0}, size)
					require.NoError(b, err)
					require.Len(b, got, size)
				})
			},
			"erpc": erl(`erpc:call(T, binary, copy, [<<0>>, byte_size(B)])`),
		}, ms)
	})
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
