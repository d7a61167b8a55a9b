package health

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

// Equals expects a term.
func Equals(text string, want etf.Term) Expectation {
	return Expectation{"equals " + text, func(t etf.Term) bool { return etf.Equal(want, t) }}
}

// Matches expects a term that is like a pattern; see etf.Match.
func Matches(text string, pattern etf.Term) Expectation {
	return Expectation{"match " + text, func(t etf.Term) bool { return etf.Match(pattern, t) }}
}

// InRange expects a number.
func InRange(r Range) Expectation {
	return Expectation{"range " + r.String(), func(t etf.Term) bool {
		v, ok := number(t)
		return ok && r.holds(v)
	}}
}

// OfLength expects so many elements of a list, a tuple or a map, or bytes of a binary.
func OfLength(r Range) Expectation {
	return Expectation{"length " + r.String(), func(t etf.Term) bool {
		n := 0
		switch t := t.(type) {
		case etf.List:
			n = len(t)
		case etf.Tuple:
			n = len(t)
		case etf.Map:
			n = len(t)
		case []byte:
			n = len(t)
		default:
			return false
		}
		return r.holds(float64(n))
	}}
}

// types are what a term can be expected to be.
var types = map[string]func(etf.Term) bool{
	"list":      is[etf.List],
	"tuple":     is[etf.Tuple],
	"map":       is[etf.Map],
	"atom":      is[etf.Atom],
	"binary":    is[[]byte],
	"float":     is[float64],
	"pid":       is[etf.Pid],
	"port":      is[etf.Port],
	"reference": is[etf.Ref],
	"boolean":   func(t etf.Term) bool { return t == etf.Atom("true") || t == etf.Atom("false") },
	"number":    func(t etf.Term) bool { _, ok := number(t); return ok },
	"integer":   func(t etf.Term) bool { _, ok := number(t); return ok && !is[float64](t) },
	"function":  func(t etf.Term) bool { return is[etf.Fun](t) || is[etf.Export](t) },
}

func is[T any](t etf.Term) bool {
	_, ok := t.(T)
	return ok
}

// OfType expects a kind of term, named as by Erlang's guards: list, map, integer. ok is false if there is no such kind.
func OfType(name string) (e Expectation, ok bool) {
	met, ok := types[name]
	return Expectation{"type " + name, met}, ok
}

// number returns a number's value; infinite, if an integer is beyond what a float can be.
func number(t etf.Term) (v float64, ok bool) {
	switch t := t.(type) {
	case int64:
		return float64(t), true
	case float64:
		return t, true
	case *big.Int:
		v, _ = new(big.Float).SetInt(t).Float64()
		return v, true
	}
	return 0, false
}

// Range is the numbers from Min to Max. The bounds are in it unless they are said not to be.
type Range struct {
	text             string
	min, max         float64
	openMin, openMax bool
}

func (r Range) String() string { return r.text }

func (r Range) holds(v float64) bool {
	return (v > r.min || v == r.min && !r.openMin) && (v < r.max || v == r.max && !r.openMax)
}

// ErrRange says that a text is no range.
var ErrRange = errors.New(`is no range: 3, 1..10, >0, >=1, <100, <=99`)

// ParseRange reads 3, 1..10, >0, >=1, <100 or <=99.
func ParseRange(text string) (Range, error) {
	r := Range{text: strings.TrimSpace(text), min: math.Inf(-1), max: math.Inf(1)}
	parse := func(s string, to ...*float64) error {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(v) {
			return ErrRange
		}
		for _, p := range to {
			*p = v
		}
		return nil
	}
	if low, high, ok := strings.Cut(r.text, ".."); ok {
		if err := parse(low, &r.min); err != nil {
			return r, err
		}
		return r, parse(high, &r.max)
	}
	for _, op := range []struct {
		sign string
		to   *float64
		open *bool
	}{{">=", &r.min, nil}, {"<=", &r.max, nil}, {">", &r.min, &r.openMin}, {"<", &r.max, &r.openMax}} {
		if rest, ok := strings.CutPrefix(r.text, op.sign); ok {
			if op.open != nil {
				*op.open = true
			}
			return r, parse(rest, op.to)
		}
	}
	return r, parse(r.text, &r.min, &r.max)
}
