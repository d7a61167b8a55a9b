package etf

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
)

// appendValue writes Go values of types that appendTerm does not know, by reflection.
func appendValue(dst []byte, t any, depth int) ([]byte, error) {
	v := reflect.ValueOf(t)
	switch v.Kind() {
	case reflect.Bool:
		return appendTerm(dst, v.Bool(), depth)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendInt(dst, v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return appendUint(dst, v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return appendFloat(dst, v.Float())
	case reflect.String:
		return appendBinary(dst, v.String())
	case reflect.Pointer:
		if v.IsNil() {
			return appendAtom(dst, "undefined")
		}
		return appendTerm(dst, v.Elem().Interface(), depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return appendBinary(dst, v.Bytes())
		}
		return appendSequence(dst, v, depth)
	case reflect.Array:
		return appendSequence(dst, v, depth)
	case reflect.Map:
		return appendGoMap(dst, v, depth)
	case reflect.Struct:
		return appendStruct(dst, v, depth)
	}
	return nil, fmt.Errorf("etf: %T: %w", t, ErrUnsupported)
}

func appendSequence(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	if v.Len() == 0 {
		return append(dst, tagNil), nil
	}
	dst, err := appendLen(dst, tagList, v.Len())
	if err != nil {
		return nil, err
	}
	for i := range v.Len() {
		if dst, err = appendTerm(dst, v.Index(i).Interface(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, tagNil), nil
}

// appendGoMap writes the entries in the order of their encoded keys, so that equal maps are equal bytes.
func appendGoMap(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	dst, err := appendLen(dst, tagMap, v.Len())
	if err != nil {
		return nil, err
	}
	type entry struct{ key, value []byte }
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		var e entry
		if e.key, err = appendTerm(nil, it.Key().Interface(), depth+1); err != nil {
			return nil, err
		}
		if e.value, err = appendTerm(nil, it.Value().Interface(), depth+1); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	for _, e := range entries {
		dst = append(append(dst, e.key...), e.value...)
	}
	return dst, nil
}

func appendStruct(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	info := structOf(v.Type())
	var err error
	if info.tuple {
		dst, err = appendTupleHeader(dst, len(info.fields))
	} else {
		dst, err = appendLen(dst, tagMap, len(info.fields))
	}
	if err != nil {
		return nil, err
	}
	for _, f := range info.fields {
		if !info.tuple {
			if dst, err = appendAtom(dst, f.name); err != nil {
				return nil, err
			}
		}
		if dst, err = appendTerm(dst, v.Field(f.index).Interface(), depth+1); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
