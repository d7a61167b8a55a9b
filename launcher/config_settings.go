package launcher

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// Setting is one thing that was resolved. Secrets in it are hidden.
type Setting struct {
	Key   string `json:"key"` // as in beamctl.yaml: nodes[1].env.PORT
	Value any    `json:"value"`
	From  string `json:"from"` // --count, BEAMCTL_COUNT, beamctl.yaml:7:3, what was detected where, or default
}

// settings lists everything that is set, in the order of the documentation.
func (r *resolver) settings() []Setting {
	var out []Setting
	add := func(l leaf) {
		if l.value.IsZero() || l.key == "nodes" {
			return
		}
		if l.value.Kind() != reflect.Map {
			out = append(out, Setting{l.key, reflect.Indirect(l.value).Interface(), r.from(l.key)})
			return
		}
		keys := l.value.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			key := l.key + "." + k.String()
			out = append(out, Setting{key, hide(key, l.value.MapIndex(k).Interface()), r.from(key)})
		}
	}
	for _, l := range leaves(reflect.ValueOf(&r.config).Elem(), "") {
		add(l)
	}
	for i := range r.config.Nodes {
		for _, l := range leaves(reflect.ValueOf(&r.config.Nodes[i]).Elem(), fmt.Sprintf("nodes[%d].", i)) {
			add(l)
		}
	}
	return out
}

// hidden stands for a value that may be a secret.
const hidden = "(hidden)"

// hide hides the value of a variable that is likely to be a secret by its name, URLs that have a password in them, and
// whole files.
func hide(key string, value any) any {
	text, ok := value.(string)
	if !ok {
		return value
	}
	_, name, inEnv := strings.Cut("."+key, ".env.")
	if !inEnv {
		return fmt.Sprintf("(%d bytes)", len(text))
	}
	if checks.SecretName(name) {
		return hidden
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok && strings.Contains(rest, "@") && !strings.Contains(scheme, " ") {
		return hidden
	}
	return text
}
