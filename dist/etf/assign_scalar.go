package etf

import (
	"math"
	"math/big"
	"reflect"
	"strings"
	"unicode/utf8"
)

var (
	rawType = reflect.TypeFor[Raw]()
	bigType = reflect.TypeFor[big.Int]()
)

func assignInt(dst reflect.Value, t Term) error {
	switch n := t.(type) {
	case int64:
		if dst.OverflowInt(n) {
			return mismatch(dst, t, ErrInteger)
		}
		dst.SetInt(n)
		return nil
	case *big.Int:
		return mismatch(dst, t, ErrInteger)
	}
	return mismatch(dst, t, ErrType)
}

func assignUint(dst reflect.Value, t Term) error {
	var u uint64
	switch n := t.(type) {
	case int64:
		if n < 0 {
			return mismatch(dst, t, ErrInteger)
		}
		u = uint64(n)
	case *big.Int:
		if !n.IsUint64() {
			return mismatch(dst, t, ErrInteger)
		}
		u = n.Uint64()
	default:
		return mismatch(dst, t, ErrType)
	}
	if dst.OverflowUint(u) {
		return mismatch(dst, t, ErrInteger)
	}
	dst.SetUint(u)
	return nil
}

func assignFloat(dst reflect.Value, t Term) error {
	var f float64
	switch n := t.(type) {
	case float64:
		f = n
	case int64:
		f = float64(n)
	case *big.Int:
		f, _ = new(big.Float).SetInt(n).Float64()
	default:
		return mismatch(dst, t, ErrType)
	}
	if math.IsInf(f, 0) || dst.OverflowFloat(f) {
		return mismatch(dst, t, ErrFloat)
	}
	dst.SetFloat(f)
	return nil
}

// assignBig sets a big.Int.
func assignBig(dst reflect.Value, t Term) error {
	var n *big.Int
	switch v := t.(type) {
	case int64:
		n = big.NewInt(v)
	case *big.Int:
		n = new(big.Int).Set(v)
	default:
		return mismatch(dst, t, ErrType)
	}
	dst.Set(reflect.ValueOf(n).Elem())
	return nil
}

func assignString(dst reflect.Value, t Term) error {
	switch s := t.(type) {
	case []byte:
		dst.SetString(string(s))
		return nil
	case Atom:
		if dst.Type() != reflect.TypeFor[Charlist]() {
			dst.SetString(string(s))
			return nil
		}
	case List:
		if text, ok := textOf(s); ok && dst.Type() != reflect.TypeFor[Atom]() {
			dst.SetString(text)
			return nil
		}
	}
	return mismatch(dst, t, ErrType)
}

// textOf returns a list of code points as a string.
func textOf(l List) (string, bool) {
	var text strings.Builder
	for _, t := range l {
		n, ok := t.(int64)
		if !ok || n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		text.WriteRune(rune(n))
	}
	return text.String(), true
}

// bytesOf returns a list of bytes as a slice.
func bytesOf(l List) ([]byte, bool) {
	b := make([]byte, len(l))
	for i, t := range l {
		n, ok := t.(int64)
		if !ok || n < 0 || n > math.MaxUint8 {
			return nil, false
		}
		b[i] = byte(n)
	}
	return b, true
}
