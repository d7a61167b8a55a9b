package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// configHead begins a new beamctl.yaml; tailFormat shows what else it could say.
const (
	configHead = `# What cluster "beamctl start" starts here. Everything in this file was found out, and is what would be done without it:
# keep what you want to change or to be sure of. Unknown keys are errors. "beamctl config" shows what results, and from where;
# "beamctl config --schema" is the JSON schema of this file.

`
	tailFormat = `
# Ports of which each node gets one, for templates to use. These two need not be declared.
#ports:
#  http: 4100-4199   # {{.Port "http"}}
#  dist: 9100-9199   # of the nodes' distribution

# Environment of the build and of all nodes; values may be templates.
#env:
%s#  PORT: '{{.Port "http"}}'

# Flags of the emulator.
#vm_args: [+S, "2:2"]

# What is different for single nodes.
#nodes:
#  - name: node2
#    env: {ROLE: replica}

# What "beamctl health" finds too much (but for memory, these are the defaults), and checks of your own.
#health:
#  latency: 50ms      # median ping
#  answer: 1s         # of supervisors and servers
#  memory: 1GiB       # allocated by a node; by default there is no limit
#  usage: 0.8         # share of the processes, ports, atoms, tables and descriptors that a node may have
#  run_queue: 10      # processes that wait for each scheduler
#  schedulers: 0.95   # share of their time that they work
#  mailbox: 1000      # messages
#  spread: 10         # times the processes of the others
#  lock_held: 1s      # of global
#  probes:
#    - name: started
#      call: "init:get_status()"
#      expect: {match: "{started, _}"}
`
)

// configTail is tailFormat with what the environment of the build is by default.
func configTail(res *Resolved) string {
	var env strings.Builder
	for _, s := range res.Settings {
		if name, ok := strings.CutPrefix(s.Key, "env."); ok && slices.Contains(pinned, name) {
			fmt.Fprintf(&env, "%-19s # also where your own environment says otherwise\n", fmt.Sprintf("#  %s: %s", name, flow(s.Value)))
		}
	}
	return fmt.Sprintf(tailFormat, env.String())
}

// InitConfig writes a commented beamctl.yaml of what was resolved into the project's directory, and returns its path. It never
// replaces a file.
func InitConfig(res *Resolved) (path string, err error) {
	path = filepath.Join(res.Spec.Dir, ConfigName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // it belongs to the project, as its sources do
	if errors.Is(err, fs.ErrExist) {
		return "", &checks.Finding{
			What: "there is a " + ConfigName + " already", Saw: path,
			Fix: "change it, or remove it first; `beamctl config` shows what it results in", Err: ErrConfig,
		}
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	_, err = f.WriteString(initText(res))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return path, nil
}

// initKeys are the keys that a new file has, with what there is to say of them.
var initKeys = []struct{ key, comment string }{
	{"cluster", ""},
	{"count", "node1, node2…"},
	{"name", ".Node is node1, node2…"},
	{"runtime", "mix, rebar3, release, erl or command"},
	{"build", "once, before the nodes start"},
	{"release", ""},
	{"sys_config", ""},
	{"ebin", "for the code path"},
	{"apps", "have to run before a node is ready"},
	{"mesh", "who connects the nodes: app with libcluster, else beamctl; or app, beamctl, none"},
}

func initText(res *Resolved) string {
	var b strings.Builder
	b.WriteString(configHead)
	for _, k := range initKeys {
		for _, s := range res.Settings {
			if s.Key != k.key {
				continue
			}
			if s.Key == "mesh" {
				s.Value = MeshAuto // what it comes to may change with the project
			}
			line := s.Key + ": " + flow(s.Value)
			comment := k.comment
			if s.From != byDefault {
				comment = strings.TrimPrefix(comment+"; from "+s.From, "; ")
			}
			if comment != "" {
				line = fmt.Sprintf("%-39s # %s", line, comment)
			}
			b.WriteString(line + "\n")
		}
	}
	b.WriteString(configTail(res))
	return b.String()
}

// flow writes a value in YAML's flow style, of which JSON is a part. Plain words need no quotes.
func flow(v any) string {
	switch v := v.(type) {
	case string:
		if plainWord(v) {
			return v
		}
	case []string:
		words := make([]string, 0, len(v))
		for _, w := range v {
			words = append(words, flow(w))
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return strings.TrimSpace(b.String())
}

// plainWord tells whether YAML takes s for text without quotes: a word that begins with a letter and means nothing else.
func plainWord(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	if first := s[0] | 0x20; first < 'a' || first > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == ""
}
