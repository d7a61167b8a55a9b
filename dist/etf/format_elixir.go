package etf

import (
	"math"
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
func (o FormatOptions) FormatElixir(t Term) string { return o.format(t, &elixir) }

var elixir = language{
	comma: ", ", bar: " | ", size: "::size(", sizeEnd: ")", pid: "#PID<", ref: "#Reference<",
	atom: appendElixirAtom, float: appendElixirFloat, binary: elixirBinary, list: elixirList, mapping: elixirMap,
	fun: func(p *printer, f Fun) {
		p.put("#Function<" + strconv.FormatInt(f.OldIndex, 10) + "." + strconv.FormatInt(f.OldUniq, 10) + "/")
		p.b = strconv.AppendUint(p.b, uint64(f.Arity), 10)
		p.put(" in ")
		p.b = appendElixirAtom(p.b, f.Module)
		p.put(">")
	},
	export: func(p *printer, e Export) {
		p.put("&")
		p.b = append(appendElixirAtom(p.b, e.Module), '.')
		p.b = append(appendElixirFunction(p.b, e.Function), '/')
		p.b = strconv.AppendUint(p.b, uint64(e.Arity), 10)
	},
}

// elixirList prints a charlist, a keyword list or neither.
func elixirList(p *printer, l List) {
	if isElixirCharlist(l) {
		p.put(`~c"`)
		for _, t := range l {
			p.b = appendElixirChar(p.b, rune(t.(int64)))
		}
		p.put(`"`)
		return
	}
	if pairs, ok := keywords(l); ok {
		p.nest("[", func() { printKeywords(p, pairs) }, "]")
		return
	}
	p.sequence("[", l, "]")
}

func printKeywords(p *printer, pairs Map) {
	p.each(len(pairs), func(i int) {
		p.b = appendElixirKey(p.b, pairs[i].Key.(Atom))
		p.put(" ")
		p.term(pairs[i].Value)
	})
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

func elixirMap(p *printer, m Map) {
	open := "%"
	if name, ok := structName(m); ok {
		open = string(appendElixirAtom([]byte(open), name))
		m = slices.DeleteFunc(m, func(e MapEntry) bool { return e.Key == structKey })
	}
	p.nest(open+"{", func() {
		if slices.ContainsFunc(m, func(e MapEntry) bool { return !isKeyword(e.Key) }) {
			p.pairs(m)
		} else {
			printKeywords(p, m)
		}
	}, "}")
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

func elixirBinary(p *printer, b []byte) {
	if !utf8.Valid(b) || strings.ContainsFunc(string(b), func(r rune) bool { return !isElixirPrintable(r) }) {
		p.bytes(b, bitsPerByte)
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
