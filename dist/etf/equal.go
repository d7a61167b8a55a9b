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
		y, ok := b.(Atom)
		return ok && x == y || !ok && equalOther(a, b)
	case int64:
		y, ok := b.(int64)
		return ok && x == y || !ok && equalOther(a, b)
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y) || !ok && equalOther(a, b)
	case float64:
		y, ok := b.(float64)
		return ok && math.Float64bits(x) == math.Float64bits(y) || !ok && equalOther(a, b)
	case Tuple:
		y, ok := b.(Tuple)
		return ok && equalAll(x, y) || !ok && equalOther(a, b)
	case List:
		y, ok := b.(List)
		return ok && equalAll(x, y) || !ok && equalOther(a, b)
	case ImproperList:
		y, ok := b.(ImproperList)
		return ok && equalAll(x.Elems, y.Elems) && Equal(x.Tail, y.Tail) || equalOther(a, b)
	case Map:
		y, ok := b.(Map)
		return ok && equalMaps(x, y) || !ok && equalOther(a, b)
	case Pid, Port, Ref, Export:
		return a == b || equalOther(a, b)
	case Bitstring:
		y, ok := b.(Bitstring)
		return ok && x.Bits == y.Bits && bytes.Equal(x.Bytes, y.Bytes) || equalOther(a, b)
	case Fun:
		y, ok := b.(Fun)
		return ok && equalFuns(x, y) || !ok && equalOther(a, b)
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
