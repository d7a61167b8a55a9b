package etf_test

import (
	"bytes"
	"math"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// seeds are one term of each tag.
var seeds = [][]byte{
	{70, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0},
	{77, 0, 0, 0, 1, 3, 0xe0},
	{82, 0},
	{88, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3},
	{89, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0, 2},
	{90, 0, 2, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3},
	{97, 1},
	{98, 0xff, 0xff, 0xff, 0xff},
	append([]byte{99}, "1.50000000000000000000e+00\x00\x00\x00\x00\x00"...),
	{100, 0, 1, 0xe9},
	{101, 119, 1, 'n', 0, 0, 0, 1, 2},
	{102, 119, 1, 'n', 0, 0, 0, 1, 2},
	{103, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0, 2, 3},
	{104, 1, 106},
	{105, 0, 0, 0, 1, 106},
	{106},
	{107, 0, 2, 1, 2},
	{108, 0, 0, 0, 1, 97, 1, 97, 2},
	{109, 0, 0, 0, 2, 'a', 'b'},
	{110, 8, 1, 1, 2, 3, 4, 5, 6, 7, 8},
	{111, 0, 0, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	append([]byte{112, 0, 0, 0, 55, 1}, append(make([]byte, 20), 0, 0, 0, 1, 119, 1, 'm', 97, 0, 97, 1, 88, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0,
		2, 0, 0, 0, 3, 106)...),
	{113, 119, 1, 'm', 119, 1, 'f', 97, 2},
	{114, 0, 1, 119, 1, 'n', 1, 0, 0, 0, 1},
	{115, 1, 'a'},
	{116, 0, 0, 0, 2, 97, 1, 106, 97, 2, 106},
	{117, 0, 0, 0, 1, 103, 119, 1, 'n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 119, 1, 'm', 97, 0, 97, 0, 106},
	{118, 0, 1, 'a'},
	{119, 1, 'a'},
	{120, 119, 1, 'n', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3},
	{121, 97, 1},
	{108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 1, 97, 2, 106},
}

// heapAllocated returns what the process has allocated so far. Unlike runtime.ReadMemStats it does not stop the world, and
// may lag behind by some small objects.
func heapAllocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// FuzzDecode reads anything: it must not panic nor cost more memory than it may, and what is a term must survive being
// written, read, skipped and printed.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	cache := []etf.Atom{"cached"}
	f.Fuzz(func(t *testing.T, b []byte) {
		var (
			term etf.Term
			rest []byte
			err  error
		)
		// The fuzzer's own goroutines allocate, too, now and then a lot: what the decoder takes it takes every time.
		cost := uint64(math.MaxUint64)
		for try := 0; try < 10 && cost >= maxAllocation(b)+1<<16; try++ {
			before := heapAllocated()
			term, rest, err = etf.DecodeWithAtoms(b, cache)
			cost = min(cost, heapAllocated()-before)
		}
		require.Less(t, cost, maxAllocation(b)+1<<16)
		if err != nil {
			require.Nil(t, term)
			return
		}
		read := b[:len(b)-len(rest)]
		n, err := etf.Skip(read)
		require.NoError(t, err)
		require.Equal(t, len(read), n)

		encoded, err := etf.Append(nil, term)
		require.NoError(t, err)
		again, rest, err := etf.Decode(encoded)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.True(t, etf.Equal(term, again))
		twice, err := etf.Append(nil, again)
		require.NoError(t, err)
		require.True(t, bytes.Equal(encoded, twice))
		short := etf.FormatOptions{MaxBytes: 200}
		require.LessOrEqual(t, len(short.Format(term)), 203)
		require.LessOrEqual(t, len(short.FormatElixir(term)), 203)
	})
}

// FuzzUnmarshal adds what Unmarshal does: compressed terms, and Go values.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range seeds {
		f.Add(append([]byte{131}, s...))
		f.Add(compressed(uint32(len(s)), s))
	}
	type target struct {
		A int
		B string
		C []target
		D map[string]float64
		E *target
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var term etf.Term
		if etf.Unmarshal(b, &term) != nil {
			return
		}
		var v target
		_ = etf.Assign(term, &v)
		_ = etf.Assign(term, &v.C)
		_ = etf.Assign(term, &v.D)
		if encoded, err := etf.Marshal(v); err == nil {
			require.NoError(t, etf.Unmarshal(encoded, new(etf.Term)))
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range erlangTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		term, err := etf.Parse(source)
		if err != nil {
			return
		}
		printed := etf.Format(term)
		again, err := etf.Parse(printed)
		require.NoError(t, err, printed)
		require.True(t, etf.Equal(term, again), printed)
	})
}

func FuzzParseElixir(f *testing.F) {
	for _, s := range elixirTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		term, err := etf.ParseElixir(source)
		if err != nil {
			return
		}
		printed := etf.FormatElixir(term)
		again, err := etf.ParseElixir(printed)
		require.NoError(t, err, printed)
		require.True(t, etf.Equal(term, again), printed)
	})
}

func FuzzParseCall(f *testing.F) {
	for _, s := range []string{"m:f(1, [a])", "Mod.fun?(a: 1)", ":m.f", "'A':'b'().", `:"a b"."c d"(%{})`, "Kernel.+(1, 2)", "m:f(", "M.f(1,)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		call, err := etf.ParseCall(source)
		if err != nil {
			require.Empty(t, call)
			return
		}
		_, err = etf.Append(nil, etf.Tuple{call.Module, call.Function, etf.List(call.Args)})
		require.NoError(t, err)
	})
}
