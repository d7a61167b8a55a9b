package etf

import (
	"bytes"
	"cmp"
	"math/big"
	"slices"
	"strings"
)

// Printing a map needs its keys in Erlang's order: number < atom < ref < fun < port < pid < tuple < map < nil < list <
// bitstring. As in the keys of maps an integer comes before every float.

// sortedByKey returns the entries of m in the order of their keys.
func sortedByKey(m Map) Map {
	type sortable struct {
		key   Term
		entry MapEntry
	}
	entries := make([]sortable, len(m))
	for i, e := range m {
		entries[i] = sortable{sortInside(e.Key), e}
	}
	slices.SortStableFunc(entries, func(a, b sortable) int { return compare(a.key, b.key) })
	sorted := make(Map, len(m))
	for i, e := range entries {
		sorted[i] = e.entry
	}
	return sorted
}

// sortInside returns t with all maps in it sorted by key, so that comparing two such terms is one walk over both.
func sortInside(t Term) Term {
	all := func(ts []Term) []Term {
		out := make([]Term, len(ts))
		for i, t := range ts {
			out[i] = sortInside(t)
		}
		return out
	}
	if c, changed := canonical(t); changed {
		t = c
	}
	switch t := t.(type) {
	case Tuple:
		return Tuple(all(t))
	case List:
		return List(all(t))
	case ImproperList:
		return ImproperList{Elems: all(t.Elems), Tail: sortInside(t.Tail)}
	case Map:
		out := make(Map, len(t))
		for i, e := range t {
			out[i] = MapEntry{sortInside(e.Key), sortInside(e.Value)}
		}
		slices.SortStableFunc(out, func(a, b MapEntry) int { return compare(a.Key, b.Key) })
		return out
	}
	return t
}

// rankNil is the rank of the empty list, which is a type of its own there.
const rankNil = 9

// rank is the place of t's type in Erlang's order of types.
func rank(t Term) int {
	switch t := t.(type) {
	case int64, *big.Int:
		return 0
	case float64:
		return 1
	case Atom:
		return 2
	case Ref:
		return 3
	case Fun, Export:
		return 4
	case Port:
		return 5
	case Pid:
		return 6
	case Tuple:
		return 7
	case Map:
		return 8
	case List:
		if len(t) == 0 {
			return rankNil
		}
		return 10
	case ImproperList:
		return 10
	case []byte, Bitstring:
		return 11
	}
	return 12 // no term
}

// compare orders terms whose maps are sorted.
func compare(a, b Term) int {
	order := rank(a)
	if c := cmp.Compare(order, rank(b)); c != 0 || order == rankNil {
		return c
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
		return bigOf(a).Cmp(bigOf(b))
	case *big.Int:
		return bigOf(a).Cmp(bigOf(b))
	case float64:
		return cmp.Compare(x, b.(float64))
	case Atom:
		return strings.Compare(string(x), string(b.(Atom)))
	case Ref:
		return compareRefs(x, b.(Ref))
	case Port:
		y := b.(Port)
		return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Node, y.Node), cmp.Compare(x.Creation, y.Creation))
	case Pid:
		y := b.(Pid)
		return cmp.Or(cmp.Compare(x.Serial, y.Serial), cmp.Compare(x.ID, y.ID), cmp.Compare(x.Node, y.Node),
			cmp.Compare(x.Creation, y.Creation))
	case Fun, Export:
		return compareFuns(a, b)
	case Tuple:
		y := b.(Tuple)
		return cmp.Or(cmp.Compare(len(x), len(y)), slices.CompareFunc(x, y, compare))
	case Map:
		return compareMaps(x, b.(Map))
	case List, ImproperList:
		return compareLists(a, b)
	case []byte, Bitstring:
		return compareBits(a, b)
	}
	return 0
}

func bigOf(t Term) *big.Int {
	if n, ok := t.(int64); ok {
		return big.NewInt(n)
	}
	return t.(*big.Int)
}

func compareRefs(a, b Ref) int {
	if c := cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Creation, b.Creation), cmp.Compare(a.Len, b.Len)); c != 0 {
		return c
	}
	for i := int(a.Len) - 1; i >= 0; i-- { // the last word is the most significant
		if c := cmp.Compare(a.ID[i], b.ID[i]); c != 0 {
			return c
		}
	}
	return 0
}

// compareFuns puts local funs before external ones.
func compareFuns(a, b Term) int {
	x, xLocal := a.(Fun)
	y, yLocal := b.(Fun)
	switch {
	case xLocal && yLocal:
		return cmp.Or(cmp.Compare(x.Module, y.Module), cmp.Compare(x.OldIndex, y.OldIndex),
			cmp.Compare(x.OldUniq, y.OldUniq), slices.CompareFunc(x.Free, y.Free, compare))
	case xLocal:
		return -1
	case yLocal:
		return 1
	}
	v, w := a.(Export), b.(Export)
	return cmp.Or(cmp.Compare(v.Module, w.Module), cmp.Compare(v.Function, w.Function), cmp.Compare(v.Arity, w.Arity))
}

// compareMaps orders by size, then keys, then values.
func compareMaps(a, b Map) int {
	return cmp.Or(cmp.Compare(len(a), len(b)),
		slices.CompareFunc(a, b, func(x, y MapEntry) int { return compare(x.Key, y.Key) }),
		slices.CompareFunc(a, b, func(x, y MapEntry) int { return compare(x.Value, y.Value) }))
}

// compareLists walks both lists cell by cell; the end of a list is a term as well, [] or an improper tail.
func compareLists(a, b Term) int {
	x, xTail := cells(a)
	y, yTail := cells(b)
	for i := range min(len(x), len(y)) {
		if c := compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(x) < len(y):
		return compareRest(xTail)
	case len(x) > len(y):
		return -compareRest(yTail)
	}
	return compare(xTail, yTail)
}

// compareRest compares the tail at which one list ends with the cell that the other still has.
func compareRest(tail Term) int { return cmp.Compare(rank(tail), rank(List{nil})) }

func cells(t Term) (elems []Term, tail Term) {
	if l, ok := t.(ImproperList); ok {
		return l.Elems, l.Tail
	}
	return t.(List), emptyList
}

func compareBits(a, b Term) int {
	x, xBits := bitsOf(a)
	y, yBits := bitsOf(b)
	return cmp.Or(bytes.Compare(x, y), cmp.Compare(xBits, yBits))
}

func bitsOf(t Term) ([]byte, uint8) {
	if s, ok := t.(Bitstring); ok {
		return s.Bytes, s.Bits
	}
	return t.([]byte), bitsPerByte
}
