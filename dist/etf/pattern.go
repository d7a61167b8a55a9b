package etf

import "fmt"

// Any stands in a pattern for any term. It is none itself, and cannot be sent.
type Any struct{}

// AppendETF refuses: a pattern is no term.
func (Any) AppendETF(dst []byte) ([]byte, error) {
	return dst, fmt.Errorf("%w: a pattern's variable", ErrType)
}

// ParsePattern is [Parse] for a pattern: what is called _ or begins with it, as in Erlang a variable that nobody reads,
// is an [Any]. A variable that is named twice may be two different terms. The association of a map may be written with
// := too.
func ParsePattern(text string) (Term, error) {
	p := newErlangParser(text)
	p.pattern = true
	t, err := p.term()
	if err != nil {
		return nil, err
	}
	p.accept(".")
	return t, p.end()
}

// ParseElixirPattern is [ParseElixir] for a pattern; see [ParsePattern].
func ParseElixirPattern(text string) (Term, error) {
	p := newElixirParser(text)
	p.pattern = true
	t, err := p.term()
	if err != nil {
		return nil, err
	}
	return t, p.end()
}

// ParseCallPattern is [ParseCall] for a call whose arguments are patterns, to be completed by [Fill]; elixir tells in
// which language it is.
func ParseCallPattern(text string) (c Call, elixir bool, err error) {
	if elixir = isElixirCall(text); elixir {
		p := newElixirParser(text)
		p.pattern = true
		c, err = parseElixirCall(p)
	} else {
		p := newErlangParser(text)
		p.pattern = true
		c, err = parseErlangCall(p)
	}
	return c, elixir, err
}

// Match tells whether a term is like a pattern: as in Erlang and Elixir a map has to have the pattern's keys, and may
// have more.
func Match(pattern, t Term) bool {
	switch p := pattern.(type) {
	case Any:
		return true
	case Tuple:
		v, ok := t.(Tuple)
		return ok && matchAll(p, v)
	case List:
		v, ok := t.(List)
		return ok && matchAll(p, v)
	case ImproperList:
		return matchPrefix(p, t)
	case Map:
		v, ok := t.(Map)
		for _, e := range p {
			if value, have := v.Get(e.Key); !have || !Match(e.Value, value) {
				return false
			}
		}
		return ok
	}
	return Equal(pattern, t)
}

func matchAll(patterns, ts []Term) bool {
	if len(patterns) != len(ts) {
		return false
	}
	for i := range ts {
		if !Match(patterns[i], ts[i]) {
			return false
		}
	}
	return true
}

// matchPrefix matches [Elems | Tail] with any list that is at least as long.
func matchPrefix(p ImproperList, t Term) bool {
	switch t.(type) {
	case List, ImproperList:
	default:
		return false
	}
	elems, tail := cells(t)
	n := len(p.Elems)
	if len(elems) < n || !matchAll(p.Elems, elems[:n]) {
		return false
	}
	rest := tail
	if list, proper := tail.(List); proper && len(list) == 0 {
		rest = List(elems[n:])
	} else if len(elems) > n {
		rest = ImproperList{Elems: elems[n:], Tail: tail}
	}
	return Match(p.Tail, rest)
}

// Fill returns a pattern with t in the place of each [Any].
func Fill(pattern, t Term) Term {
	all := func(ts []Term) []Term {
		out := make([]Term, len(ts))
		for i := range ts {
			out[i] = Fill(ts[i], t)
		}
		return out
	}
	switch p := pattern.(type) {
	case Any:
		return t
	case Tuple:
		return Tuple(all(p))
	case List:
		return List(all(p))
	case ImproperList:
		return cons(all(p.Elems), Fill(p.Tail, t))
	case Map:
		out := make(Map, len(p))
		for i, e := range p {
			out[i] = MapEntry{Fill(e.Key, t), Fill(e.Value, t)}
		}
		return out
	}
	return pattern
}
