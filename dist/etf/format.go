package etf

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// FormatOptions adjust how terms are printed. The zero value prints all of a term.
type FormatOptions struct {
	// Node is the node from whose point of view identifiers are printed: its own pids begin with 0, as in its shell.
	Node Atom
	// MaxBytes bounds the text; what is longer is cut and ends in "...". 0 means no bound: text takes up to some 12
	// bytes for each byte of the encoded term.
	MaxBytes int
}

// Format prints t on one line as io_lib:format("~0tp", [T]) does in a runtime started with +pc unicode (lists of any
// printable characters are strings). What differs:
//
//   - The BEAM prints a foreign pid as <N.ID.Serial>, N counting its own connections. Here the node's name takes the
//     place of N, in ports and references too; [FormatOptions] can name one node that is 0.
//   - Maps of more than 32 keys come out of the BEAM in the order of a hash, and since OTP 26 the smaller ones in the order
//     in which atoms were created. Here all are sorted by key, as "~0tkp" of OTP 26 does.
//   - Names in fun m:f/a are quoted like other atoms, so that [Parse] reads them; the BEAM has rules of its own there.
//
// Values that are no terms print as #Go<type>.
func Format(t Term) string { return FormatOptions{}.Format(t) }

// Format is the function [Format] with options.
func (o FormatOptions) Format(t Term) string {
	p := printer{opt: o}
	p.term(t)
	return p.text()
}

// printer collects the text of one term.
type printer struct {
	opt   FormatOptions
	b     []byte
	depth int
}

// full reports whether there is more text than wanted. Loops over elements ask it, so that a huge term stops early.
func (p *printer) full() bool { return p.opt.MaxBytes > 0 && len(p.b) > p.opt.MaxBytes }

func (p *printer) text() string {
	if !p.full() {
		return string(p.b)
	}
	cut := p.b[:p.opt.MaxBytes]
	for len(cut) > 0 && !utf8.RuneStart(p.b[len(cut)]) {
		cut = cut[:len(cut)-1]
	}
	return string(cut) + "..."
}

func (p *printer) put(s string) { p.b = append(p.b, s...) }

// enter counts a level of nesting. Only a Go value that contains itself gets too deep.
func (p *printer) enter() bool {
	if p.depth >= MaxDepth {
		p.put("...")
		return false
	}
	p.depth++
	return true
}

func (p *printer) term(t Term) {
	switch t := t.(type) {
	case Atom:
		p.b = appendErlangAtom(p.b, t)
	case int64:
		p.b = strconv.AppendInt(p.b, t, 10)
	case *big.Int:
		p.b = t.Append(p.b, 10)
	case float64:
		p.b = appendErlangFloat(p.b, t)
	case []byte:
		p.binary(t)
	case Bitstring:
		if c, changed := canonical(t); changed {
			p.term(c)
			return
		}
		p.bytes(t.Bytes, t.Bits, ",", ":", "")
	case List:
		if isPrintableList(t) {
			p.quoted(t)
			return
		}
		p.sequence("[", t, "]")
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
		p.identifier("<", t.Node, uint64(t.ID), uint64(t.Serial))
	case Port:
		p.identifier("#Port<", t.Node, t.ID)
	case Ref:
		p.identifier("#Ref<", t.Node, t.words()...)
	case Fun:
		p.put("#Fun<")
		p.b = appendErlangAtom(p.b, t.Module)
		p.b = strconv.AppendInt(append(p.b, '.'), t.OldIndex, 10)
		p.b = strconv.AppendInt(append(p.b, '.'), t.OldUniq, 10)
		p.put(">")
	case Export:
		p.put("fun ")
		p.b = append(appendErlangAtom(p.b, t.Module), ':')
		p.b = append(appendErlangAtom(p.b, t.Function), '/')
		p.b = strconv.AppendUint(p.b, uint64(t.Arity), 10)
	default:
		p.other(t, p.term)
	}
}

// other prints what is of no type that Decode yields.
func (p *printer) other(t Term, print func(Term)) {
	if c, changed := canonical(t); changed {
		print(c)
		return
	}
	p.put("#Go<" + typeName(t) + ">")
}

func (p *printer) elements(ts []Term) {
	for i, t := range ts {
		if i > 0 {
			p.put(",")
		}
		if p.full() {
			return
		}
		p.term(t)
	}
}

func (p *printer) sequence(open string, ts []Term, end string) {
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

func (p *printer) improper(l ImproperList) {
	if !p.enter() {
		return
	}
	p.put("[")
	p.elements(l.Elems)
	p.put("|")
	p.term(l.Tail)
	p.put("]")
	p.depth--
}

func (p *printer) mapping(m Map) {
	if !p.enter() {
		return
	}
	p.put("#{")
	for i, e := range sortedByKey(m) {
		if i > 0 {
			p.put(",")
		}
		if p.full() {
			return
		}
		p.term(e.Key)
		p.put(" => ")
		p.term(e.Value)
	}
	p.put("}")
	p.depth--
}

// identifier prints a pid, port or reference.
func (p *printer) identifier(open string, node Atom, words ...uint64) {
	p.put(open)
	if node == p.opt.Node {
		p.put("0")
	} else {
		p.put(string(node))
	}
	for _, w := range words {
		p.b = strconv.AppendUint(append(p.b, '.'), w, 10)
	}
	p.put(">")
}

// words returns the words of a reference as they are printed, the last one first.
func (r Ref) words() []uint64 {
	n := min(int(r.Len), MaxRefWords)
	words := make([]uint64, n)
	for i := range n {
		words[n-1-i] = uint64(r.ID[i])
	}
	return words
}

// binary prints UTF-8 or, failing that, latin1 text in quotes, anything else as bytes.
func (p *printer) binary(b []byte) {
	runes, isUTF8, ok := printableText(b)
	switch {
	case len(b) == 0 || !ok:
		p.bytes(b, bitsPerByte, ",", ":", "")
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

// bytes prints b as numbers; of the last byte only the upper bits count. Size is what stands around the number of bits.
func (p *printer) bytes(b []byte, bits uint8, sep, size, sizeEnd string) {
	p.put("<<")
	for i, c := range b {
		if i > 0 {
			p.put(sep)
		}
		if p.full() {
			return
		}
		if i == len(b)-1 && bits < bitsPerByte {
			p.b = strconv.AppendUint(p.b, uint64(c>>(bitsPerByte-bits)), 10)
			p.put(size)
			p.b = strconv.AppendUint(p.b, uint64(bits), 10)
			p.put(sizeEnd)
		} else {
			p.b = strconv.AppendUint(p.b, uint64(c), 10)
		}
	}
	p.put(">>")
}

// quoted prints a list of characters.
func (p *printer) quoted(l List) {
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
