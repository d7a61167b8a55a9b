package main

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/diagnose"
	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/checks/health"
)

// TestOutputIsDocumented: docs/output.md names every field of what these write as JSON, and none that is not there.
func TestOutputIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/output.md")
	require.NoError(t, err)
	for command, v := range map[string]any{"health": health.Report{}, "doctor": doctor.Report{}, "diagnose": diagnose.Report{}} {
		row := regexp.MustCompile("(?m)^\\| `" + command + "` \\| `({.*?})`.*$").FindStringSubmatch(string(doc))
		require.NotNil(t, row, command)
		fields := map[string]bool{}
		jsonFields(reflect.TypeOf(v), command, fields)
		word := regexp.MustCompile(`[a-z_]+`)
		for _, name := range word.FindAllString(row[1], -1) {
			assert.True(t, fields[name], "%s: there is no field %s", command, name)
		}
		var said []string
		for _, quoted := range regexp.MustCompile("`[^`]*`").FindAllString(row[0], -1) {
			said = append(said, word.FindAllString(quoted, -1)...)
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			assert.Contains(t, said, name, "%s: a field that is not told of", command)
		}
	}
}

// jsonFields collects the names of a type's fields. What has a row of its own is not looked into.
func jsonFields(typ reflect.Type, command string, names map[string]bool) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		jsonFields(typ.Elem(), command, names)
	case reflect.Struct:
		if typ == reflect.TypeFor[health.Report]() && command != "health" || strings.HasPrefix(typ.PkgPath(), "time") {
			return
		}
		for f := range typ.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if !f.Anonymous || name != "" {
				names[name] = true
			}
			jsonFields(f.Type, command, names)
		}
	default:
	}
}
