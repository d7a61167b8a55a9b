package etf

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/big"
)

const (
	// maxKeyNesting bounds how many maps a key may lie within, key in key in key. Finding duplicates hashes each key,
	// so each level of nesting hashes what is inside once more.
	maxKeyNesting = 16
	// linearKeys is the size up to which comparing every pair of keys is cheaper than an index.
	linearKeys = 8
)

// hasDuplicateKey reports whether two keys of m are equal.
func hasDuplicateKey(m Map) bool {
	if len(m) <= linearKeys {
		for i := 1; i < len(m); i++ {
			for j := range i {
				if Equal(m[i].Key, m[j].Key) {
					return true
				}
			}
		}
		return false
	}
	index := keyIndex{m: m, slots: make([]int32, slotsFor(len(m)))}
	for i := range m {
		if index.insert(i) {
			return true
		}
	}
	return false
}

// keyIndex finds entries of a map by key: a table with open addressing, at most half full. Slots hold 1 + the index of
// an entry, 0 is free. Hashes are seeded, so a peer cannot choose keys that collide.
type keyIndex struct {
	m     Map
	slots []int32
}

func slotsFor(n int) int {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return size
}

func newKeyIndex(m Map) keyIndex {
	if len(m) <= linearKeys {
		return keyIndex{m: m}
	}
	index := keyIndex{m: m, slots: make([]int32, slotsFor(len(m)))}
	for i := range m {
		index.insert(i)
	}
	return index
}

// probe returns the slot where key is or would go.
func (x keyIndex) probe(key Term) uint64 {
	mask := uint64(len(x.slots) - 1)
	at := hashTerm(key) & mask
	for x.slots[at] != 0 && !Equal(x.m[x.slots[at]-1].Key, key) {
		at = (at + 1) & mask
	}
	return at
}

// insert adds entry i unless its key is there already.
func (x keyIndex) insert(i int) (found bool) {
	at := x.probe(x.m[i].Key)
	if x.slots[at] != 0 {
		return true
	}
	x.slots[at] = int32(i + 1)
	return false
}

// lookup returns the index of the first entry with this key, or -1.
func (x keyIndex) lookup(key Term) int {
	if x.slots != nil {
		return int(x.slots[x.probe(key)]) - 1
	}
	for i := range x.m {
		if Equal(x.m[i].Key, key) {
			return i
		}
	}
	return -1
}

var hashSeed = maphash.MakeSeed()

// Kinds keep terms of different types but equal content apart.
const (
	kindAtom = iota + 1
	kindInt
	kindFloat
	kindBinary
	kindTuple
	kindList
	kindMap
	kindOther
)

// hashTerm hashes so that Equal terms have equal hashes.
func hashTerm(t Term) uint64 {
	switch t := t.(type) {
	case Atom:
		return mix(kindAtom, maphash.String(hashSeed, string(t)))
	case int64:
		return hashWord(kindInt, uint64(t))
	case float64:
		return hashWord(kindFloat, math.Float64bits(t))
	case []byte:
		return mix(kindBinary, maphash.Bytes(hashSeed, t))
	case Bitstring:
		if _, changed := canonical(t); !changed {
			return mix(kindBinary+uint64(t.Bits)<<8, maphash.Bytes(hashSeed, t.Bytes))
		}
	case *big.Int:
		if t != nil {
			if t.IsInt64() {
				return hashWord(kindInt, uint64(t.Int64()))
			}
			return mix(kindInt, maphash.Bytes(hashSeed, t.Append(nil, 62)))
		}
	case Pid, Port, Ref, Export:
		return mix(kindOther, maphash.Comparable(hashSeed, t))
	case Tuple:
		return hashAll(kindTuple, t)
	case List:
		return hashAll(kindList, t)
	case ImproperList:
		if _, changed := canonical(t); !changed {
			return mix(hashAll(kindList, t.Elems), hashTerm(t.Tail))
		}
	case Map:
		var sum uint64 // entries in any order
		for _, e := range t {
			sum += mix(hashTerm(e.Key), hashTerm(e.Value))
		}
		return hashWord(kindMap, sum)
	case Fun:
		return mix(hashAll(kindOther, t.Free), maphash.Comparable(hashSeed, t.Uniq))
	}
	if c, changed := canonical(t); changed {
		return hashTerm(c)
	}
	return kindOther
}

func hashAll(kind uint64, ts []Term) uint64 {
	h := kind
	for _, t := range ts {
		h = mix(h, hashTerm(t))
	}
	return hashWord(kind, h)
}

func hashWord(kind, n uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return mix(kind, maphash.Bytes(hashSeed, b[:]))
}

// mix combines two hashes; the order counts.
func mix(a, b uint64) uint64 {
	return (a*0x9e3779b97f4a7c15 ^ b) * 0xff51afd7ed558ccd >> 1 // odd constants of splitmix64 and murmur3
}
