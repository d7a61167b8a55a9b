package etf_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/beamctl/beamctl/dist/etf"
)

var (
	runes = rapid.OneOf(rapid.RuneFrom([]rune("abzAZ09_@ '\"\\#{}é÷ß\n\x00\x7f\u0085\u00a0日α😀")), rapid.RuneFrom([]rune("abc")))
	atoms = rapid.OneOf(
		rapid.SampledFrom([]etf.Atom{"ok", "true", "nil", "fun", "Elixir.Foo.Bar", "Elixir", "a@b", "foo?", "+", "<<>>", "", "__struct__"}),
		rapid.Custom(func(t *rapid.T) etf.Atom { return etf.Atom(rapid.StringOfN(runes, 0, 12, -1).Draw(t, "atom")) }),
	)
	floats = rapid.OneOf(
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64),
		rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) }),
		rapid.Map(rapid.Int16(), func(n int16) float64 { return float64(n) / 100 }),
		rapid.Map(rapid.IntRange(-30, 30), func(n int) float64 { return math.Pow10(n) }),
	)
	bigs = rapid.Custom(func(t *rapid.T) etf.Term {
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 8, 300).Draw(t, "magnitude"))
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		if n.IsInt64() {
			return n.Int64()
		}
		return n
	})
	integers = rapid.Custom(func(t *rapid.T) etf.Term {
		switch rapid.IntRange(0, 3).Draw(t, "size") {
		case 0:
			return rapid.Int64Range(-2, 300).Draw(t, "small")
		case 1:
			return int64(1)<<rapid.IntRange(0, 62).Draw(t, "bit") + rapid.Int64Range(-1, 1).Draw(t, "off")
		case 2:
			return rapid.Int64().Draw(t, "int")
		}
		return bigs.Draw(t, "big")
	})
	binaries = rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.Map(rapid.StringOfN(runes, 0, 20, -1), func(s string) []byte { return append([]byte{}, s...) }),
	)
	bitstrings = rapid.Custom(func(t *rapid.T) etf.Bitstring {
		b := rapid.SliceOfN(rapid.Byte(), 1, 5).Draw(t, "bytes")
		bits := rapid.Uint8Range(1, 7).Draw(t, "bits")
		b[len(b)-1] &= 0xff << (8 - bits)
		return etf.Bitstring{Bytes: b, Bits: bits}
	})
	charlists = rapid.Map(rapid.StringOfN(runes, 0, 20, -1), func(s string) etf.List {
		var l etf.List
		for _, r := range s {
			l = append(l, int64(r))
		}
		return l
	})
	exports = rapid.Custom(func(t *rapid.T) etf.Export {
		// In funs the runtime prints names by other rules than atoms, some of which it cannot read back; nor does Elixir
		// read back the names of functions in which it escapes something.
		name := atoms.Filter(func(a etf.Atom) bool {
			return a != "fun" && !strings.ContainsFunc(string(a), func(r rune) bool {
				return r > '~' || r < ' ' || strings.ContainsRune(`@\"'#`, r)
			})
		})
		return etf.Export{Module: name.Draw(t, "m"), Function: name.Draw(t, "f"), Arity: rapid.Uint8().Draw(t, "a")}
	})
	identifiers = rapid.Custom(func(t *rapid.T) etf.Term {
		word := rapid.Uint32()
		node := rapid.SampledFrom([]etf.Atom{"a@b", "n1@127.0.0.1"}).Draw(t, "node")
		creation := word.Draw(t, "creation")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return etf.Pid{Node: node, ID: word.Draw(t, "id"), Serial: word.Draw(t, "serial"), Creation: creation}
		case 1:
			return etf.Port{Node: node, ID: rapid.Uint64().Draw(t, "id"), Creation: creation}
		case 2:
			f := etf.Fun{Arity: 1, Index: word.Draw(t, "index"), Module: "m", OldUniq: 7, Pid: etf.Pid{Node: node}}
			f.Uniq[3] = 1 + rapid.Uint8Max(200).Draw(t, "uniq")
			f.Free = rapid.SliceOfN(integers, 1, 3).Draw(t, "free")
			return f
		}
		r := etf.Ref{Node: node, Creation: creation, Len: rapid.Uint8Range(1, 5).Draw(t, "len")}
		for i := range r.Len {
			r.ID[i] = word.Draw(t, "word")
		}
		return r
	})
)

// box turns a generator of a type into one of terms.
func box[T any](g *rapid.Generator[T]) *rapid.Generator[etf.Term] {
	return rapid.Map(g, func(v T) etf.Term { return v })
}

// terms generates terms as Decode yields them. The literal ones are those that both languages can write down.
func terms(depth int, literal bool) *rapid.Generator[etf.Term] {
	kinds := []*rapid.Generator[etf.Term]{
		integers, box(atoms), box(floats), box(binaries), box(bitstrings), box(charlists), box(exports),
	}
	if !literal {
		kinds = append(kinds, identifiers)
	}
	if depth == 0 {
		return rapid.OneOf(kinds...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[etf.Term] { return terms(depth-1, literal) })
	several := rapid.SliceOfN(inner, 0, 4)
	lists := rapid.Map(several, func(ts []etf.Term) etf.Term {
		if len(ts) == 0 {
			return etf.List(nil)
		}
		return etf.List(ts)
	})
	// Keys that differ only behind an equal part have a printer compare all of it.
	alike := rapid.Custom(func(t *rapid.T) etf.Term {
		same := inner.Draw(t, "same")
		return etf.Map{
			{Key: etf.Tuple{same, int64(1)}, Value: etf.Map{}},
			{Key: etf.Tuple{same, int64(2)}, Value: etf.Map{}},
			{Key: etf.ImproperList{Elems: []etf.Term{same, same}, Tail: etf.Atom("x")}, Value: same},
			{Key: etf.List{same, same}, Value: same},
			{Key: etf.List{same, same, same}, Value: same},
		}
	})
	keywords := rapid.Map(rapid.SliceOfN(rapid.Map(inner, func(t etf.Term) etf.Term {
		return etf.Tuple{etf.Atom("key"), t}
	}), 1, 3), func(ts []etf.Term) etf.Term { return etf.List(ts) })
	tuples := rapid.Map(several, func(ts []etf.Term) etf.Term { return etf.Tuple(ts) })
	improper := rapid.Custom(func(t *rapid.T) etf.Term {
		elems := rapid.SliceOfN(inner, 1, 3).Draw(t, "elems")
		tail := inner.Draw(t, "tail")
		switch tail.(type) {
		case etf.List, etf.ImproperList:
			tail = etf.Atom("tail")
		}
		return etf.ImproperList{Elems: elems, Tail: tail}
	})
	maps := rapid.Custom(func(t *rapid.T) etf.Term {
		m := etf.Map{}
		seen := map[string]bool{} // before OTP 27 0.0 and -0.0 are the same key
		for range rapid.IntRange(0, 12).Draw(t, "size") {
			key := rapid.OneOf(box(atoms), inner).Draw(t, "key")
			if text := strings.ReplaceAll(etf.Format(key), "-0.0", "0.0"); !seen[text] {
				seen[text] = true
				m = append(m, etf.MapEntry{Key: key, Value: inner.Draw(t, "value")})
			}
		}
		return m
	})
	return rapid.OneOf(append(kinds, lists, alike, keywords, tuples, improper, maps)...)
}

func TestRandomRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := terms(4, false).Draw(t, "term")
		b := marshal(t, term)
		got := unmarshal(t, b)
		require.Equal(t, term, got)
		require.True(t, etf.Equal(term, got))
		require.Equal(t, b, marshal(t, got))
		n, err := etf.Skip(b[1:])
		require.NoError(t, err)
		require.Equal(t, len(b)-1, n)
		for cut := range b {
			require.Error(t, etf.Unmarshal(b[:cut], new(etf.Term)))
		}
		require.ErrorIs(t, etf.Unmarshal(append(b, 106), new(etf.Term)), etf.ErrTrailing)
	})
}

func TestRandomAgainstRuntime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := terms(3, true).Draw(t, "term")
		theirs := []byte(text(t, "encode", marshal(t, term)))
		require.True(t, etf.Equal(term, unmarshal(t, theirs)), "%x", theirs)
		require.Equal(t, text(t, "format", theirs), etf.Format(term))
	})
}

func TestRandomParseErlang(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := terms(3, true).Draw(t, "term")
		printed := etf.Format(term)
		got, err := etf.Parse(printed)
		require.NoError(t, err, printed)
		require.True(t, etf.Equal(term, got), "%s became %s", printed, etf.Format(got))
		theirs, ok := termOf(t, "parse", printed)
		require.True(t, ok, printed)
		require.True(t, etf.Equal(term, theirs), printed)
	})
}

func TestRandomParseElixir(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := terms(3, true).Draw(t, "term")
		printed := etf.FormatElixir(term)
		got, err := etf.ParseElixir(printed)
		require.NoError(t, err, printed)
		require.True(t, etf.Equal(term, got), "%s became %s", printed, etf.FormatElixir(got))
		if strings.Contains(printed, "%Foo") || strings.Contains(printed, "%Elixir") {
			return // structs need their module
		}
		theirs, ok := termOf(t, "elixir", printed)
		require.True(t, ok, printed)
		require.True(t, etf.Equal(term, theirs), printed)
	})
}

func TestRandomInspect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		term := terms(3, true).Draw(t, "term")
		got := etf.FormatElixir(term)
		if strings.Contains(got, `~c"`) || strings.Contains(got, "__struct__") || strings.Contains(got, "%Elixir") ||
			strings.Contains(got, "%Foo") || strings.Contains(got, `\u0085`) {
			// Elixir 1.14 writes charlists as 'abc', has no such module, and escapes control characters in atoms so that it
			// cannot read them.
			return
		}
		require.Equal(t, text(t, "inspect", marshal(t, term)), got)
	})
}

// TestMutations has both sides read the same damaged terms: they have to agree on which are terms, and what they are.
func TestMutations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var damaged etf.List
		for range 20 {
			b := marshal(t, terms(2, false).Draw(t, "term"))
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				at := rapid.IntRange(1, len(b)-1).Draw(t, "at")
				b[at] = rapid.OneOf(rapid.Byte(), rapid.ByteRange(97, 121), rapid.ByteRange(0, 9)).Draw(t, "byte")
				if 73 <= b[at] && b[at] <= 76 {
					b[at] = 0 // tags of the runtime's own, which refer to its tables
				}
			}
			// Not asked: compressed terms, which are not for Decode; references of no words, of which the runtime reads one;
			// funs, where it takes any tag for a pid and may crash.
			if b[1] != 80 && !bytes.Contains(b, []byte{90, 0, 0}) && bytes.IndexByte(b, 112) < 0 {
				damaged = append(damaged, b)
			}
		}
		for i, answer := range ask(t, "decodes", damaged).(etf.List) {
			b := damaged[i].([]byte)
			ours, _, err := etf.Decode(b[1:])
			theirs, ok := answer.(etf.Tuple)
			if err != nil {
				// The runtime takes arities above 255 for external funs, which cannot exist.
				hugeArity := errors.Is(err, etf.ErrMalformed) && bytes.IndexByte(b, 113) > 0
				require.False(t, ok && !hugeArity, "%x: %v", b, err)
				continue
			}
			if !ok && bytes.ContainsAny(b, "\x65\x72") {
				continue // the old references are limited to 18 bits there
			}
			require.True(t, ok, "%x: %s", b, etf.Format(ours))
			require.True(t, etf.Equal(ours, unmarshal(t, theirs[1].([]byte))), "%x", b)
		}
	})
}
