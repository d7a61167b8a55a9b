package etf

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FormatElixir prints t on one line as Elixir's inspect(t, limit: :infinity) does, with charlists as ~c"abc" (Elixir 1.15
// and later; older ones read that too). Structs print as %Mod{field: value}, all of them: inspect's own forms for dates,
// sets and the like need the code of the module. Identifiers and the order of keys are as at [Format].
func FormatElixir(t Term) string { return FormatOptions{}.FormatElixir(t) }

// FormatElixir is the function [FormatElixir] with options.
func (o FormatOptions) FormatElixir(t Term) string {
	p := elixirPrinter{printer{opt: o}}
	p.term(t)
	return p.text()
}

type elixirPrinter struct{ printer }

func (p *elixirPrinter) term(t Term) {
	switch t := t.(type) {
	case Atom:
		p.b = appendElixirAtom(p.b, t)
	case int64:
		p.b = strconv.AppendInt(p.b, t, 10)
	case *big.Int:
		p.b = t.Append(p.b, 10)
	case float64:
		p.b = appendElixirFloat(p.b, t)
	case []byte:
		p.binary(t)
	case Bitstring:
		if c, changed := canonical(t); changed {
			p.term(c)
			return
		}
		p.bytes(t.Bytes, t.Bits, ", ", "::size(", ")")
	case List:
		p.list(t)
	case ImproperList:
		if c, changed := canonical(t); changed {
			p.term(c)
			return
		}
		p.improper(t)
	case Tuple:
		p.sequence("{", t, "}")
	case Map:
		p.mapping(t)
	case Pid:
		p.identifier("#PID<", t.Node, uint64(t.ID), uint64(t.Serial))
	case Port:
		p.identifier("#Port<", t.Node, t.ID)
	case Ref:
		p.identifier("#Reference<", t.Node, t.words()...)
	case Fun:
		p.put("#Function<" + strconv.FormatInt(t.OldIndex, 10) + "." + strconv.FormatInt(t.OldUniq, 10) + "/")
		p.b = strconv.AppendUint(p.b, uint64(t.Arity), 10)
		p.put(" in ")
		p.b = appendElixirAtom(p.b, t.Module)
		p.put(">")
	case Export:
		p.put("&")
		p.b = append(appendElixirAtom(p.b, t.Module), '.')
		p.b = append(appendElixirFunction(p.b, t.Function), '/')
		p.b = strconv.AppendUint(p.b, uint64(t.Arity), 10)
	default:
		p.other(t, p.term)
	}
}

func (p *elixirPrinter) elements(ts []Term) {
	for i, t := range ts {
		if i > 0 {
			p.put(", ")
		}
		if p.full() {
			return
		}
		p.term(t)
	}
}

func (p *elixirPrinter) sequence(open string, ts []Term, end string) {
	if len(ts) == 0 {
		p.put(open + end)
		return
	}
	if !p.enter() {
		return
	}
	p.put(open)
	p.elements(ts)
	p.put(end)
	p.depth--
}

func (p *elixirPrinter) improper(l ImproperList) {
	if !p.enter() {
		return
	}
	p.put("[")
	p.elements(l.Elems)
	p.put(" | ")
	p.term(l.Tail)
	p.put("]")
	p.depth--
}

// list prints a charlist, a keyword list or neither.
func (p *elixirPrinter) list(l List) {
	if isElixirCharlist(l) {
		p.put(`~c"`)
		for _, t := range l {
			p.b = appendElixirChar(p.b, rune(t.(int64)))
		}
		p.put(`"`)
		return
	}
	pairs, ok := keywords(l)
	if !ok {
		p.sequence("[", l, "]")
		return
	}
	if !p.enter() {
		return
	}
	p.put("[")
	p.keywords(pairs)
	p.put("]")
	p.depth--
}

func (p *elixirPrinter) keywords(pairs Map) {
	for i, e := range pairs {
		if i > 0 {
			p.put(", ")
		}
		if p.full() {
			return
		}
		p.b = appendElixirKey(p.b, e.Key.(Atom))
		p.put(" ")
		p.term(e.Value)
	}
}

// keywords returns the pairs of a keyword list: {key, value} with keys that are no module names.
func keywords(l List) (Map, bool) {
	pairs := make(Map, 0, len(l))
	for _, t := range l {
		pair, ok := t.(Tuple)
		if !ok || len(pair) != 2 || !isKeyword(pair[0]) {
			return nil, false
		}
		pairs = append(pairs, MapEntry{pair[0], pair[1]})
	}
	return pairs, len(pairs) > 0
}

func isKeyword(t Term) bool {
	a, ok := t.(Atom)
	return ok && !strings.HasPrefix(string(a), elixirPrefix)
}

func (p *elixirPrinter) mapping(m Map) {
	if !p.enter() {
		return
	}
	p.put("%")
	m = sortedByKey(m)
	if name, ok := structName(m); ok {
		p.b = appendElixirAtom(p.b, name)
		m = slices.DeleteFunc(m, func(e MapEntry) bool { return e.Key == structKey })
	}
	p.put("{")
	if slices.ContainsFunc(m, func(e MapEntry) bool { return !isKeyword(e.Key) }) {
		p.pairs(m)
	} else {
		p.keywords(m)
	}
	p.put("}")
	p.depth--
}

func (p *elixirPrinter) pairs(m Map) {
	for i, e := range m {
		if i > 0 {
			p.put(", ")
		}
		if p.full() {
			return
		}
		p.term(e.Key)
		p.put(" => ")
		p.term(e.Value)
	}
}

// structKey is the key under which a struct has its module.
var structKey Term = Atom("__struct__")

// structName returns the module of a struct. Its other keys must be atoms.
func structName(m Map) (name Atom, ok bool) {
	for _, e := range m {
		key, isAtom := e.Key.(Atom)
		if !isAtom {
			return "", false
		}
		if key == structKey {
			name, ok = e.Value.(Atom)
		}
	}
	return name, ok && isAlias(name)
}

func (p *elixirPrinter) binary(b []byte) {
	if !utf8.Valid(b) || strings.ContainsFunc(string(b), func(r rune) bool { return !isElixirPrintable(r) }) {
		p.bytes(b, bitsPerByte, ", ", "::size(", ")")
		return
	}
	p.put(`"`)
	for _, r := range string(b) {
		p.b = appendElixirChar(p.b, r)
	}
	p.put(`"`)
}

// isElixirPrintable is String.printable?/1 for one character.
func isElixirPrintable(r rune) bool { return isPrintable(r) || r == '\a' || r == 0x7f }

// isElixirCharlist is List.ascii_printable?/1.
func isElixirCharlist(l List) bool {
	for _, t := range l {
		if n, ok := t.(int64); !ok || n < '\a' || n > '~' || !isElixirPrintable(rune(n)) {
			return false
		}
	}
	return len(l) > 0
}

// appendElixirFloat writes whole numbers below 10^16 without an exponent and everything else as Erlang does.
func appendElixirFloat(dst []byte, f float64) []byte {
	if a := math.Abs(f); a >= 1 && a < 1e16 && math.Trunc(f) == f {
		return append(strconv.AppendFloat(dst, f, 'f', -1, 64), ".0"...)
	}
	return appendErlangFloat(dst, f)
}
