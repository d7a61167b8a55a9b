package etf

import (
	"errors"
	"fmt"
)

// What can be wrong with the bytes of a term, or with a Go value that is to become one. Test with errors.Is.
var (
	ErrTruncated    = errors.New("the term ends early")
	ErrTrailing     = errors.New("bytes follow the term")
	ErrVersion      = errors.New("no version byte 131")
	ErrTag          = errors.New("unknown tag")
	ErrLocal        = errors.New("LOCAL_EXT is only for the node that wrote it")
	ErrDepth        = errors.New("nested too deeply")
	ErrAtom         = errors.New("not an atom: 255 code points of UTF-8 at most")
	ErrAtomCache    = errors.New("no such atom in the cache")
	ErrFloat        = errors.New("not a finite float")
	ErrDuplicateKey = errors.New("a map key occurs twice")
	ErrInteger      = errors.New("integer out of range")
	ErrCompressed   = errors.New("bad compressed term")
	ErrMalformed    = errors.New("malformed term")
	ErrUnsupported  = errors.New("no term for this Go value")
)

// A DecodeError says where in the input a term stopped making sense. Unwrap yields one of the package's errors.
type DecodeError struct {
	Offset int // of the byte at which reading stopped, from the start of what was given
	Err    error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("etf: byte %d: %v", e.Offset, e.Err) }
func (e *DecodeError) Unwrap() error { return e.Err }
