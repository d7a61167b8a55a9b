// Genschema writes the JSON schema of beamctl.yaml: its keys and types are those of launcher.Config, the descriptions its comments.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"

	"github.com/beamctl/beamctl/launcher"
)

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "genschema:", err)
		os.Exit(1)
	}
}

// sources are the files, seen from package launcher, whose comments are the descriptions.
var sources = []string{"config.go", "config_health.go", "launch.go"}

func write(path string) error {
	docs := make(map[string]string)
	for _, f := range sources {
		if err := comments(f, docs); err != nil {
			return err
		}
	}
	s := object(reflect.TypeFor[launcher.Config](), docs)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = launcher.ConfigName
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // to be read by all
}

// comments collects the comments of struct fields as Type.Field.
func comments(file string, docs map[string]string) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if st, ok := t.Type.(*ast.StructType); ok {
			for _, field := range st.Fields.List {
				for _, name := range field.Names {
					docs[t.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	return nil
}

type schema = map[string]any

func object(t reflect.Type, docs map[string]string) schema {
	props := schema{}
	fields(t, docs, props)
	return schema{"type": "object", "additionalProperties": false, "properties": props}
}

func fields(t reflect.Type, docs map[string]string, props schema) {
	for f := range t.Fields() {
		if f.Anonymous {
			fields(f.Type, docs, props)
			continue
		}
		key := f.Tag.Get("yaml")
		p := property(f.Type, docs)
		if values, ok := launcher.ConfigValues[key]; ok {
			p["enum"] = values
		}
		p["description"] = docs[t.Name()+"."+f.Name]
		props[key] = p
	}
}

// scalar is what YAML may have where text is wanted: 4000 need not be quoted.
var scalar = []string{"string", "number", "boolean"}

func property(t reflect.Type, docs map[string]string) schema {
	switch {
	case t == reflect.TypeFor[launcher.Duration]():
		return schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case t == reflect.TypeFor[launcher.Bytes]():
		return schema{"type": []string{"string", "integer"}, "pattern": `^[0-9.]+ *([KMGT]i?B|kB|B)?$`, "minimum": 1}
	case t == reflect.TypeFor[launcher.PortRange]():
		return schema{"type": []string{"string", "integer"}, "pattern": `^([0-9]{1,5}( *- *[0-9]{1,5})?|any)$`, "minimum": 1, "maximum": 65535}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return property(t.Elem(), docs)
	case reflect.Int:
		return schema{"type": "integer"}
	case reflect.Float64:
		return schema{"type": "number", "minimum": 0}
	case reflect.Interface: // a call
		return schema{"type": []string{"string", "array"}}
	case reflect.Struct:
		return object(t, docs)
	case reflect.Slice:
		return schema{"type": "array", "items": property(t.Elem(), docs)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": property(t.Elem(), docs)}
	default:
		return schema{"type": scalar}
	}
}
