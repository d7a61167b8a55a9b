package etf

import (
	"fmt"
	"reflect"
)

func assignSlice(dst reflect.Value, t Term) error {
	isBytes := dst.Type().Elem().Kind() == reflect.Uint8
	if b, ok := t.([]byte); ok && isBytes {
		dst.SetBytes(b)
		return nil
	}
	l, ok := t.(List)
	if !ok {
		return mismatch(dst, t, ErrType)
	}
	if isBytes {
		if b, ok := bytesOf(l); ok {
			dst.SetBytes(b)
			return nil
		}
		return mismatch(dst, t, ErrType)
	}
	out := reflect.MakeSlice(dst.Type(), len(l), len(l))
	if err := assignElements(out, l); err != nil {
		return err
	}
	dst.Set(out)
	return nil
}

func assignArray(dst reflect.Value, t Term) error {
	var elems []Term
	switch t := t.(type) {
	case List:
		elems = t
	case Tuple:
		elems = t
	case []byte:
		if dst.Type().Elem().Kind() == reflect.Uint8 && len(t) == dst.Len() {
			reflect.Copy(dst, reflect.ValueOf(t))
			return nil
		}
		return mismatch(dst, t, ErrType)
	default:
		return mismatch(dst, t, ErrType)
	}
	if len(elems) != dst.Len() {
		return mismatch(dst, t, fmt.Errorf("%w: %d elements, not %d", ErrType, len(elems), dst.Len()))
	}
	return assignElements(dst, elems)
}

func assignElements(dst reflect.Value, elems []Term) error {
	for i, t := range elems {
		if err := assign(dst.Index(i), t); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// entries reads t as associations: those of a map or of a property list, in which a bare atom stands for {Atom, true}.
func entries(t Term) (m Map, ok bool) {
	switch t := t.(type) {
	case Map:
		return t, true
	case List:
		m = make(Map, len(t))
		for i, e := range t {
			switch e := e.(type) {
			case Atom:
				m[i] = MapEntry{e, Atom("true")}
			case Tuple:
				if len(e) != 2 {
					return nil, false
				}
				m[i] = MapEntry{e[0], e[1]}
			default:
				return nil, false
			}
		}
		return m, true
	}
	return nil, false
}

// assignMap sets a new map. Keys that are equal only in Go, such as an atom and a binary as strings, are an error
// in a map; in a property list the first counts.
func assignMap(dst reflect.Value, t Term) error {
	m, ok := entries(t)
	if !ok {
		return mismatch(dst, t, ErrType)
	}
	_, isMap := t.(Map)
	typ := dst.Type()
	out := reflect.MakeMapWithSize(typ, len(m))
	for _, e := range m {
		key := reflect.New(typ.Key()).Elem()
		if err := assign(key, e.Key); err != nil {
			return within("(key)", err)
		}
		if !key.Comparable() {
			return within("(key)", mismatch(key, e.Key, ErrType))
		}
		if out.MapIndex(key).IsValid() {
			if isMap {
				return mismatch(dst, e.Key, ErrDuplicateKey)
			}
			continue
		}
		value := reflect.New(typ.Elem()).Elem()
		if err := assign(value, e.Value); err != nil {
			return within("["+FormatOptions{MaxBytes: shown}.Format(e.Key)+"]", err)
		}
		out.SetMapIndex(key, value)
	}
	dst.Set(out)
	return nil
}

// assignStruct sets the fields of a struct. It stops at the first that does not fit; those before it are set.
func assignStruct(dst reflect.Value, t Term) error {
	info := structOf(dst.Type())
	if tuple, ok := t.(Tuple); ok {
		if len(tuple) != len(info.fields) {
			return mismatch(dst, t, fmt.Errorf("%w: %d elements for %d fields", ErrType, len(tuple), len(info.fields)))
		}
		for i, f := range info.fields {
			if err := assign(dst.Field(f.index), tuple[i]); err != nil {
				return within("."+dst.Type().Field(f.index).Name, err)
			}
		}
		return nil
	}
	m, ok := entries(t)
	if !ok {
		return mismatch(dst, t, ErrType)
	}
	seen := make([]bool, len(info.fields))
	for _, e := range m {
		i, ok := info.field(e.Key)
		if !ok || seen[i] {
			continue
		}
		seen[i] = true
		index := info.fields[i].index
		if err := assign(dst.Field(index), e.Value); err != nil {
			return within("."+dst.Type().Field(index).Name, err)
		}
	}
	return nil
}

// field finds the field that a key names, an atom or a binary.
func (s *structInfo) field(key Term) (i int, ok bool) {
	switch key := key.(type) {
	case Atom:
		i, ok = s.byName[string(key)]
	case []byte:
		i, ok = s.byName[string(key)]
	}
	return i, ok
}
