package etf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// benchTerms are what both sides are timed with.
var benchTerms = []struct {
	name string
	term func() etf.Term
}{
	{"call", func() etf.Term {
		return etf.Tuple{
			etf.Atom("$gen_call"),
			etf.Tuple{etf.Pid{Node: "a@127.0.0.1", ID: 90, Creation: 7}, etf.Ref{Node: "a@127.0.0.1", Len: 3, Creation: 7}},
			etf.Tuple{etf.Atom("call"), etf.Atom("lists"), etf.Atom("seq"), etf.List{int64(1), int64(1000)}, etf.Atom("user")},
		}
	}},
	{"mixed1MB", func() etf.Term {
		var l etf.List
		for i := range int64(9000) {
			l = append(l, etf.Tuple{
				etf.Atom("call"), i, fmt.Appendf(nil, "value-%d", i),
				etf.List{i, 1000 * i, 100_000 * i},
				etf.Map{{Key: etf.Atom("id"), Value: i}, {Key: etf.Atom("name"), Value: []byte("n")}, {Key: etf.Atom("ok"), Value: etf.Atom("true")}},
				1.5 * float64(i),
				etf.List{int64('t'), int64('e'), int64('x'), int64('t')},
			})
		}
		return l
	}},
	{"binary1MB", func() etf.Term { return []byte(strings.Repeat("x", 1<<20)) }},
	{"ints", func() etf.Term {
		l := make(etf.List, 200_000)
		for i := range l {
			l[i] = int64(i) * 1000
		}
		return l
	}},
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchTerms {
		encoded := marshal(b, c.term())
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := etf.Decode(encoded[1:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range benchTerms {
		term := c.term()
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				var err error
				if dst, err = etf.Append(dst[:0], term); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// BenchmarkRuntime times the same in the BEAM: the median of calls in processes of their own, as nanoseconds a call.
func BenchmarkRuntime(b *testing.B) {
	for _, op := range []etf.Atom{"binary_to_term", "term_to_binary"} {
		for _, c := range benchTerms {
			encoded := marshal(b, c.term())
			b.Run(string(op)+"/"+c.name, func(b *testing.B) {
				var total, rounds int64
				for b.Loop() {
					n, ok := ask(b, "time", etf.Tuple{op, encoded}).(int64)
					require.True(b, ok)
					total, rounds = total+n, rounds+1
				}
				b.ReportMetric(float64(total)/float64(rounds), "ns/op")
				b.SetBytes(int64(len(encoded)))
			})
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	term := benchTerms[1].term()
	b.ReportAllocs()
	for b.Loop() {
		_ = etf.Format(term)
	}
}

func BenchmarkParse(b *testing.B) {
	text := etf.Format(benchTerms[1].term())
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := etf.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	x, y := benchTerms[1].term(), benchTerms[1].term()
	for b.Loop() {
		if !etf.Equal(x, y) {
			b.Fatal("not equal")
		}
	}
}
