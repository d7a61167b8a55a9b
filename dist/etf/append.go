package etf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// Raw is a term that is already encoded, without the version byte. It is written as it is: not checked, not copied
// until then. [Skip] finds the end of a term that is to be kept as Raw.
type Raw []byte

// Charlist is Go text that goes out as Erlang's older kind of string, a list of code points.
type Charlist string

// An Appender writes itself as one term, without the version byte.
type Appender interface {
	AppendETF(dst []byte) ([]byte, error)
}

// Append appends the encoding of t to dst, without the version byte. It writes what term_to_binary of current OTP
// writes, byte for byte, except that the entries of a [Map] stay in their order.
//
// Besides the types of [Term] it takes all Go integers, float32, bool (true and false), string (a binary; the bytes
// are not checked), *big.Int of any size, []any, [Raw], [Charlist], [Appender], and by reflection pointers (nil is
// undefined), slices and arrays (lists), maps and structs (maps; see [Assign] for tags). A nil any is an error: no
// term is meant by it. On error the result is nil.
func Append(dst []byte, t Term) ([]byte, error) {
	return appendTerm(dst, t, 0)
}

// Marshal returns the encoding of t with the version byte, as term_to_binary does. See [Append].
func Marshal(t any) ([]byte, error) {
	return appendTerm([]byte{Version}, t, 0)
}

func appendTerm(dst []byte, t Term, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("etf: %w", ErrDepth)
	}
	switch t := t.(type) {
	case Atom:
		return appendAtom(dst, t)
	case int64:
		return appendInt(dst, t), nil
	case int:
		return appendInt(dst, int64(t)), nil
	case []byte:
		return appendBinary(dst, t)
	case string:
		return appendBinary(dst, t)
	case Tuple:
		return appendTuple(dst, t, depth)
	case List:
		return appendList(dst, t, depth)
	case []any:
		return appendList(dst, t, depth)
	case Map:
		return appendMap(dst, t, depth)
	case Pid:
		return appendPid(dst, t)
	case Ref:
		return appendRef(dst, t)
	case bool:
		if t {
			return append(dst, tagSmallAtomUTF8, 4, 't', 'r', 'u', 'e'), nil
		}
		return append(dst, tagSmallAtomUTF8, 5, 'f', 'a', 'l', 's', 'e'), nil
	case float64:
		return appendFloat(dst, t)
	case float32:
		return appendFloat(dst, float64(t))
	case *big.Int:
		return appendBig(dst, t)
	case Raw:
		if len(t) == 0 {
			return nil, fmt.Errorf("etf: empty Raw: %w", ErrUnsupported)
		}
		return append(dst, t...), nil
	case Charlist:
		return appendCharlist(dst, t)
	case ImproperList:
		return appendImproper(dst, t, depth)
	case Bitstring:
		return appendBitstring(dst, t)
	case Port:
		return appendPort(dst, t)
	case Export:
		return appendExport(dst, t)
	case Fun:
		return appendFun(dst, t, depth)
	case uint:
		return appendUint(dst, uint64(t)), nil
	case uint64:
		return appendUint(dst, t), nil
	case uint32:
		return appendInt(dst, int64(t)), nil
	case uint16:
		return appendInt(dst, int64(t)), nil
	case uint8:
		return appendInt(dst, int64(t)), nil
	case int32:
		return appendInt(dst, int64(t)), nil
	case int16:
		return appendInt(dst, int64(t)), nil
	case int8:
		return appendInt(dst, int64(t)), nil
	case Appender: // behind the concrete types, which are found faster
		return t.AppendETF(dst)
	}
	return appendValue(dst, t, depth)
}

func appendAtom(dst []byte, a Atom) ([]byte, error) {
	if !validAtom(a) {
		return nil, fmt.Errorf("etf: atom of %d bytes: %w", len(a), ErrAtom)
	}
	if len(a) <= math.MaxUint8 {
		dst = append(dst, tagSmallAtomUTF8, byte(len(a)))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, tagAtomUTF8), uint16(len(a)))
	}
	return append(dst, a...), nil
}

func appendInt(dst []byte, n int64) []byte {
	switch {
	case 0 <= n && n <= math.MaxUint8:
		return append(dst, tagSmallInteger, byte(n))
	case math.MinInt32 <= n && n <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(dst, tagInteger), uint32(n))
	case n < 0:
		return appendSmallBig(dst, signNegative, -uint64(n))
	}
	return appendSmallBig(dst, signPositive, uint64(n))
}

func appendUint(dst []byte, n uint64) []byte {
	if n <= math.MaxInt64 {
		return appendInt(dst, int64(n))
	}
	return appendSmallBig(dst, signPositive, n)
}

func appendSmallBig(dst []byte, sign byte, magnitude uint64) []byte {
	n := (bits.Len64(magnitude) + bitsPerByte - 1) / bitsPerByte
	dst = binary.LittleEndian.AppendUint64(append(dst, tagSmallBig, byte(n), sign), magnitude)
	return dst[:len(dst)-8+n]
}

func appendBig(dst []byte, v *big.Int) ([]byte, error) {
	if v == nil {
		return nil, fmt.Errorf("etf: nil *big.Int: %w", ErrUnsupported)
	}
	if v.IsInt64() {
		return appendInt(dst, v.Int64()), nil
	}
	n := (v.BitLen() + bitsPerByte - 1) / bitsPerByte
	if n > MaxBigBytes {
		return nil, fmt.Errorf("etf: integer of %d bytes: %w", n, ErrInteger)
	}
	if n <= math.MaxUint8 {
		dst = append(dst, tagSmallBig, byte(n))
	} else {
		dst = binary.BigEndian.AppendUint32(append(dst, tagLargeBig), uint32(n))
	}
	sign := signPositive
	if v.Sign() < 0 {
		sign = signNegative
	}
	dst = append(dst, sign)
	dst = append(dst, make([]byte, n)...)
	magnitude := dst[len(dst)-n:]
	v.FillBytes(magnitude)
	slices.Reverse(magnitude)
	return dst, nil
}

func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("etf: %v: %w", f, ErrFloat)
	}
	return binary.BigEndian.AppendUint64(append(dst, tagNewFloat), math.Float64bits(f)), nil
}

// appendLen writes tag and a 32 bit length.
func appendLen(dst []byte, tag byte, n int) ([]byte, error) {
	if uint64(n) > math.MaxUint32 {
		return nil, fmt.Errorf("etf: length %d: %w", n, ErrUnsupported)
	}
	return binary.BigEndian.AppendUint32(append(dst, tag), uint32(n)), nil
}

func appendBinary[S ~string | ~[]byte](dst []byte, s S) ([]byte, error) {
	dst, err := appendLen(dst, tagBinary, len(s))
	if err != nil {
		return nil, err
	}
	return append(dst, s...), nil
}

// appendBitstring writes the bits that count and zeros below them. Zero or eight bits in the last byte make it a binary.
func appendBitstring(dst []byte, s Bitstring) ([]byte, error) {
	if s.Bits%bitsPerByte == 0 && s.Bits <= bitsPerByte {
		return appendBinary(dst, s.Bytes)
	}
	if s.Bits > bitsPerByte || len(s.Bytes) == 0 {
		return nil, fmt.Errorf("etf: bitstring of %d bytes, %d bits: %w", len(s.Bytes), s.Bits, ErrUnsupported)
	}
	dst, err := appendLen(dst, tagBitBinary, len(s.Bytes))
	if err != nil {
		return nil, err
	}
	dst = append(append(dst, s.Bits), s.Bytes...)
	dst[len(dst)-1] &= 0xff << (bitsPerByte - s.Bits)
	return dst, nil
}

func appendTuple(dst []byte, t Tuple, depth int) ([]byte, error) {
	dst, err := appendTupleHeader(dst, len(t))
	if err != nil {
		return nil, err
	}
	return appendAll(dst, t, depth+1)
}

func appendTupleHeader(dst []byte, n int) ([]byte, error) {
	if n <= math.MaxUint8 {
		return append(dst, tagSmallTuple, byte(n)), nil
	}
	return appendLen(dst, tagLargeTuple, n)
}

func appendAll(dst []byte, ts []Term, depth int) ([]byte, error) {
	var err error
	for _, t := range ts {
		if dst, err = appendTerm(dst, t, depth); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendList(dst []byte, l []Term, depth int) ([]byte, error) {
	if len(l) == 0 {
		return append(dst, tagNil), nil
	}
	if isByteList(l) {
		dst = binary.BigEndian.AppendUint16(append(dst, tagString), uint16(len(l)))
		for _, c := range l {
			dst = append(dst, byte(c.(int64)))
		}
		return dst, nil
	}
	dst, err := appendLen(dst, tagList, len(l))
	if err != nil {
		return nil, err
	}
	if dst, err = appendAll(dst, l, depth+1); err != nil {
		return nil, err
	}
	return append(dst, tagNil), nil
}

// isByteList reports whether the BEAM would send l as STRING_EXT.
func isByteList(l []Term) bool {
	if len(l) > maxStringLen {
		return false
	}
	for _, t := range l {
		if n, ok := t.(int64); !ok || n < 0 || n > math.MaxUint8 {
			return false
		}
	}
	return true
}

func appendImproper(dst []byte, l ImproperList, depth int) ([]byte, error) {
	if len(l.Elems) == 0 {
		return nil, fmt.Errorf("etf: improper list without elements: %w", ErrUnsupported)
	}
	dst, err := appendLen(dst, tagList, len(l.Elems))
	if err != nil {
		return nil, err
	}
	if dst, err = appendAll(dst, l.Elems, depth+1); err != nil {
		return nil, err
	}
	return appendTerm(dst, l.Tail, depth+1)
}

// appendCharlist writes the code points of s; bytes that are no UTF-8 count as U+FFFD, as in a range over s.
func appendCharlist(dst []byte, s Charlist) ([]byte, error) {
	if s == "" {
		return append(dst, tagNil), nil
	}
	n, latin := 0, true
	for _, r := range s {
		n++
		latin = latin && r <= math.MaxUint8
	}
	if latin && n <= maxStringLen {
		dst = binary.BigEndian.AppendUint16(append(dst, tagString), uint16(n))
		for _, r := range s {
			dst = append(dst, byte(r))
		}
		return dst, nil
	}
	dst, err := appendLen(dst, tagList, n)
	if err != nil {
		return nil, err
	}
	for _, r := range s {
		dst = appendInt(dst, int64(r))
	}
	return append(dst, tagNil), nil
}

func appendMap(dst []byte, m Map, depth int) ([]byte, error) {
	dst, err := appendLen(dst, tagMap, len(m))
	if err != nil {
		return nil, err
	}
	for _, e := range m {
		if dst, err = appendTerm(dst, e.Key, depth+1); err != nil {
			return nil, err
		}
		if dst, err = appendTerm(dst, e.Value, depth+1); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
