package etf

import (
	"encoding/binary"
	"math"
)

// MaxDepth is how deep terms may nest, in both directions. It bounds the stack (some 300 bytes a level, so about
// 3 MB) that a few bytes a level from a peer, or a Go value that contains itself, could otherwise grow without end.
// The deepest real terms, abstract code, stay in the hundreds.
const MaxDepth = 10_000

// MaxExpansion is the most memory a term takes, in bytes for each byte of its encoding: a tuple of one element that
// takes no memory of its own has three bytes and becomes 48, and 16 in what contains it.
const MaxExpansion = 24

// Decode reads the term at the start of b, which begins with its tag (no version byte), and returns it with the bytes
// that follow it. The types are those listed at [Term]. Nothing in the term shares memory with b.
//
// Memory is bounded by the input: a term takes at most MaxExpansion bytes for each byte read, whatever lengths it
// claims. Errors are *[DecodeError].
func Decode(b []byte) (t Term, rest []byte, err error) {
	return DecodeWithAtoms(b, nil)
}

// DecodeWithAtoms is Decode for a term behind a distribution header: ATOM_CACHE_REF n stands for cache[n].
// The atoms must be valid; the caller has read them from the header.
func DecodeWithAtoms(b []byte, cache []Atom) (t Term, rest []byte, err error) {
	d := decoder{in: b, atoms: cache}
	t = d.term()
	if d.err != nil {
		return nil, nil, d.err
	}
	return t, b[d.pos:], nil
}

// DecodeOwned is Decode for a buffer that the caller gives away and does not touch again: a binary that makes up at
// least half of b is not copied but stays where it is. Smaller ones are copied, so that none keeps much more than
// itself alive.
func DecodeOwned(b []byte) (t Term, rest []byte, err error) {
	d := decoder{in: b, owned: true}
	t = d.term()
	if d.err != nil {
		return nil, nil, d.err
	}
	return t, b[d.pos:], nil
}

// decoder reads one term. The first failure sticks in err; methods that yield a term then yield nil, which no term is.
type decoder struct {
	in    []byte
	pos   int
	atoms []Atom
	owned bool // see DecodeOwned
	depth int
	// owed counts the elements promised by the containers being read whose first byte has not been reached. Each
	// takes a byte at least, so a container that promises more than remains beyond them is refused before it allocates.
	owed    int
	numbers numbers
	keys    int // how many map keys the current position is nested in
	err     error
}

func (d *decoder) fail(err error) Term {
	if d.err == nil {
		d.err = &DecodeError{Offset: d.pos, Err: err}
	}
	return nil
}

// take returns the next n bytes of the input (not a copy), or nil.
func (d *decoder) take(n int) []byte {
	if n > len(d.in)-d.pos {
		d.fail(ErrTruncated)
		return nil
	}
	b := d.in[d.pos : d.pos+n : d.pos+n]
	d.pos += n
	return b
}

func (d *decoder) u8() int {
	if d.pos >= len(d.in) {
		d.fail(ErrTruncated)
		return 0
	}
	c := d.in[d.pos]
	d.pos++
	return int(c)
}

func (d *decoder) u16() int {
	if len(d.in)-d.pos < 2 {
		d.fail(ErrTruncated)
		return 0
	}
	n := binary.BigEndian.Uint16(d.in[d.pos:])
	d.pos += 2
	return int(n)
}

func (d *decoder) u32() uint32 {
	if len(d.in)-d.pos < 4 {
		d.fail(ErrTruncated)
		return 0
	}
	n := binary.BigEndian.Uint32(d.in[d.pos:])
	d.pos += 4
	return n
}

func (d *decoder) u64() uint64 {
	hi := uint64(d.u32())
	return hi<<32 | uint64(d.u32())
}

// count reads a 32 bit length of something that takes at least one byte for each.
func (d *decoder) count() int {
	n := d.u32()
	if uint64(n) > uint64(len(d.in)-d.pos) {
		d.fail(ErrTruncated)
		return 0
	}
	return int(n)
}

// claim promises n elements to follow.
func (d *decoder) claim(n int) bool {
	if d.err != nil {
		return false
	}
	if n > len(d.in)-d.pos-d.owed {
		d.fail(ErrTruncated)
		return false
	}
	d.owed += n
	return true
}

// element reads one element that was claimed.
func (d *decoder) element() Term {
	d.owed--
	return d.term()
}

func (d *decoder) enter() bool {
	if d.depth >= MaxDepth {
		d.fail(ErrDepth)
		return false
	}
	d.depth++
	return true
}

// term reads any term. Values that need no nesting are read here, the others in their own methods.
func (d *decoder) term() Term {
	if d.pos >= len(d.in) {
		return d.fail(ErrTruncated)
	}
	tag := d.in[d.pos]
	d.pos++
	switch tag {
	case tagSmallInteger:
		if d.pos >= len(d.in) {
			return d.fail(ErrTruncated)
		}
		c := d.in[d.pos]
		d.pos++
		return smallInts[c]
	case tagInteger:
		n := d.u32()
		if d.err != nil {
			return nil
		}
		return d.int(int64(int32(n)))
	case tagSmallAtomUTF8, tagAtomUTF8, tagSmallAtom, tagAtom, tagAtomCacheRef:
		return d.atomTerm(tag)
	case tagBinary:
		return d.binary()
	case tagSmallTuple:
		return d.tuple(d.u8())
	case tagLargeTuple:
		return d.tuple(d.count())
	case tagNil:
		return emptyList
	case tagList:
		return d.list()
	case tagString:
		return d.byteList()
	case tagMap:
		return d.mapping()
	case tagNewFloat:
		return d.float(math.Float64frombits(d.u64()))
	case tagSmallBig:
		return d.big(d.u8())
	case tagLargeBig:
		return d.big(d.count())
	case tagBitBinary:
		return d.bitstring()
	case tagNewPid, tagPid:
		pid, ok := d.pid(tag)
		if !ok {
			return nil
		}
		return pid
	case tagNewerReference, tagNewReference, tagReference:
		return d.ref(tag)
	case tagNewPort, tagV4Port, tagPort:
		return d.port(tag)
	case tagNewFun:
		return d.newFun()
	case tagExport:
		return d.export()
	case tagFloat:
		return d.floatText()
	case tagFun:
		return d.oldFun()
	case tagLocal:
		d.pos--
		return d.fail(ErrLocal)
	default:
		d.pos--
		return d.fail(ErrTag)
	}
}
