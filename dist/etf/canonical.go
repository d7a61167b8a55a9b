package etf

import "math/big"

// canonical turns a Go value of a type that only Append knows into the term it becomes. changed is false when t is
// of a type that Decode yields, or becomes no term.
func canonical(t Term) (c Term, changed bool) {
	switch v := t.(type) {
	case nil, Atom, int64, float64, []byte, Bitstring, List, ImproperList, Tuple, Map, Pid, Port, Ref, Fun, Export:
		return t, false
	case *big.Int:
		if v == nil || !v.IsInt64() {
			return t, false
		}
		return v.Int64(), true
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
