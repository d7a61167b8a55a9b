package etf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLiteralBits bounds what one segment of a binary literal can be: <<0:99999999999>> is short to write.
const maxLiteralBits = 8 << 20

// segment is one part of a binary literal, in either syntax.
type segment struct {
	value  Term // int64, *big.Int, float64, []byte, Bitstring; a string for text in quotes
	size   int  // -1 where none is given
	unit   int  // 0 where none is given
	kind   string
	little bool
}

// set applies a type specifier.
func (g *segment) set(spec string) bool {
	switch spec {
	case "integer", "float", "utf8", "utf16", "utf32", "binary", "bitstring":
		g.kind = spec
	case "bytes":
		g.kind = "binary"
	case "bits":
		g.kind = "bitstring"
	case "little":
		g.little = true
	case "big":
		g.little = false
	case "native": // as on every machine this runs on
		g.little = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	case "signed", "unsigned": // no difference to how a value is written
	default:
		return false
	}
	return true
}

// bitWriter collects the bits of a binary literal.
type bitWriter struct {
	b []byte
	n int // bits in b
}

// write appends the first n bits of b.
func (w *bitWriter) write(b []byte, n int) {
	shift := w.n % bitsPerByte
	w.n += n
	if shift == 0 {
		w.b = append(w.b, b[:(n+bitsPerByte-1)/bitsPerByte]...)
	} else {
		for i := 0; i*bitsPerByte < n; i++ {
			w.b[len(w.b)-1] |= b[i] >> shift
			w.b = append(w.b, b[i]<<(bitsPerByte-shift))
		}
	}
	w.b = w.b[:(w.n+bitsPerByte-1)/bitsPerByte]
	if rest := w.n % bitsPerByte; rest != 0 {
		w.b[len(w.b)-1] &= 0xff << (bitsPerByte - rest)
	}
}

func (w *bitWriter) term() Term {
	switch bits := w.n % bitsPerByte; {
	case w.n == 0:
		return emptyBinary
	case bits != 0:
		return Bitstring{Bytes: w.b, Bits: uint8(bits)}
	}
	return w.b
}

// add writes a segment, or says why it cannot.
func (w *bitWriter) add(g segment) error {
	switch v := g.value.(type) {
	case string:
		return w.text(g, v)
	case []byte:
		return w.bits(g, v, len(v)*bitsPerByte)
	case Bitstring:
		return w.bits(g, v.Bytes, (len(v.Bytes)-1)*bitsPerByte+int(v.Bits))
	case float64:
		if g.kind == "" || g.kind == "float" {
			return w.float(g, v)
		}
	case int64:
		switch g.kind {
		case "float":
			return w.float(g, float64(v))
		case "utf8", "utf16", "utf32":
			return w.char(g, v)
		}
		if g.kind == "" || g.kind == "integer" {
			return w.integer(g, big.NewInt(v))
		}
	case *big.Int:
		if g.kind == "" || g.kind == "integer" {
			return w.integer(g, v)
		}
	}
	return fmt.Errorf("a value that fits %s", g.kind)
}

// bitSize returns the size of a segment in bits.
func (g *segment) bitSize(size, unit int) (int, error) {
	if g.size >= 0 {
		size = g.size
	}
	if g.unit > 0 {
		unit = g.unit
	}
	if size > maxLiteralBits/unit {
		return 0, fmt.Errorf("a segment of at most %d bits", maxLiteralBits)
	}
	return size * unit, nil
}

func (w *bitWriter) integer(g segment, v *big.Int) error {
	n, err := g.bitSize(8, 1)
	if err != nil {
		return err
	}
	mod := new(big.Int).And(v, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(n)), big.NewInt(1)))
	size := (n + bitsPerByte - 1) / bitsPerByte
	if !g.little {
		mod.Lsh(mod, uint(size*bitsPerByte-n))
		w.write(mod.FillBytes(make([]byte, size)), n)
		return nil
	}
	b := mod.FillBytes(make([]byte, size))
	slices.Reverse(b)
	if rest := n % bitsPerByte; rest != 0 { // the odd bits come last, and are the most significant
		b[size-1] <<= bitsPerByte - rest
	}
	w.write(b, n)
	return nil
}

func (w *bitWriter) float(g segment, f float64) error {
	n, err := g.bitSize(64, 1)
	if err != nil {
		return err
	}
	var b []byte
	switch n {
	case 64:
		b = binary.BigEndian.AppendUint64(nil, math.Float64bits(f))
	case 32:
		if math.IsInf(float64(float32(f)), 0) {
			return fmt.Errorf("a float that fits 32 bits")
		}
		b = binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(f)))
	default:
		return fmt.Errorf("a float of 32 or 64 bits")
	}
	if g.little {
		slices.Reverse(b)
	}
	w.write(b, n)
	return nil
}

func (w *bitWriter) char(g segment, c int64) error {
	if c < 0 || c > utf8.MaxRune || !utf8.ValidRune(rune(c)) {
		return fmt.Errorf("a code point")
	}
	if g.size >= 0 || g.unit > 0 {
		return fmt.Errorf("no size, which %s has by itself", g.kind)
	}
	var b []byte
	switch order := g.order(); g.kind {
	case "utf8":
		b = utf8.AppendRune(nil, rune(c))
	case "utf16":
		for _, u := range utf16.AppendRune(nil, rune(c)) {
			b = order.AppendUint16(b, u)
		}
	default:
		b = order.AppendUint32(b, uint32(c))
	}
	w.write(b, len(b)*bitsPerByte)
	return nil
}

func (g *segment) order() binary.AppendByteOrder {
	if g.little {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// text writes a string in quotes, character by character.
func (w *bitWriter) text(g segment, s string) error {
	for _, r := range s {
		g.value = int64(r)
		if err := w.add(g); err != nil {
			return err
		}
		if w.n > maxLiteralBits {
			return fmt.Errorf("a segment of at most %d bits", maxLiteralBits)
		}
	}
	return nil
}

// bits writes a binary within a binary.
func (w *bitWriter) bits(g segment, b []byte, n int) error {
	unit := 8
	if g.kind == "bitstring" {
		unit = 1
	} else if g.kind != "binary" {
		return fmt.Errorf("/binary or /bitstring")
	}
	if g.unit > 0 {
		unit = g.unit
	}
	if n%unit != 0 && g.size < 0 {
		return fmt.Errorf("a multiple of %d bits", unit)
	}
	want, err := g.bitSize(n/unit, unit)
	if err != nil {
		return err
	}
	if want > n {
		return fmt.Errorf("at least %d bits", want)
	}
	w.write(b, want)
	return nil
}

// binaryTerm reads <<...>>.
func (p *erlangParser) binaryTerm() (Term, error) { return p.bits(false, p.segment) }

// bits reads <<...>> with the segments of either language; trailing allows a comma behind the last one.
func (s *scanner) bits(trailing bool, segment func() (segment, error)) (Term, error) {
	if err := s.expect("<<"); err != nil {
		return nil, err
	}
	var w bitWriter
	err := s.list(">>", trailing, func() error {
		s.space()
		at := s.pos
		g, err := segment()
		if err != nil {
			return err
		}
		if err := w.add(g); err != nil {
			return s.wantAt(at, err.Error())
		}
		return nil
	})
	return w.term(), err
}

// segment reads Value[:Size][/Type-Type].
func (p *erlangParser) segment() (g segment, err error) {
	g.size = -1
	if p.peek() == '"' {
		g.value, err = p.quoted('"')
	} else {
		g.value, err = p.term()
	}
	if err != nil {
		return g, err
	}
	if p.accept(":") {
		if g.size, err = p.size("a size"); err != nil {
			return g, err
		}
	}
	for more := p.accept("/"); more; more = p.accept("-") {
		p.space()
		at := p.pos
		spec := p.while(isErlangNameChar)
		switch {
		case spec == "unit" && p.accept(":"):
			if g.unit, err = p.size("a unit"); err != nil {
				return g, err
			}
			if g.unit < 1 || g.unit > 256 {
				return g, p.wantAt(at, "a unit from 1 to 256")
			}
		case !g.set(spec):
			return g, p.wantAt(at, "integer, float, binary, bitstring, utf8, utf16, utf32, little, big or unit:N")
		}
	}
	return g, nil
}

// size reads a number that counts something.
func (s *scanner) size(want string) (int, error) {
	s.space()
	at := s.pos
	digits, err := s.digits(10)
	if err != nil {
		return 0, s.wantAt(at, want)
	}
	n, ok := integerOf(digits, 10).(int64)
	if !ok || n > maxLiteralBits {
		return 0, s.wantAt(at, fmt.Sprintf("%s of at most %d", want, maxLiteralBits))
	}
	return int(n), nil
}
