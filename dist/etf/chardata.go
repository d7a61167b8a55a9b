package etf

import (
	"errors"
	"unicode/utf8"
)

// maxCharsDepth bounds the nesting of chardata; io_lib's own output nests with the terms it prints.
const maxCharsDepth = 1024

// ErrChardata says that a term is no text.
var ErrChardata = errors.New("not unicode:chardata()")

// AppendChardata appends the text that t is to dst, as UTF-8. t is unicode:chardata(), a possibly deep list of code
// points and of binaries that hold UTF-8 (which is not checked); with latin1 it is iodata(), whose bytes are code
// points.
func AppendChardata(dst []byte, t Term, latin1 bool) ([]byte, error) {
	return appendChardata(dst, t, latin1, 0)
}

func appendChardata(dst []byte, t Term, latin1 bool, depth int) ([]byte, error) {
	if depth > maxCharsDepth {
		return nil, ErrChardata
	}
	var err error
	switch t := t.(type) {
	case int64:
		if t < 0 || t > utf8.MaxRune {
			return nil, ErrChardata
		}
		return utf8.AppendRune(dst, rune(t)), nil
	case []byte:
		if !latin1 {
			return append(dst, t...), nil
		}
		for _, b := range t {
			dst = utf8.AppendRune(dst, rune(b))
		}
		return dst, nil
	case List:
		for _, e := range t {
			if dst, err = appendChardata(dst, e, latin1, depth+1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case ImproperList:
		if dst, err = appendChardata(dst, List(t.Elems), latin1, depth); err != nil {
			return nil, err
		}
		return appendChardata(dst, t.Tail, latin1, depth+1)
	}
	return nil, ErrChardata
}
