package etf

import (
	"errors"
	"fmt"
	"reflect"
)

// ErrType is the reason of an [AssignError] when a term is of a kind that the Go type cannot hold.
var ErrType = errors.New("the term is of another kind")

// An AssignError says which part of a term did not fit which Go type.
type AssignError struct {
	Path string       // from the outermost value, such as .Nodes[2].Pid; empty for that itself
	Type reflect.Type // what was to be set
	Term string       // the term, printed and cut
	Err  error        // ErrType, ErrInteger, ErrDuplicateKey or what an Assigner returned
}

func (e *AssignError) Error() string {
	at := ""
	if e.Path != "" {
		at = " at " + e.Path
	}
	return fmt.Sprintf("etf: cannot assign %s to %s%s: %v", e.Term, e.Type, at, e.Err)
}

func (e *AssignError) Unwrap() error { return e.Err }

// An Assigner sets itself from a term.
type Assigner interface {
	AssignETF(t Term) error
}

// Assign stores a decoded term in the Go value that v points at:
//
//	any, Term            every term as it is; so are Atom, Tuple, List, Map, Pid and the other types of this package
//	bool                 true and false
//	integers, big.Int    integers in range
//	floats               floats, and integers
//	string               binaries, atoms, lists of code points
//	[]byte               binaries, lists of bytes
//	slices               lists
//	arrays               lists and tuples of exactly that length
//	maps                 maps, property lists (of which the first entry of a key counts)
//	structs              tuples, field by field; maps and property lists by name
//	pointers             the atoms undefined and nil as nil, other terms in a new value
//	Raw                  the term's encoding
//
// A field's name is that of its tag, `erl:"name"`, and else its Go name in snake case (NodeName is node_name). It is
// matched with atoms and with binaries, as in maps that were JSON. Fields without an entry stay as they are, entries
// without a field are ignored, `erl:"-"` takes no part. A tuple has to have as many elements as the struct has fields
// that take part; the name of a record is one of them. Encoding a struct yields a map, or a tuple if it has the field
//
//	_ struct{} `erl:",tuple"`
//
// A type that is an [Assigner] sets itself. The value may share memory with t. Errors are *[AssignError].
func Assign(t Term, v any) error {
	switch p := v.(type) { // what is asked for most, without reflection
	case *Term:
		if p != nil {
			*p = t
			return nil
		}
	case *int64:
		if n, ok := t.(int64); ok && p != nil {
			*p = n
			return nil
		}
	case *Atom:
		if a, ok := t.(Atom); ok && p != nil {
			*p = a
			return nil
		}
	case *[]byte:
		if b, ok := t.([]byte); ok && p != nil {
			*p = b
			return nil
		}
	}
	dst := reflect.ValueOf(v)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("etf: assign to %T: not a pointer to a value", v)
	}
	return assign(dst.Elem(), t)
}

// mismatch returns the error that t does not fit dst.
func mismatch(dst reflect.Value, t Term, reason error) error {
	const shownBytes = 60
	return &AssignError{Type: dst.Type(), Term: FormatOptions{MaxBytes: shownBytes}.Format(t), Err: reason}
}

// within adds a step to the path of an error from inside a value.
func within(step string, err error) error {
	if e, ok := errors.AsType[*AssignError](err); ok {
		e.Path = step + e.Path
	}
	return err
}

func assign(dst reflect.Value, t Term) error {
	if c, changed := canonical(t); changed {
		t = c
	}
	if t == nil {
		return mismatch(dst, t, ErrType)
	}
	if dst.CanAddr() {
		if a, ok := reflect.TypeAssert[Assigner](dst.Addr()); ok && (dst.Kind() != reflect.Pointer || !dst.IsNil()) {
			if err := a.AssignETF(t); err != nil {
				return mismatch(dst, t, err)
			}
			return nil
		}
	}
	if v := reflect.ValueOf(t); v.Type() == dst.Type() {
		dst.Set(v)
		return nil
	}
	switch dst.Type() {
	case rawType:
		b, err := Append(nil, t)
		if err != nil {
			return mismatch(dst, t, err)
		}
		dst.SetBytes(b)
		return nil
	case bigType:
		return assignBig(dst, t)
	}
	switch dst.Kind() {
	case reflect.Interface:
		if v := reflect.ValueOf(t); v.Type().AssignableTo(dst.Type()) {
			dst.Set(v)
			return nil
		}
	case reflect.Pointer:
		return assignPointer(dst, t)
	case reflect.Bool:
		if a, ok := t.(Atom); ok && (a == "true" || a == "false") {
			dst.SetBool(a == "true")
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return assignInt(dst, t)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return assignUint(dst, t)
	case reflect.Float32, reflect.Float64:
		return assignFloat(dst, t)
	case reflect.String:
		return assignString(dst, t)
	case reflect.Slice:
		return assignSlice(dst, t)
	case reflect.Array:
		return assignArray(dst, t)
	case reflect.Map:
		return assignMap(dst, t)
	case reflect.Struct:
		return assignStruct(dst, t)
	}
	return mismatch(dst, t, ErrType)
}

// assignPointer sets a pointer to nil or to a new value; only when that fits does the pointer change.
func assignPointer(dst reflect.Value, t Term) error {
	if t == Atom("undefined") || t == Atom("nil") {
		dst.SetZero()
		return nil
	}
	v := reflect.New(dst.Type().Elem())
	if err := assign(v.Elem(), t); err != nil {
		return err
	}
	dst.Set(v)
	return nil
}
