package etf

import "math"

func isAtomTag(tag byte) bool {
	switch tag {
	case tagSmallAtomUTF8, tagAtomUTF8, tagSmallAtom, tagAtom, tagAtomCacheRef:
		return true
	}
	return false
}

// atomTerm reads an atom of any encoding, boxed.
func (d *decoder) atomTerm(tag byte) Term {
	var b []byte
	switch tag {
	case tagSmallAtomUTF8:
		b = d.take(d.u8())
	case tagAtomUTF8:
		b = d.take(d.u16())
	case tagSmallAtom:
		b = latin1(d.take(d.u8()))
	case tagAtom:
		n := d.u16()
		if n > MaxAtomRunes {
			return d.fail(ErrAtom)
		}
		b = latin1(d.take(n))
	case tagAtomCacheRef:
		i := d.u8()
		if d.err != nil {
			return nil
		}
		if i >= len(d.atoms) {
			return d.fail(ErrAtomCache)
		}
		return d.atoms[i]
	default:
		d.pos--
		return d.fail(ErrMalformed)
	}
	if d.err != nil {
		return nil
	}
	if t := atomTerm(b); t != nil {
		return t
	}
	return d.fail(ErrAtom)
}

// atom reads an atom where nothing else may stand.
func (d *decoder) atom() Atom {
	a, _ := d.atomTerm(byte(d.u8())).(Atom)
	return a
}

// creation reads the creation of a node: four bytes in the new tags, one (of which two bits count) in the old ones.
func (d *decoder) creation(wide bool) uint32 {
	if wide {
		return d.u32()
	}
	c := d.u8()
	if c > maxTinyCreation {
		d.fail(ErrMalformed)
	}
	return uint32(c)
}

func (d *decoder) pid(tag byte) (Pid, bool) {
	if tag != tagNewPid && tag != tagPid {
		d.fail(ErrMalformed)
		return Pid{}, false
	}
	p := Pid{Node: d.atom(), ID: d.u32(), Serial: d.u32()}
	p.Creation = d.creation(tag == tagNewPid)
	return p, d.err == nil
}

func (d *decoder) port(tag byte) Term {
	p := Port{Node: d.atom()}
	if tag == tagV4Port {
		p.ID = d.u64()
	} else {
		p.ID = uint64(d.u32())
	}
	p.Creation = d.creation(tag != tagPort)
	if d.err != nil {
		return nil
	}
	return p
}

func (d *decoder) ref(tag byte) Term {
	n := 1
	if tag != tagReference {
		n = d.u16()
	}
	if d.err == nil && (n == 0 || n > MaxRefWords) {
		return d.fail(ErrMalformed)
	}
	r := Ref{Node: d.atom(), Len: uint8(n)}
	if tag == tagReference { // the only one with the creation at the end
		r.ID[0] = d.u32()
		r.Creation = d.creation(false)
	} else {
		r.Creation = d.creation(tag == tagNewerReference)
		for i := range n {
			r.ID[i] = d.u32()
		}
	}
	if d.err != nil {
		return nil
	}
	return r
}

// export reads EXPORT_EXT: module, function and arity, the latter as a term.
func (d *decoder) export() Term {
	e := Export{Module: d.atom(), Function: d.atom()}
	arity := d.integer()
	if d.err != nil {
		return nil
	}
	if arity < 0 || arity > math.MaxUint8 {
		return d.fail(ErrMalformed)
	}
	e.Arity = uint8(arity)
	return e
}

// integer reads a 32 bit integer where nothing else may stand.
func (d *decoder) integer() int64 {
	switch d.u8() {
	case tagSmallInteger:
		return int64(d.u8())
	case tagInteger:
		return int64(int32(d.u32()))
	}
	d.fail(ErrMalformed)
	return 0
}

// newFun reads NEW_FUN_EXT. Like the BEAM it takes no notice of the size field: what counts is what follows.
func (d *decoder) newFun() Term {
	d.u32()
	f := Fun{Arity: uint8(d.u8())}
	copy(f.Uniq[:], d.take(len(f.Uniq)))
	f.Index = d.u32()
	free := d.count()
	f.Module = d.atom()
	f.OldIndex = d.integer()
	f.OldUniq = d.integer()
	f.Pid, _ = d.pid(byte(d.u8()))
	if !d.free(&f, free) {
		return nil
	}
	return f
}

// oldFun reads FUN_EXT, which knows neither arity nor MD5.
func (d *decoder) oldFun() Term {
	free := d.count()
	var f Fun
	f.Pid, _ = d.pid(byte(d.u8()))
	f.Module = d.atom()
	f.OldIndex = d.integer()
	f.OldUniq = d.integer()
	if !d.free(&f, free) {
		return nil
	}
	return f
}

// free reads the environment of a fun.
func (d *decoder) free(f *Fun, n int) bool {
	if !d.claim(n) || !d.enter() {
		return false
	}
	if n > 0 {
		f.Free = make([]Term, n)
	}
	if !d.fill(f.Free) {
		return false
	}
	d.depth--
	return true
}
