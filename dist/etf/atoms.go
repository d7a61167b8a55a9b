package etf

import (
	"hash/maphash"
	"sync/atomic"
	"unicode/utf8"
)

const (
	// MaxAtomRunes is the BEAM's limit on the length of an atom (MAX_ATOM_CHARACTERS).
	MaxAtomRunes = 255
	// MaxAtomBytes is the same limit in UTF-8, at four bytes a code point.
	MaxAtomBytes = 4 * MaxAtomRunes

	// internSlots bounds the table of known atoms. A program talks in some hundreds of atoms; a peer that sends
	// others only evicts, it cannot make the table grow.
	internSlots = 4096
	// internBytes is the longest atom kept, so that the table stays below internSlots*internBytes whatever comes.
	internBytes = 64
)

// interned maps the bytes of an atom to a ready-made interface value, so that a known atom costs no allocation.
// Each slot holds the last atom that hashed to it; readers and writers need no lock because entries are immutable.
var (
	interned   [internSlots]atomic.Pointer[atomEntry]
	internSeed = maphash.MakeSeed()
)

type atomEntry struct {
	name Atom
	term Term // name, boxed
}

// atomTerm returns the boxed atom of these UTF-8 bytes, or nil when they are none.
func atomTerm(b []byte) Term {
	if len(b) > internBytes {
		if !validAtom(b) {
			return nil
		}
		return Atom(b)
	}
	slot := &interned[maphash.Bytes(internSeed, b)%internSlots]
	if e := slot.Load(); e != nil && string(e.name) == string(b) {
		return e.term
	}
	if !utf8.Valid(b) {
		return nil
	}
	name := Atom(b)
	e := &atomEntry{name: name, term: name}
	slot.Store(e)
	return e.term
}

// validAtom reports whether s is UTF-8 of at most MaxAtomRunes code points.
func validAtom[S ~string | ~[]byte](s S) bool {
	if len(s) > MaxAtomBytes || !utf8.ValidString(string(s)) {
		return false
	}
	return len(s) <= MaxAtomRunes || utf8.RuneCountInString(string(s)) <= MaxAtomRunes
}

// latin1 converts the old atoms' encoding to UTF-8. ASCII, which nearly all of them are, is both.
func latin1(b []byte) []byte {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			out := append(make([]byte, 0, 2*len(b)), b[:i]...)
			for _, c := range b[i:] {
				out = utf8.AppendRune(out, rune(c))
			}
			return out
		}
	}
	return b
}
