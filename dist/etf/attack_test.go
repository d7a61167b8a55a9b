package etf_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"math"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

func repeat(n int, b ...byte) []byte { return bytes.Repeat(b, n) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// allocated returns how many bytes a call allocates. What others allocate meanwhile they do not each time.
func allocated(call func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		call()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// maxAllocation is what decoding b may cost: MaxExpansion for each byte, and something for small numbers of them.
func maxAllocation(b []byte) uint64 { return etf.MaxExpansion*uint64(len(b)) + 4096 }

func TestHostileLengths(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	pad := make([]byte, 1000)
	for name, b := range map[string][]byte{
		"list":        join([]byte{108}, huge, pad),
		"tuple":       join([]byte{105}, huge, pad),
		"map":         join([]byte{116}, huge, pad),
		"map doubled": join([]byte{116, 0x80, 0, 0, 0}, pad),
		"binary":      join([]byte{109}, huge, pad),
		"bitstring":   join([]byte{77}, huge, []byte{3}, pad),
		"large big":   join([]byte{111}, huge, pad),
		"string":      {107, 0xff, 0xff, 1, 2},
		"atom":        {118, 0xff, 0xff, 'a'},
		"fun": join([]byte{112}, huge, []byte{1}, make([]byte, 20), huge, []byte{119, 1, 'm', 97, 0, 97, 0, 88, 119, 1, 'n'},
			make([]byte, 12), pad),
		"old fun": join([]byte{117}, huge, []byte{88, 119, 1, 'n'}, make([]byte, 12), []byte{119, 1, 'm', 97, 0, 97, 0}, pad),
		"chained": join([]byte{108, 0, 0, 0, 1, 97, 1, 108}, huge, pad),
		// Each list claims all that remains. Were the claims not added up, this would allocate its square.
		"nested claims": bytes.Join(func() (parts [][]byte) {
			for i := range 5000 {
				parts = append(parts, binary.BigEndian.AppendUint32([]byte{108}, uint32(5*(5000-i)-10)))
			}
			return parts
		}(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			cost := allocated(func() {
				_, _, err := etf.Decode(b)
				assert.ErrorIs(t, err, etf.ErrTruncated)
			})
			assert.Less(t, cost, maxAllocation(b))
			_, err := etf.Skip(b)
			require.Error(t, err)
		})
	}
}

// TestExpansion decodes what grows most, byte for byte.
func TestExpansion(t *testing.T) {
	const n = 20_000
	count := binary.BigEndian.AppendUint32(nil, n)
	for name, b := range map[string][]byte{
		"nils":           join([]byte{108}, count, repeat(n, 106), []byte{106}),
		"string":         join([]byte{107, 0xff, 0xff}, repeat(0xffff, 'x')),
		"empty tuples":   join([]byte{108}, count, repeat(n, 104, 0), []byte{106}),
		"single tuples":  join([]byte{108}, count, repeat(n, 104, 1, 106), []byte{106}),
		"single lists":   join([]byte{108}, count, repeat(n, 108, 0, 0, 0, 1, 106, 106), []byte{106}),
		"single maps":    join([]byte{108}, count, repeat(n, 116, 0, 0, 0, 1, 106, 106), []byte{106}),
		"empty maps":     join([]byte{108}, count, repeat(n, 116, 0, 0, 0, 0), []byte{106}),
		"short strings":  join([]byte{108}, count, repeat(n, 107, 0, 1, 1), []byte{106}),
		"chained":        join(repeat(n, 108, 0, 0, 0, 1, 106), []byte{106}),
		"improper":       join([]byte{108}, count, repeat(n, 108, 0, 0, 0, 1, 106, 97, 1), []byte{106}),
		"small binaries": join([]byte{108}, count, repeat(n, 109, 0, 0, 0, 1, 1), []byte{106}),
		"bitstrings":     join([]byte{108}, count, repeat(n, 77, 0, 0, 0, 1, 1, 128), []byte{106}),
		"bigs":           join([]byte{108}, count, repeat(n, 110, 9, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1), []byte{106}),
		"references":     join([]byte{108}, count, repeat(n, 101, 119, 0, 0, 0, 0, 0, 0), []byte{106}),
		"exports":        join([]byte{108}, count, repeat(n, 113, 119, 0, 119, 0, 97, 0), []byte{106}),
		"ports":          join([]byte{108}, count, repeat(n, 102, 119, 0, 0, 0, 0, 0, 0), []byte{106}),
		"pids":           join([]byte{108}, count, repeat(n, 103, 119, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), []byte{106}),
		"old funs": join([]byte{108}, count, repeat(n, 117, 0, 0, 0, 0, 103, 119, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 119, 0, 97, 0, 97, 0),
			[]byte{106}),
	} {
		t.Run(name, func(t *testing.T) {
			cost := allocated(func() {
				_, rest, err := etf.Decode(b)
				require.NoError(t, err)
				require.Empty(t, rest)
			})
			assert.Less(t, cost, maxAllocation(b))
			t.Logf("%.1f bytes for each byte", float64(cost)/float64(len(b)))
		})
	}
}

func TestDepth(t *testing.T) {
	for name, level := range map[string][]byte{
		"tuples": {104, 1}, "lists": {108, 0, 0, 0, 1, 108, 0, 0, 0, 1}, "values": {116, 0, 0, 0, 1, 106}, "keys": {116, 0, 0, 0, 1},
		"tails": {108, 0, 0, 0, 1, 106, 104, 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := etf.Decode(repeat(1_000_000, level...))
			require.ErrorIs(t, err, etf.ErrDepth)
		})
	}
	deepest := append(repeat(etf.MaxDepth, 104, 1), 106)
	term, _, err := etf.Decode(deepest)
	require.NoError(t, err)
	encoded, err := etf.Append(nil, term)
	require.NoError(t, err)
	require.Equal(t, deepest, encoded)
	require.True(t, etf.Equal(term, term))
	require.Len(t, etf.Format(term), 2*etf.MaxDepth+2)

	_, err = etf.Append(nil, etf.Tuple{term})
	require.ErrorIs(t, err, etf.ErrDepth)
	_, err = etf.Parse(strings.Repeat("[", 1_000_000))
	require.ErrorContains(t, err, "levels of nesting")
	_, err = etf.ParseElixir(strings.Repeat("{", 1_000_000))
	require.ErrorContains(t, err, "levels of nesting")
	_, err = etf.Parse(strings.Repeat("<<", 1_000_000))
	require.ErrorContains(t, err, "levels of nesting")
	_, err = etf.Parse("[" + strings.Repeat("-", 1_000_000))
	require.Error(t, err)

	loop := make(etf.List, 1)
	loop[0] = loop
	_, err = etf.Append(nil, loop)
	require.ErrorIs(t, err, etf.ErrDepth)
	require.Contains(t, etf.Format(loop), "...")
}

// TestChain reads a list sent as a million single cells, which is no nesting.
func TestChain(t *testing.T) {
	term, _, err := etf.Decode(append(repeat(1_000_000, 108, 0, 0, 0, 1, 97, 7), 106))
	require.NoError(t, err)
	require.Len(t, term, 1_000_000)
}

// TestKeys has keys cost as much as they can: nested, many, long and alike.
func TestKeys(t *testing.T) {
	two := func(inner []byte) []byte { return join([]byte{116, 0, 0, 0, 2}, inner, []byte{106, 97, 1, 106}) }
	nested := []byte{106}
	for range 16 {
		nested = two(nested)
	}
	_, _, err := etf.Decode(nested)
	require.NoError(t, err)
	_, _, err = etf.Decode(two(two(nested)))
	require.ErrorIs(t, err, etf.ErrDepth)

	b := binary.BigEndian.AppendUint32([]byte{116}, 100_000)
	for i := range uint32(100_000) {
		b = append(binary.BigEndian.AppendUint32(append(b, 98), i<<12), 106)
	}
	start := time.Now()
	_, _, err = etf.Decode(b)
	require.NoError(t, err)
	require.Less(t, time.Since(start), 20*time.Second, "each compared with each other takes longer")

	copy(b[len(b)-5:], b[6:10]) // the last key is now the first
	_, _, err = etf.Decode(b)
	require.ErrorIs(t, err, etf.ErrDuplicateKey)
}

func TestDuplicateKeys(t *testing.T) {
	for name, b := range map[string][]byte{
		"atoms":          {116, 0, 0, 0, 2, 119, 1, 'a', 106, 119, 1, 'a', 106},
		"two encodings":  {116, 0, 0, 0, 2, 119, 1, 'a', 106, 100, 0, 1, 'a', 106},
		"integers":       {116, 0, 0, 0, 2, 97, 1, 106, 98, 0, 0, 0, 1, 106},
		"padded integer": {116, 0, 0, 0, 2, 97, 1, 106, 110, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 106},
		"lists":          {116, 0, 0, 0, 2, 107, 0, 1, 1, 106, 108, 0, 0, 0, 1, 97, 1, 106, 106},
		"maps": {
			116, 0, 0, 0, 2, 116, 0, 0, 0, 2, 97, 1, 106, 97, 2, 106, 106, 116, 0, 0, 0, 2, 97, 2, 106, 97, 1, 106,
			106,
		},
	} {
		_, _, err := etf.Decode(b)
		require.ErrorIs(t, err, etf.ErrDuplicateKey, name)
		require.Equal(t, etf.Atom("error"), ask(t, "decodes", etf.List{append([]byte{131}, b...)}).(etf.List)[0], name)
	}
	_, _, err := etf.Decode([]byte{116, 0, 0, 0, 2, 97, 1, 106, 70, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 106})
	require.NoError(t, err, "1 and 1.0")
}

func TestAtoms(t *testing.T) {
	wide := strings.Repeat("日", etf.MaxAtomRunes)
	b, err := etf.Append(nil, etf.Atom(wide))
	require.NoError(t, err)
	require.EqualValues(t, 118, b[0])
	for name, bad := range map[string][]byte{
		"too many":         join([]byte{118, 1, 0}, repeat(256, 'a')),
		"too many latin1":  join([]byte{100, 1, 0}, repeat(256, 'a')),
		"too wide":         join([]byte{118}, binary.BigEndian.AppendUint16(nil, uint16(len(wide)+3)), []byte(wide+"日")),
		"not UTF-8":        {119, 2, 0xc3, 0x28},
		"overlong":         {119, 2, 0xc0, 0x80},
		"a surrogate":      {119, 3, 0xed, 0xa0, 0x80},
		"long, not UTF-8":  join([]byte{119, 100}, repeat(100, 0xff)),
		"as a node":        {103, 119, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"as a module name": {113, 119, 1, 0xff, 119, 1, 'f', 97, 0},
	} {
		_, _, err := etf.Decode(bad)
		require.ErrorIs(t, err, etf.ErrAtom, name)
	}
	for _, bad := range []etf.Atom{etf.Atom(wide + "x"), "\xff", etf.Atom(strings.Repeat("x", 256))} {
		_, err := etf.Append(nil, bad)
		require.ErrorIs(t, err, etf.ErrAtom)
		_, err = etf.Append(nil, etf.Pid{Node: bad})
		require.ErrorIs(t, err, etf.ErrAtom)
	}
	_, _, err = etf.Decode([]byte{82, 0})
	require.ErrorIs(t, err, etf.ErrAtomCache)
	term, _, err := etf.DecodeWithAtoms([]byte{104, 2, 82, 1, 82, 0}, []etf.Atom{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, etf.Tuple{etf.Atom("b"), etf.Atom("a")}, term)
}

func TestNumbers(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, _, err := etf.Decode(binary.BigEndian.AppendUint64([]byte{70}, math.Float64bits(f)))
		require.ErrorIs(t, err, etf.ErrFloat)
		_, err = etf.Append(nil, f)
		require.ErrorIs(t, err, etf.ErrFloat)
		_, err = etf.Append(nil, float32(f))
		require.ErrorIs(t, err, etf.ErrFloat)
	}
	for _, text := range []string{"nan", "inf", "0x1p4", "1_0.0", "", "1.0e999", "1.5x"} {
		_, _, err := etf.Decode(append(append([]byte{99}, text...), make([]byte, 31-len(text))...))
		require.ErrorIs(t, err, etf.ErrFloat, text)
	}
	term, _, err := etf.Decode(append([]byte{99}, "1.50000000000000000000e+00\x00\x00\x00\x00\x00"...))
	require.NoError(t, err)
	require.Equal(t, "1.5", etf.Format(term))

	tooBig := join([]byte{111}, binary.BigEndian.AppendUint32(nil, etf.MaxBigBytes+1), repeat(etf.MaxBigBytes+2, 1))
	_, _, err = etf.Decode(tooBig)
	require.ErrorIs(t, err, etf.ErrInteger)
	_, err = etf.Append(nil, new(big.Int).Lsh(big.NewInt(1), 8*etf.MaxBigBytes))
	require.ErrorIs(t, err, etf.ErrInteger)
}

func compressed(size uint32, body []byte) []byte {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(body)
	_ = z.Close()
	return append(binary.BigEndian.AppendUint32([]byte{131, 80}, size), packed.Bytes()...)
}

func TestCompressed(t *testing.T) {
	body := join([]byte{109, 0, 1, 0, 0}, make([]byte, 1<<16))
	good := compressed(uint32(len(body)), body)
	require.Equal(t, make([]byte, 1<<16), unmarshal(t, good))

	bomb := compressed(math.MaxUint32, make([]byte, 1<<20))
	cost := allocated(func() { assert.ErrorIs(t, etf.Unmarshal(bomb, new(etf.Term)), etf.ErrCompressed) })
	require.Less(t, cost, uint64(1<<16), "a lie about the size is found before inflating")
	for name, bad := range map[string][]byte{
		"larger than said":  compressed(uint32(len(body)-1), body),
		"smaller than said": compressed(uint32(len(body)+1), body),
		"above the cap":     compressed(etf.MaxInflated+1, body),
		"ratio":             compressed(2_000_000, make([]byte, 1000)),
		"cut":               good[:len(good)-1],
		"followed":          append(slices.Clip(good), 0),
		"bad checksum":      append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1),
		"no zlib":           {131, 80, 0, 0, 0, 1, 1, 2, 3},
		"no size":           {131, 80, 0},
		"twice":             compressed(uint32(len(good)-1), good[1:]),
	} {
		require.Error(t, etf.Unmarshal(bad, new(etf.Term)), name)
	}
	_, _, err := etf.Decode(good[1:])
	require.ErrorIs(t, err, etf.ErrTag, "compressed stands only behind the version")
}

// TestRaw passes encodings through that Decode and Append would have changed.
func TestRaw(t *testing.T) {
	odd := []byte{131, 104, 2, 100, 0, 1, 'a', 110, 2, 0, 1, 0}
	var raw etf.Raw
	require.NoError(t, etf.Unmarshal(odd, &raw))
	require.Equal(t, odd, marshal(t, raw))
	odd[4] = 0xff
	require.NotEqual(t, odd[1:], []byte(raw), "a copy")
	require.ErrorIs(t, etf.Unmarshal([]byte{131, 106, 106}, &raw), etf.ErrTrailing)
	require.ErrorIs(t, etf.Unmarshal([]byte{131, 104, 2, 106}, &raw), etf.ErrTruncated)
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"empty":                 {nil, etf.ErrTruncated},
		"unknown tag":           {[]byte{1}, etf.ErrTag},
		"local":                 {[]byte{121, 1, 2, 3, 4, 5, 6, 7, 8, 97, 1}, etf.ErrLocal},
		"bits above 8":          {[]byte{77, 0, 0, 0, 1, 9, 1}, etf.ErrMalformed},
		"no bits":               {[]byte{77, 0, 0, 0, 1, 0, 1}, etf.ErrMalformed},
		"bits of nothing":       {[]byte{77, 0, 0, 0, 0, 1}, etf.ErrMalformed},
		"reference of 6 words":  {join([]byte{90, 0, 6, 119, 1, 'n'}, make([]byte, 28)), etf.ErrMalformed},
		"reference of no words": {join([]byte{90, 0, 0, 119, 1, 'n'}, make([]byte, 28)), etf.ErrMalformed},
		"node is no atom":       {[]byte{88, 97, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, etf.ErrMalformed},
		"wide creation":         {[]byte{103, 119, 1, 'n', 0, 0, 0, 0, 0, 0, 0, 0, 4}, etf.ErrMalformed},
		"arity":                 {[]byte{113, 119, 1, 'm', 119, 1, 'f', 98, 0, 0, 1, 0}, etf.ErrMalformed},
	} {
		_, _, err := etf.Decode(c.b)
		require.ErrorIs(t, err, c.err, name)
	}
	require.ErrorIs(t, etf.Unmarshal(nil, new(etf.Term)), etf.ErrVersion)
	require.ErrorIs(t, etf.Unmarshal([]byte{97, 1}, new(etf.Term)), etf.ErrVersion)

	for _, bad := range []any{
		nil, make(chan int), etf.Raw(nil),
		etf.ImproperList{},
		etf.Bitstring{Bits: 3},
		etf.Bitstring{Bytes: []byte{1}, Bits: 9},
		etf.Ref{},
		etf.Ref{Len: 6},
		(*big.Int)(nil),
		[]any{1, nil},
		func() {},
		map[string]any{"a": nil},
	} {
		_, err := etf.Append(nil, bad)
		require.ErrorIs(t, err, etf.ErrUnsupported, "%T", bad)
	}
}

// TestNoAliasing overwrites the input after decoding.
func TestNoAliasing(t *testing.T) {
	corpus := ask(t, "corpus", etf.Atom("all")).(etf.List)
	for _, entry := range corpus {
		for _, e := range entry.(etf.Tuple)[1].(etf.List) {
			b := bytes.Clone(e.([]byte))
			term := unmarshal(t, b)
			before := marshal(t, term)
			for i := range b {
				b[i] = 0xa5
			}
			require.Equal(t, before, marshal(t, term))
		}
	}
}
