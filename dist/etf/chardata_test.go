package etf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

func TestAppendChardata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		term   etf.Term
		latin1 bool
		want   string
	}{
		{"binary", []byte("größe"), false, "größe"},
		{"latin1 binary", []byte{'g', 0xf6}, true, "gö"},
		{"code points", etf.List{int64('a'), int64(0x1f600)}, false, "a😀"},
		{"deep", etf.List{etf.List{int64('a'), []byte("b")}, etf.List{}, etf.ImproperList{Elems: []etf.Term{int64('c')}, Tail: []byte("d")}}, false, "abcd"},
	} {
		got, err := etf.AppendChardata([]byte("> "), c.term, c.latin1)
		require.NoError(t, err, c.name)
		assert.Equal(t, "> "+c.want, string(got), c.name)
	}
	deep := etf.Term([]byte("x"))
	for range 2000 {
		deep = etf.List{deep}
	}
	for name, bad := range map[string]etf.Term{
		"atom": etf.Atom("a"), "no code point": etf.List{int64(0x110000)}, "negative": int64(-1), "too deep": deep,
		"improper": etf.ImproperList{Elems: []etf.Term{int64('c')}, Tail: etf.Atom("d")},
	} {
		_, err := etf.AppendChardata(nil, bad, false)
		require.ErrorIs(t, err, etf.ErrChardata, name)
	}
}
