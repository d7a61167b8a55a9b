package etf

import (
	"math/big"
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
func (o FormatOptions) Format(t Term) string { return o.format(t, &erlang) }

func (o FormatOptions) format(t Term, lang *language) string {
	p := printer{opt: o, language: lang}
	p.term(t)
	return p.text()
}

// language is what differs between the languages that terms are printed in. How a term is taken apart is the printer's own.
type language struct {
	comma, bar    string // between elements, and before the tail of an improper list
	size, sizeEnd string // around the number of bits of an incomplete byte
	pid, ref      string // what these begin with

	atom    func(dst []byte, a Atom) []byte
	float   func(dst []byte, f float64) []byte
	binary  func(p *printer, b []byte)
	list    func(p *printer, l List)
	mapping func(p *printer, m Map) // sorted
	fun     func(p *printer, f Fun)
	export  func(p *printer, e Export)
}

// printer collects the text of one term.
type printer struct {
	*language
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

// nest prints what content does, a level deeper. Only a Go value that contains itself gets too deep.
func (p *printer) nest(open string, content func(), end string) {
	if p.depth >= MaxDepth {
		p.put("...")
		return
	}
	p.depth++
	p.put(open)
	content()
	p.put(end)
	p.depth--
}

func (p *printer) term(t Term) {
	switch t := t.(type) {
	case Atom:
		p.b = p.atom(p.b, t)
	case int64:
		p.b = strconv.AppendInt(p.b, t, 10)
	case *big.Int:
		p.b = t.Append(p.b, 10)
	case float64:
		p.b = p.float(p.b, t)
	case []byte:
		p.binary(p, t)
	case List:
		p.list(p, t)
	case Tuple:
		p.sequence("{", t, "}")
	case Map:
		p.mapping(p, sortedByKey(t))
	case Pid:
		p.identifier(p.pid, t.Node, uint64(t.ID), uint64(t.Serial))
	case Port:
		p.identifier("#Port<", t.Node, t.ID)
	case Ref:
		p.identifier(p.ref, t.Node, t.words()...)
	case Fun:
		p.fun(p, t)
	case Export:
		p.export(p, t)
	default:
		p.other(t)
	}
}

// other prints what may have a simpler form, and what is of no type that Decode yields.
func (p *printer) other(t Term) {
	if c, changed := canonical(t); changed {
		p.term(c)
		return
	}
	switch t := t.(type) {
	case Bitstring:
		p.bytes(t.Bytes, t.Bits)
	case ImproperList:
		p.nest("[", func() {
			p.elements(t.Elems)
			p.put(p.bar)
			p.term(t.Tail)
		}, "]")
	default:
		p.put("#Go<" + typeName(t) + ">")
	}
}

// each prints n things with commas between them, until there is more text than wanted.
func (p *printer) each(n int, print func(i int)) {
	for i := range n {
		if i > 0 {
			p.put(p.comma)
		}
		if p.full() {
			return
		}
		print(i)
	}
}

func (p *printer) elements(ts []Term) { p.each(len(ts), func(i int) { p.term(ts[i]) }) }

func (p *printer) sequence(open string, ts []Term, end string) {
	if len(ts) == 0 {
		p.put(open + end)
		return
	}
	p.nest(open, func() { p.elements(ts) }, end)
}

func (p *printer) pairs(m Map) {
	p.each(len(m), func(i int) {
		p.term(m[i].Key)
		p.put(" => ")
		p.term(m[i].Value)
	})
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

// bytes prints b as numbers; of the last byte only the upper bits count.
func (p *printer) bytes(b []byte, bits uint8) {
	p.put("<<")
	p.each(len(b), func(i int) {
		if i == len(b)-1 && bits < bitsPerByte {
			p.b = strconv.AppendUint(p.b, uint64(b[i]>>(bitsPerByte-bits)), 10)
			p.put(p.size)
			p.b = strconv.AppendUint(p.b, uint64(bits), 10)
			p.put(p.sizeEnd)
		} else {
			p.b = strconv.AppendUint(p.b, uint64(b[i]), 10)
		}
	})
	p.put(">>")
}
