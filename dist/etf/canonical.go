package etf

import "math/big"

// canonical turns a Go value that Append takes, but Decode would not yield like this, into the term it becomes. changed
// is false when there is nothing to turn: t is as Decode yields it, but for what is inside, or becomes no term.
func canonical(t Term) (c Term, changed bool) {
	switch v := t.(type) {
	case nil, Atom, int64, float64, []byte, List, Tuple, Map, Pid, Port, Ref, Fun, Export:
		return t, false
	case *big.Int:
		if v == nil || !v.IsInt64() {
			return t, false
		}
		return v.Int64(), true
	case Bitstring:
		if n := len(v.Bytes); 0 < v.Bits && v.Bits < bitsPerByte && n > 0 && v.Bytes[n-1]<<v.Bits == 0 {
			return t, false
		}
	case ImproperList:
		switch v.Tail.(type) {
		case List, ImproperList:
			return cons(append(List(nil), v.Elems...), v.Tail), true
		}
		return t, false
	}
	b, err := Append(nil, t)
	if err != nil {
		return t, false
	}
	c, rest, err := Decode(b)
	if err != nil || len(rest) > 0 {
		return t, false
	}
	return c, true
}
