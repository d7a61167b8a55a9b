package codesync

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"unicode/utf8"

	"github.com/beamctl/beamctl/dist/etf"
)

// maxAtoms is the number of atoms that a file may have; the largest generated modules have some ten thousand.
const maxAtoms = 1 << 20

// atoms reads the table of atoms: chunk AtU8, or Atom of before OTP 20. The first one is the module's name.
func (set chunkSet) atoms() ([]etf.Atom, error) {
	data, utf := set["AtU8"]
	if !utf {
		data = set["Atom"]
	}
	if len(data) < 4 {
		return nil, fmt.Errorf("%w: no atoms", ErrNotBeam)
	}
	count := int32(binary.BigEndian.Uint32(data))
	data = data[4:]
	long := count < 0 // since OTP 28: lengths are written as operands are
	if long {
		count = -count
	}
	if count < 1 || count > maxAtoms || int(count) > len(data) {
		return nil, fmt.Errorf("%w: %d atoms in %d bytes", ErrNotBeam, count, len(data))
	}
	atoms := make([]etf.Atom, 0, count)
	for range count {
		size, n := 0, 0
		if long {
			size, n = operand(data)
		} else if len(data) > 0 {
			size, n = int(data[0]), 1
		}
		if n == 0 || size > len(data)-n || size > etf.MaxAtomBytes {
			return nil, fmt.Errorf("%w: an atom of %d bytes", ErrNotBeam, size)
		}
		text := data[n : n+size]
		if !utf {
			text = fromLatin1(text)
		}
		if !utf8.Valid(text) {
			return nil, fmt.Errorf("%w: an atom that is not UTF-8", ErrNotBeam)
		}
		atoms, data = append(atoms, etf.Atom(text)), data[n+size:]
	}
	if atoms[0] == "" {
		return nil, fmt.Errorf("%w: no module name", ErrNotBeam)
	}
	return atoms, nil
}

func fromLatin1(b []byte) []byte {
	var out []byte
	for _, c := range b {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// operand reads one of an instruction (beam_asm:encode/2), whose tag is in the first three bits: a value of up to 11
// bits, and how many bytes it has; 0 bytes is something else, such as a larger value.
func operand(b []byte) (value, n int) {
	switch {
	case len(b) == 0:
		return 0, 0
	case b[0]&0x08 == 0:
		return int(b[0] >> 4), 1
	case b[0]&0x10 == 0 && len(b) > 1:
		return int(b[0]>>5)<<8 | int(b[1]), 2
	}
	return 0, 0
}

// anyOperand is the length of an operand of any size with the tag, 0 if there is none.
func anyOperand(b []byte, tag byte) int {
	if len(b) == 0 || b[0]&7 != tag {
		return 0
	}
	if _, n := operand(b); n > 0 {
		return n
	}
	// Larger: the first three bits are the number of bytes, less two.
	if n := 3 + int(b[0]>>5); b[0]&0x18 == 0x18 && n < 10 && n <= len(b) {
		return n
	}
	return 0
}

// What the code of a function without arguments begins with that is to run when the module is loaded:
// {func_info, Module, Name, 0}, {label, L}, on_load. The module's own name is atom 1.
const (
	opLabel    = 1
	opFuncInfo = 2
	opOnLoad   = 149
	tagU       = 0
	tagAtom    = 2
	ownName    = 1<<4 | tagAtom
	zero       = 0<<4 | tagU
)

// onLoad says whether the module has an -on_load function. The compiler leaves no other trace of it than the instruction.
func onLoad(code []byte) bool {
	const head = 4 // size of the header that follows
	if len(code) < head {
		return false
	}
	start := uint64(binary.BigEndian.Uint32(code)) + head
	if start > uint64(len(code)) {
		return false
	}
	for code = code[start:]; ; {
		i := bytes.Index(code, []byte{opFuncInfo, ownName})
		if i < 0 {
			return false
		}
		code = code[i+2:]
		n := anyOperand(code, tagAtom)
		if n == 0 || len(code) < n+3 || code[n] != zero || code[n+1] != opLabel {
			continue
		}
		at := n + 2
		if n = anyOperand(code[at:], tagU); n > 0 && at+n < len(code) && code[at+n] == opOnLoad {
			return true
		}
	}
}

// imports says whether the module calls a function by its name: a table of (module, function, arity).
func imports(table []byte, atoms []etf.Atom, module, function etf.Atom) bool {
	for row := range rows(table) {
		if nameOf(atoms, row[0]) == module && nameOf(atoms, row[1]) == function {
			return true
		}
	}
	return false
}

// exports says whether the module has a function: a table of (function, arity, label).
func exports(table []byte, atoms []etf.Atom, function etf.Atom, arity uint32) bool {
	for row := range rows(table) {
		if row[1] == arity && nameOf(atoms, row[0]) == function {
			return true
		}
	}
	return false
}

// rows are those of a table: how many there are, and three numbers each.
func rows(table []byte) iter.Seq[[3]uint32] {
	const head, word, size = 4, 4, 12
	return func(yield func([3]uint32) bool) {
		for rest := table[min(head, len(table)):]; len(rest) >= size; rest = rest[size:] {
			var row [3]uint32
			for i := range row {
				row[i] = binary.BigEndian.Uint32(rest[i*word:])
			}
			if !yield(row) {
				return
			}
		}
	}
}

// nameOf is an atom by its number, counted from 1.
func nameOf(atoms []etf.Atom, i uint32) etf.Atom {
	if i < 1 || uint64(i) > uint64(len(atoms)) {
		return ""
	}
	return atoms[i-1]
}
