package etf

import (
	"bytes"
	"math"
	"math/big"
	"slices"
	"strconv"
)

// MaxBigBytes is the largest magnitude of an integer that is read or written: 4,194,304 bits, 1.26 million digits. What
// one does with an integer, printing it to begin with, takes more than linear time.
const MaxBigBytes = 4_194_304 / 8

// Values that are the same wherever they occur, boxed once. The empty ones have no capacity to write to.
var (
	emptyList   Term = List(nil)
	emptyTuple  Term = Tuple{}
	emptyBinary Term = []byte{}
	smallInts        = func() (t [256]Term) {
		for i := range t {
			t[i] = int64(i)
		}
		return t
	}()
)

func (d *decoder) binary() Term {
	n := d.count()
	if d.err != nil {
		return nil
	}
	if n == 0 {
		return emptyBinary
	}
	if d.owned && n >= len(d.in)/2 {
		return d.take(n)
	}
	b, t := newBytes(n)
	copy(b, d.take(n))
	return t
}

// bitstring reads BIT_BINARY_EXT. Bits below the last one are cleared, so that equal bitstrings have equal bytes.
func (d *decoder) bitstring() Term {
	n, bits := d.u32(), d.u8()
	if d.err != nil {
		return nil
	}
	if bits > bitsPerByte || (bits == 0) != (n == 0) {
		return d.fail(ErrMalformed)
	}
	if uint64(n) > uint64(len(d.in)-d.pos) {
		return d.fail(ErrTruncated)
	}
	if n == 0 {
		return emptyBinary
	}
	b := bytes.Clone(d.take(int(n)))
	if bits == bitsPerByte {
		return b
	}
	b[n-1] &= 0xff << (bitsPerByte - bits)
	return Bitstring{Bytes: b, Bits: uint8(bits)}
}

func (d *decoder) float(f float64) Term {
	if d.err != nil {
		return nil
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return d.fail(ErrFloat)
	}
	return d.numbers.box(floatType, math.Float64bits(f))
}

// floatText reads FLOAT_EXT, "%.20e" padded with zeros.
func (d *decoder) floatText() Term {
	b := d.take(floatTextLen)
	if b == nil {
		return nil
	}
	text, _, _ := bytes.Cut(b, []byte{0})
	text = bytes.TrimLeft(text, " ")
	for _, c := range text { // ParseFloat also takes inf, nan, hex and underscores
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return d.fail(ErrFloat)
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return d.fail(ErrFloat)
	}
	return d.float(f)
}

func (d *decoder) int(n int64) Term {
	if 0 <= n && n < int64(len(smallInts)) {
		return smallInts[n]
	}
	return d.numbers.box(int64Type, uint64(n))
}

// big reads the sign and n bytes of magnitude, least significant first.
func (d *decoder) big(n int) Term {
	sign := d.u8()
	if d.err != nil {
		return nil
	}
	if n > MaxBigBytes {
		return d.fail(ErrInteger)
	}
	b := d.take(n)
	if d.err != nil {
		return nil
	}
	if len(b) <= 8 {
		var u uint64
		for i, c := range b {
			u |= uint64(c) << (8 * i)
		}
		switch {
		case sign == 0 && u <= math.MaxInt64:
			return d.int(int64(u))
		case sign != 0 && u <= 1<<63:
			return d.int(-int64(u))
		}
	}
	be := bytes.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if sign != 0 {
		v.Neg(v)
	}
	if v.IsInt64() { // leading zeros
		return v.Int64()
	}
	return v
}

func (d *decoder) tuple(n int) Term {
	if !d.claim(n) {
		return nil
	}
	if n == 0 {
		return emptyTuple
	}
	if !d.enter() {
		return nil
	}
	elems, t := newSlice[Term](tupleType, n)
	if !d.fill(elems) {
		return nil
	}
	d.depth--
	return t
}

// fill reads as many elements as ts has room for.
func (d *decoder) fill(ts []Term) bool {
	for i := range ts {
		t := d.element()
		if t == nil {
			return false
		}
		ts[i] = t
	}
	return true
}

// byteList reads STRING_EXT.
func (d *decoder) byteList() Term {
	b := d.take(d.u16())
	if d.err != nil {
		return nil
	}
	if len(b) == 0 {
		return emptyList
	}
	elems, t := newSlice[Term](listType, len(b))
	for i, c := range b {
		elems[i] = smallInts[c]
	}
	return t
}

func boxList(elems List) Term {
	if len(elems) == 0 {
		return emptyList
	}
	return elems
}

// list reads LIST_EXT: elements and a tail, mostly [].
func (d *decoder) list() Term {
	if !d.enter() {
		return nil
	}
	n := d.count()
	if !d.claim(n + 1) {
		return nil
	}
	elems, t := newSlice[Term](listType, n)
	if !d.fill(elems) {
		return nil
	}
	if d.pos < len(d.in) && d.in[d.pos] == tagNil && n > 0 {
		d.pos++
		d.owed--
		d.depth--
		return t
	}
	t = d.tail(elems)
	d.depth--
	return t
}

// tail reads what follows the elements of a list. A tail that is itself a list continues this one, however it was
// written; the loop keeps a list sent as a chain of cells from nesting.
func (d *decoder) tail(elems List) Term {
	for d.pos < len(d.in) && d.in[d.pos] == tagList {
		d.pos++
		d.owed--
		n := d.count()
		if !d.claim(n + 1) {
			return nil
		}
		had := len(elems)
		elems = append(elems, make(List, n)...)
		if !d.fill(elems[had:]) {
			return nil
		}
	}
	switch tail := d.element().(type) {
	case nil:
		return nil
	case List:
		return boxList(append(elems, tail...))
	default:
		if len(elems) == 0 {
			return tail
		}
		return ImproperList{Elems: elems, Tail: tail}
	}
}

// mapping reads MAP_EXT. Like the BEAM it refuses a key that occurs twice.
func (d *decoder) mapping() Term {
	n := d.count()
	if !d.claim(2*n) || !d.enter() {
		return nil
	}
	m, t := newSlice[MapEntry](mapType, n)
	for i := range m {
		d.keys++
		k := d.element()
		d.keys--
		if k == nil {
			return nil
		}
		v := d.element()
		if v == nil {
			return nil
		}
		m[i] = MapEntry{k, v}
	}
	d.depth--
	if n > 1 {
		if d.keys > maxKeyNesting {
			return d.fail(ErrDepth)
		}
		if hasDuplicateKey(m) {
			return d.fail(ErrDuplicateKey)
		}
	}
	return t
}
