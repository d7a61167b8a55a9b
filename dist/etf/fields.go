package etf

import (
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// structInfo is what the tags of a struct say.
type structInfo struct {
	tuple  bool // written as a tuple
	fields []fieldInfo
	byName map[string]int // into fields
}

type fieldInfo struct {
	name  Atom
	index int
}

var structs sync.Map // reflect.Type -> *structInfo; bounded by the types of the program

// structOf reads the `erl` tags of a struct type, once.
func structOf(t reflect.Type) *structInfo {
	if info, ok := structs.Load(t); ok {
		return info.(*structInfo)
	}
	info := &structInfo{byName: map[string]int{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("erl"), ",")
		if f.Name == "_" && option == "tuple" {
			info.tuple = true
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = snakeCase(f.Name)
		}
		info.byName[name] = len(info.fields)
		info.fields = append(info.fields, fieldInfo{Atom(name), i})
	}
	actual, _ := structs.LoadOrStore(t, info)
	return actual.(*structInfo)
}

// snakeCase turns NodeName into node_name and HTTPPort into http_port.
func snakeCase(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 {
			startsWord := !unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if startsWord && runes[i-1] != '_' {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
