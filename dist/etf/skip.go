package etf

// Skip returns the length of the term at the start of b, which begins with its tag, without building it: b[:n] is then
// a [Raw], which shares its memory. It checks tags and lengths, and nothing inside (duplicate keys, the text of atoms):
// a term that Skip passes may still be refused by Decode. It needs no stack and allocates nothing.
func Skip(b []byte) (n int, err error) {
	d := decoder{in: b}
	// What a container holds is added to what is still to come. Each takes a byte at least, so the count is bounded.
	for todo := 1; todo > 0; todo-- {
		todo += d.skip()
		if d.err == nil && todo-1 > len(b)-d.pos {
			d.fail(ErrTruncated)
		}
		if d.err != nil {
			return 0, d.err
		}
	}
	return d.pos, nil
}

// skip passes over a tag and what belongs to it, except for the terms inside, whose number it returns.
func (d *decoder) skip() (terms int) {
	switch tag := byte(d.u8()); tag {
	case tagNil:
	case tagSmallInteger, tagAtomCacheRef:
		d.take(1)
	case tagInteger:
		d.take(4)
	case tagNewFloat:
		d.take(8)
	case tagFloat:
		d.take(floatTextLen)
	case tagSmallAtomUTF8, tagSmallAtom:
		d.take(d.u8())
	case tagAtomUTF8, tagAtom, tagString:
		d.take(d.u16())
	case tagBinary:
		d.take(d.count())
	case tagSmallBig:
		d.take(1 + d.u8())
	case tagLargeBig, tagBitBinary: // one byte between length and bytes
		d.take(1 + d.count())
	case tagSmallTuple:
		return d.u8()
	case tagLargeTuple:
		return d.count()
	case tagList:
		return d.count() + 1
	case tagMap:
		return 2 * d.count()
	case tagPid, tagNewPid:
		d.skipID(8, tag == tagNewPid)
	case tagPort, tagNewPort, tagReference:
		d.skipID(4, tag == tagNewPort)
	case tagV4Port:
		d.skipID(8, true)
	case tagNewReference, tagNewerReference:
		d.skipID(4*d.u16(), tag == tagNewerReference)
	case tagExport:
		return 3
	case tagNewFun:
		d.take(4 + 1 + 16 + 4) // size, arity, MD5, index
		free := d.count()
		return 4 + free // module, index, uniq, pid
	case tagFun:
		return 4 + d.count()
	case tagLocal:
		d.pos--
		d.fail(ErrLocal)
	default:
		d.fail(ErrTag)
	}
	return 0
}

// skipID passes over a node, the words of an identifier and a creation.
func (d *decoder) skipID(words int, wide bool) {
	if d.pos < len(d.in) && !isAtomTag(d.in[d.pos]) {
		d.fail(ErrMalformed)
		return
	}
	d.skip()
	if wide {
		words += 4
	} else {
		words++
	}
	d.take(words)
}
