package etf

import "unsafe"

// Decoding a term is mostly allocating: Go puts every int64, float64 and slice header that becomes an interface value
// into memory of its own, and the elements of a slice into another. The functions here allocate a header together with
// its elements, and numbers by the dozen, and point the interface at them: for a mixed term of 1 MB that is a third of
// the allocations and three quarters of the time, the difference between slower and faster than the BEAM.
//
// That relies on how the gc compiler lays out an interface, as a type word and a pointer to the value, which has not
// changed since Go 1.4; TestBox would notice. Memory stays visible to the garbage collector: a pointer into the middle of
// an object keeps all of it. So a term may keep alive at most numberBlock-1 numbers that are not part of it, never other
// terms.

// face is the layout of an interface value that holds something larger than a pointer.
type face struct {
	typ  unsafe.Pointer
	data unsafe.Pointer
}

func typeWord(t Term) unsafe.Pointer { return (*face)(unsafe.Pointer(&t)).typ }

var (
	int64Type = typeWord(int64(0))
	floatType = typeWord(float64(0))
	bytesType = typeWord([]byte(nil))
	tupleType = typeWord(Tuple(nil))
	listType  = typeWord(List(nil))
	mapType   = typeWord(Map(nil))
)

// box returns the interface value of the type whose word is typ and whose value p points at. Nobody may write to
// *p afterwards.
func box(typ, p unsafe.Pointer) (t Term) {
	*(*face)(unsafe.Pointer(&t)) = face{typ, p}
	return t
}

// cell is a slice header and room for its elements, A, in one allocation.
type cell[E, A any] struct {
	header []E
	elems  A
}

func newCell[E, A any](typ unsafe.Pointer, n int) ([]E, Term) {
	c := new(cell[E, A])
	c.header = unsafe.Slice((*E)(unsafe.Pointer(&c.elems)), n)
	return c.header, box(typ, unsafe.Pointer(&c.header))
}

// newSlice returns a slice of n elements to be filled, and the term it is.
func newSlice[E any](typ unsafe.Pointer, n int) ([]E, Term) {
	switch n {
	case 1:
		return newCell[E, [1]E](typ, n)
	case 2:
		return newCell[E, [2]E](typ, n)
	case 3:
		return newCell[E, [3]E](typ, n)
	case 4:
		return newCell[E, [4]E](typ, n)
	case 5:
		return newCell[E, [5]E](typ, n)
	case 6:
		return newCell[E, [6]E](typ, n)
	case 7:
		return newCell[E, [7]E](typ, n)
	case 8:
		return newCell[E, [8]E](typ, n)
	}
	header := make([]E, n)
	return header, box(typ, unsafe.Pointer(&header))
}

// newBytes is newSlice for bytes, in steps that fill the allocator's size classes.
func newBytes(n int) ([]byte, Term) {
	switch {
	case n <= 8:
		return newCell[byte, [8]byte](bytesType, n)
	case n <= 24:
		return newCell[byte, [24]byte](bytesType, n)
	case n <= 40:
		return newCell[byte, [40]byte](bytesType, n)
	case n <= 72:
		return newCell[byte, [72]byte](bytesType, n)
	}
	header := make([]byte, n)
	return header, box(bytesType, unsafe.Pointer(&header))
}

// numberBlock is how many 64 bit numbers are allocated at once, 256 bytes.
const numberBlock = 32

// numbers boxes 64 bit numbers. Its blocks begin small, so that a term with one number does not pay for many.
type numbers struct {
	free []uint64
	size int
}

func (n *numbers) box(typ unsafe.Pointer, bits uint64) Term {
	if len(n.free) == 0 {
		n.size = min(2*n.size+1, numberBlock)
		n.free = make([]uint64, n.size)
	}
	p := &n.free[0]
	*p = bits
	n.free = n.free[1:]
	return box(typ, unsafe.Pointer(p))
}
