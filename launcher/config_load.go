package launcher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/hashicorp/go-multierror"
	"go.yaml.in/yaml/v4"

	"github.com/beamctl/beamctl/checks"
)

// ErrConfig is what every fault in a configuration file is.
var ErrConfig = errors.New("configuration")

// ConfigError is one fault in a configuration, and where it is. Its text never has a value of the file in it, which may be a secret.
type ConfigError struct {
	Where string // beamctl.yaml:7:3, or --count, or BEAMCTL_COUNT
	Key   string // nodes[1].env.PORT; "" where the file cannot even be read
	Text  string
}

func (e *ConfigError) Error() string {
	if e.Key == "" || e.Where == "--"+e.Key { // which says it
		return e.Where + ": " + e.Text
	}
	return e.Where + ": " + e.Key + ": " + e.Text
}

// Unwrap says what it is: what cannot be read cannot be a cluster either.
func (e *ConfigError) Unwrap() []error { return []error{ErrConfig, ErrSpec} }

// maxConfig bounds a configuration file; a thousand nodes written out take a tenth of it.
const maxConfig = 1 << 20

// position is a place in a file, from 1.
type position struct{ line, column int }

// configFile is a configuration file that was read.
type configFile struct {
	path   string
	shown  string // its name in messages
	config Config
	keys   map[string]position // of every key, by its path: nodes[1].env.PORT
}

// where returns the position of a key, or of the nearest one above that is there.
func (f *configFile) where(key string) string {
	for key != "" {
		if p, ok := f.keys[key]; ok {
			return fmt.Sprintf("%s:%d:%d", f.shown, p.line, p.column)
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return f.shown
}

// loadConfig reads a configuration file strictly, and returns every fault at once, each a *ConfigError.
func loadConfig(path string) (*configFile, error) {
	f := &configFile{path: path, shown: filepath.Base(path), keys: make(map[string]position)}
	file, err := os.Open(path) //nolint:gosec // the user's own
	if err != nil {
		return nil, &ConfigError{Where: f.shown, Text: err.Error()}
	}
	defer file.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, &ConfigError{Where: f.shown, Text: err.Error()}
	}
	if len(data) > maxConfig {
		return nil, &ConfigError{Where: f.shown, Text: fmt.Sprintf("has more than %d bytes", maxConfig)}
	}
	return f, f.parse(data)
}

func (f *configFile) parse(data []byte) error {
	var docs []yaml.Node
	if err := yaml.Load(data, &docs, yaml.WithAllDocuments()); err != nil {
		return f.faults(err, nil)
	}
	if len(docs) == 0 {
		return nil // an empty file says nothing, which is allowed
	}
	values := make(map[position]string)
	f.index(&docs[0], "", values)
	if len(docs) > 1 {
		return &ConfigError{
			Where: fmt.Sprintf("%s:%d:%d", f.shown, docs[1].Line, docs[1].Column), Text: "a second document begins here; there can be one",
		}
	}
	if err := yaml.Load(data, &f.config, yaml.WithKnownFields()); err != nil {
		return f.faults(err, values)
	}
	return nil
}

// maxYAMLDepth bounds the recursion; the deepest key is nodes[1].env.PORT.
const maxYAMLDepth = 16

// index notes where keys are, and which key has its value where.
func (f *configFile) index(n *yaml.Node, path string, values map[position]string) {
	if strings.Count(path, ".")+strings.Count(path, "[") > maxYAMLDepth {
		return
	}
	values[position{n.Line, n.Column}] = path
	switch n.Kind {
	case yaml.DocumentNode:
		for _, c := range n.Content {
			f.index(c, path, values)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			f.keys[at] = position{key.Line, key.Column}
			f.index(value, at, values)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			f.keys[at] = position{c.Line, c.Column}
			f.index(c, at, values)
		}
	default: // a scalar holds no keys; an alias's were seen where it leads
	}
}

// faults turns what package yaml says into ConfigErrors.
func (f *configFile) faults(err error, values map[position]string) error {
	var found []*yaml.LoadError
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		found = all.Errors
	} else if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		found = []*yaml.LoadError{one}
	} else {
		return &ConfigError{Where: f.shown, Text: "is no YAML"}
	}
	var errs *multierror.Error
	for _, e := range found {
		at := position{e.Mark.Line, e.Mark.Column}
		c := &ConfigError{Where: f.shown, Key: values[at], Text: reword(e.Message)}
		if at.line > 0 {
			c.Where = fmt.Sprintf("%s:%d:%d", f.shown, at.line, at.column)
		}
		if _, unknown := matchUnknown(e.Message); unknown {
			c.Key = "" // the text has it
		}
		errs = multierror.Append(errs, c)
	}
	return errs.ErrorOrNil()
}

var (
	unknownField = lazy(`^field (.+) not found in type launcher\.(\w+)$`)
	wrongType    = lazy(`(?s)^cannot construct !!(\w+)(?: .*)? into (\S+)(?: \(TextUnmarshaler\))?$`)
	quotedText   = lazy("(?s)[`'\"].*[`'\"]")
)

func matchUnknown(msg string) (key string, ok bool) {
	m := unknownField().FindStringSubmatch(msg)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// reword says in words of the file what package yaml says in words of Go, and leaves out what it quotes.
func reword(msg string) string {
	if m := unknownField().FindStringSubmatch(msg); m != nil {
		text := fmt.Sprintf("unknown key %q", m[1])
		if like := checks.Nearest(m[1], keysOf(m[2])); like != "" {
			text += fmt.Sprintf("; is it %q?", like)
		}
		return text
	}
	if m := wrongType().FindStringSubmatch(msg); m != nil {
		return fmt.Sprintf("is %s where %s is wanted", yamlKind(m[1]), goKind(m[2]))
	}
	if strings.HasPrefix(msg, "mapping key ") {
		return "this key is there already, " + msg[strings.LastIndex(msg, "at line "):]
	}
	return quotedText().ReplaceAllString(msg, "…")
}

func yamlKind(tag string) string {
	switch tag {
	case "seq":
		return "a list"
	case "map":
		return "a mapping"
	case "str":
		return "text"
	case "int", "float":
		return "a number"
	case "bool":
		return "true or false"
	case "null":
		return "nothing"
	default:
		return "something else"
	}
}

func goKind(t string) string {
	switch {
	case strings.HasPrefix(t, "[]string"):
		return "a list of texts"
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case strings.HasPrefix(t, "map["), t == "launcher.Config", t == "launcher.NodeConfig", t == "launcher.ReadyConfig", t == "launcher.StopPolicy",
		t == "launcher.HealthConfig", t == "launcher.ProbeConfig", t == "launcher.ExpectConfig":
		return "a mapping"
	case strings.HasSuffix(t, "int"):
		return "a whole number"
	case t == "launcher.PortRange":
		return "a port, a range or any"
	case t == "float64":
		return "a number"
	case t == "launcher.Bytes":
		return "a size"
	case t == "launcher.Duration":
		return "a duration"
	default:
		return "text"
	}
}

// keysOf lists the keys of one of the configuration's types.
func keysOf(name string) []string {
	for _, t := range []reflect.Type{
		reflect.TypeFor[Config](), reflect.TypeFor[NodeConfig](), reflect.TypeFor[ReadyConfig](), reflect.TypeFor[StopPolicy](),
		reflect.TypeFor[HealthConfig](), reflect.TypeFor[ProbeConfig](), reflect.TypeFor[ExpectConfig](),
	} {
		if t.Name() == name {
			return yamlKeys(t)
		}
	}
	return nil
}

func yamlKeys(t reflect.Type) []string {
	var keys []string
	for f := range t.Fields() {
		if f.Anonymous {
			keys = append(keys, yamlKeys(f.Type)...)
			continue
		}
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}
