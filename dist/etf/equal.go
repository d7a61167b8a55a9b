package etf

import (
	"bytes"
	"math"
	"math/big"
)

// Equal reports whether a and b are the same term, as Erlang's =:= does: 1 is not 1.0, the order of map entries does
// not count. Like OTP 27 and later it tells 0.0 from -0.0, which older ones take as equal. Go types that only
// [Append] knows are compared as the terms they become; values that become none equal nothing.
func Equal(a, b Term) bool {
	switch x := a.(type) {
	case Atom:
		if y, ok := b.(Atom); ok {
			return x == y
		}
	case int64:
		if y, ok := b.(int64); ok {
			return x == y
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Equal(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return math.Float64bits(x) == math.Float64bits(y)
		}
	case Tuple:
		if y, ok := b.(Tuple); ok {
			return equalAll(x, y)
		}
	case List:
		if y, ok := b.(List); ok {
			return equalAll(x, y)
		}
	case Map:
		if y, ok := b.(Map); ok {
			return equalMaps(x, y)
		}
	case Fun:
		if y, ok := b.(Fun); ok {
			return equalFuns(x, y)
		}
	case Pid, Port, Ref, Export:
		if a == b {
			return true
		}
	case ImproperList: // and what follows have more than one form: two that differ may still be the same term
		if y, ok := b.(ImproperList); ok && equalAll(x.Elems, y.Elems) && Equal(x.Tail, y.Tail) {
			return true
		}
	case Bitstring:
		if y, ok := b.(Bitstring); ok && x.Bits == y.Bits && bytes.Equal(x.Bytes, y.Bytes) {
			return true
		}
	}
	return equalOther(a, b)
}

func equalAll(a, b []Term) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalFuns(a, b Fun) bool {
	return a.Arity == b.Arity && a.Uniq == b.Uniq && a.Index == b.Index && a.Module == b.Module &&
		a.OldIndex == b.OldIndex && a.OldUniq == b.OldUniq && a.Pid == b.Pid && equalAll(a.Free, b.Free)
}

func equalMaps(a, b Map) bool {
	if len(a) != len(b) {
		return false
	}
	find := newKeyIndex(b)
	for _, e := range a {
		i := find.lookup(e.Key)
		if i < 0 || !Equal(e.Value, b[i].Value) {
			return false
		}
	}
	return true
}

// equalOther compares where at least one side is not of a type that Decode yields, or the types differ.
func equalOther(a, b Term) bool {
	if x, ok := a.(*big.Int); ok && x != nil {
		if y, ok := b.(*big.Int); ok && y != nil {
			return x.Cmp(y) == 0
		}
	}
	a, aChanged := canonical(a)
	b, bChanged := canonical(b)
	return (aChanged || bChanged) && Equal(a, b)
}
