package etf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	for _, term := range []Term{
		int64(0), int64(255), int64(256), int64(-1), int64(1 << 40), int64(-1 << 63), 1.5, Atom("ok"), []byte("abc"),
		List(nil), List{int64(1), int64(300)}, List{int64(1)}, Tuple{}, Tuple{Atom("a"), Tuple{int64(1)}},
		ImproperList{Elems: []Term{Atom("alias")}, Tail: Ref{Node: "a@b", Len: 3, ID: [5]uint32{1, 2, 3}, Creation: 9}},
		Map{{Atom("a"), int64(1)}, {int64(1), List(nil)}},
		Pid{Node: "a@b", ID: 1, Serial: 2, Creation: 3}, Port{Node: "a@b", ID: 1 << 40, Creation: 3},
		Port{Node: "a@b", ID: 5, Creation: 3}, Export{"m", "f", 2}, Bitstring{Bytes: []byte{0xe0}, Bits: 3},
		Fun{Arity: 1, Uniq: [16]byte{1}, Index: 3, Module: "m", OldIndex: 1, OldUniq: 77, Pid: Pid{Node: "a@b"}, Free: []Term{int64(1)}},
	} {
		b, err := Append(nil, term)
		require.NoError(t, err)
		n, err := Skip(b)
		require.NoError(t, err)
		require.Equal(t, len(b), n, "%v", term)
		got, rest, err := Decode(b)
		require.NoError(t, err, "%v", term)
		require.Empty(t, rest)
		require.Equal(t, term, got)
		require.True(t, Equal(term, got))
		for i := range b {
			_, _, err := Decode(b[:i])
			require.Error(t, err)
			_, err = Skip(b[:i])
			require.Error(t, err)
		}
	}
}
