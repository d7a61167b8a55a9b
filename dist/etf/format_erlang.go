package etf

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

var erlang = language{
	comma: ",", bar: "|", size: ":", pid: "<", ref: "#Ref<",
	atom: appendErlangAtom, float: appendErlangFloat, binary: erlangBinary, list: erlangList,
	mapping: func(p *printer, m Map) { p.nest("#{", func() { p.pairs(m) }, "}") },
	fun: func(p *printer, f Fun) {
		p.put("#Fun<")
		p.b = appendErlangAtom(p.b, f.Module)
		p.b = strconv.AppendInt(append(p.b, '.'), f.OldIndex, 10)
		p.b = strconv.AppendInt(append(p.b, '.'), f.OldUniq, 10)
		p.put(">")
	},
	export: func(p *printer, e Export) {
		p.put("fun ")
		p.b = append(appendErlangAtom(p.b, e.Module), ':')
		p.b = append(appendErlangAtom(p.b, e.Function), '/')
		p.b = strconv.AppendUint(p.b, uint64(e.Arity), 10)
	},
}

// erlangBinary prints UTF-8 or, failing that, latin1 text in quotes, anything else as bytes.
func erlangBinary(p *printer, b []byte) {
	runes, isUTF8, ok := printableText(b)
	switch {
	case len(b) == 0 || !ok:
		p.bytes(b, bitsPerByte)
	default:
		p.put("<<")
		p.quotedRunes(runes)
		if isUTF8 && len(runes) != len(b) {
			p.put("/utf8")
		}
		p.put(">>")
	}
}

// printableText returns the characters of b if all are printable.
func printableText(b []byte) (runes []rune, isUTF8, ok bool) {
	if utf8.Valid(b) {
		runes = []rune(string(b))
		return runes, true, !slices.ContainsFunc(runes, func(r rune) bool { return !isPrintable(r) })
	}
	runes = make([]rune, len(b))
	for i, c := range b {
		if !isPrintable(rune(c)) {
			return nil, false, false
		}
		runes[i] = rune(c)
	}
	return runes, false, true
}

// erlangList prints a list of characters in quotes.
func erlangList(p *printer, l List) {
	if !isPrintableList(l) {
		p.sequence("[", l, "]")
		return
	}
	p.put(`"`)
	for _, t := range l {
		if p.full() {
			return
		}
		p.b = appendErlangChar(p.b, rune(t.(int64)), '"')
	}
	p.put(`"`)
}

func (p *printer) quotedRunes(runes []rune) {
	p.put(`"`)
	for _, r := range runes {
		p.b = appendErlangChar(p.b, r, '"')
	}
	p.put(`"`)
}

func isPrintableList(l List) bool {
	if len(l) == 0 {
		return false
	}
	for _, t := range l {
		if n, ok := t.(int64); !ok || n < 0 || n > utf8.MaxRune || !isPrintable(rune(n)) {
			return false
		}
	}
	return true
}

// isPrintable is io_lib:printable_unicode_list for one character.
func isPrintable(r rune) bool {
	switch {
	case ' ' <= r && r <= '~', 0xA0 <= r && r < 0xD800, 0xE000 <= r && r < 0xFFFE, 0x10000 <= r && r <= utf8.MaxRune:
		return true
	}
	return '\b' <= r && r <= '\r' || r == '\x1b'
}

// appendErlangFloat writes the shortest text that reads back as f, in the form that io_lib_format:fwrite_g chooses:
// the shorter one, with an exponent from 2^53 on, where integers have gaps.
func appendErlangFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "#Go<float64>"...)
	}
	exponent := exponentForm(f)
	decimal := strconv.AppendFloat(nil, f, 'f', -1, 64)
	if !slices.Contains(decimal, '.') {
		decimal = append(decimal, ".0"...)
	}
	if math.Abs(f) < 1<<53 && len(decimal) <= len(exponent) {
		return append(dst, decimal...)
	}
	return append(dst, exponent...)
}

// exponentForm writes d.de[-]d; Go has no fraction where none is needed, and at least two digits in the exponent.
func exponentForm(f float64) []byte {
	text := strconv.AppendFloat(nil, f, 'e', -1, 64)
	e := slices.Index(text, 'e')
	out := slices.Clone(text[:e])
	if !slices.Contains(out, '.') {
		out = append(out, ".0"...)
	}
	exp, _ := strconv.Atoi(string(text[e+1:])) // written by AppendFloat
	return strconv.AppendInt(append(out, 'e'), int64(exp), 10)
}
