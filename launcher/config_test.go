package launcher

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
)

// project makes a directory with the given files.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

const mixExs = `[app: :my_app]`

// messages are the errors one by one.
func messages(err error) []string {
	var out []string
	if multi, ok := err.(*multierror.Error); ok { //nolint:errorlint // it is what Resolve returns
		for _, e := range multi.Errors {
			out = append(out, e.Error())
		}
	}
	return out
}

func TestEveryErrorAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"unreadable": {
			yaml: "conut: 3\ncount: many\nenv: {A: [1]}\nports: {http: hunter2}\nready: {timeout: hunter2}\nnodes:\n  - name: node1\n    evn: {}\n    env: hunter2\n",
			want: []string{
				`beamctl.yaml:1:1: unknown key "conut"; is it "count"?`,
				"beamctl.yaml:2:8: count: is text where a whole number is wanted",
				"beamctl.yaml:3:10: env.A: is a list where text is wanted",
				"beamctl.yaml:4:15: ports.http: is no port range: 4100-4199, 4000 or any",
				"beamctl.yaml:5:18: ready.timeout: is no duration: 30s, 1m30s, 500ms",
				`beamctl.yaml:8:5: unknown key "evn"; is it "env"?`,
				"beamctl.yaml:9:10: nodes[0].env: is text where a mapping is wanted",
			},
		},
		"health": {
			yaml: `runtime: erl
health:
  latency: soon
`,
			want: []string{"beamctl.yaml:3:12: health.latency: is no duration: 30s, 1m30s, 500ms"},
		},
		"health without sense": {
			yaml: `runtime: erl
health:
  usage: 80
  run_queue: -1
  probes:
    - {name: ping, call: "a:b()"}
    - {name: "two words", call: "a:hunter2(", on: twice}
    - {name: one, call: {a: b}, expect: {type: thing, range: hunter2, length: "1..x", match: "{hunter2", equals: _}}
    - {name: one, call: ["a:b(_)", "a:c(_)"]}
    - {name: many, call: [m, f, ["{"]]}
`,
			want: []string{
				"beamctl.yaml:3:3: health.usage: is no share from 0 to 1",
				"beamctl.yaml:4:3: health.run_queue: is negative",
				"beamctl.yaml:6:8: health.probes[0].name: a check, group or probe has this name, but for case, - and _",
				"beamctl.yaml:7:8: health.probes[1].name: is no name: letters, digits, _ and -",
				"beamctl.yaml:7:47: health.probes[1].on: is neither each nor once",
				"beamctl.yaml:7:27: health.probes[1].call: column 11: expected an Erlang term",
				"beamctl.yaml:8:19: health.probes[2].call: is no call: text as for beamctl rpc, [Module, Function, [Args]], or a list of these",
				"beamctl.yaml:8:106: health.probes[2].expect.equals: column 1: expected an Erlang term",
				"beamctl.yaml:8:87: health.probes[2].expect.match: column 9: expected , or }",
				`beamctl.yaml:8:55: health.probes[2].expect.range: is no range: 3, 1..10, >0, >=1, <100, <=99`,
				`beamctl.yaml:8:71: health.probes[2].expect.length: is no range: 3, 1..10, >0, >=1, <100, <=99`,
				"beamctl.yaml:8:42: health.probes[2].expect.type: is no type: list, tuple, map, binary, atom, boolean, number, integer, float, pid, port, reference, function",
				"beamctl.yaml:9:19: health.probes[3].call: the first step has a _, and nothing before it",
				"beamctl.yaml:9:8: health.probes[3].name: a check, group or probe has this name, but for case, - and _",
				"beamctl.yaml:10:20: health.probes[4].call: column 2: expected an Erlang term",
			},
		},
		"no YAML":   {yaml: "env:\n  A: *hunter2\n", want: []string{"beamctl.yaml:2:6: unknown anchor … referenced"}},
		"tab":       {yaml: "\tcount: 3\n", want: []string{"beamctl.yaml:1:1: found character that cannot start any token"}},
		"twice":     {yaml: "count: 1\ncluster: a\ncount: 2\n", want: []string{"beamctl.yaml:3:1: this key is there already, at line 1"}},
		"two files": {yaml: "count: 1\n---\ncount: 2\n", want: []string{"beamctl.yaml:2:1: a second document begins here; there can be one"}},
		"senseless": {
			yaml: `count: 2
cluster: a b
mesh: perhaps
names: odd
name: "{{.Node}}{{.Port \"http\"}}@127.0.0.1"
epmd_port: 70000
runtime: mix
restart: always
distribution: mine
files: {../escape: hunter2}
vm_args: ["it's"]
env: {"a b": x, BAD: '{{hunter2', PORT: '{{.Port "mqtt"}}', X: '{{.Hunter2}}'}
nodes:
  - name: node7
  - name: node2
    env: {BEAMCTL_X: 1}
`,
			want: []string{
				`beamctl.yaml:14:5: nodes[0].name: count makes node1 to node2, and none of them is "node7"`,
				`beamctl.yaml:5:1: name: is no template`, `beamctl.yaml:2:1: cluster: `, "beamctl.yaml:3:1: mesh: ", "beamctl.yaml:4:1: names: ", "beamctl.yaml:6:1: epmd_port: ",
				"beamctl.yaml:8:1: restart: ", "beamctl.yaml:9:1: distribution: ", "beamctl.yaml:10:9: files.../escape: ", "beamctl.yaml:11:1: vm_args: ",
				`beamctl.yaml:12:7: env.a b: `, "beamctl.yaml:12:17: env.BAD: ", "beamctl.yaml:12:35: env.PORT: ", "beamctl.yaml:12:61: env.X: ",
				"beamctl.yaml:16:11: nodes[1].env.BEAMCTL_X: ",
			},
		},
		"a protocol of its own": {
			yaml: `runtime: command
tls: auto
command: [sh, -c, "exec erl -proto_dist inet_tls"]
args: [x, -proto_dist, inet_tls]
env: {ERL_ZFLAGS: +S 1 -proto_dist inet_tls, PEERS: -proto_dist inet_tls}
nodes:
  - {name: a, vm_args: [-proto_dist, inet_tcp]}
`,
			want: []string{
				"beamctl.yaml:3:1: command: " + protoText, "beamctl.yaml:4:1: args: " + protoText, "beamctl.yaml:5:7: env.ERL_ZFLAGS: " + protoText,
				"beamctl.yaml:7:15: nodes[0].vm_args: " + protoText,
			},
		},
		"unreadable and senseless": { // what follows only from what could not be read is not told
			yaml: `conut: 3
count: -1
ready: {timeout: soon}
ports: {1x: 30, mqtt: hunter2}
env: {A: "{{.Nope}}", B: '{{.Port "mqtt"}}'}
mesh: perhaps
runtime: command
commmand: [x]
nodes: [{nmae: a}]
`,
			want: []string{
				`beamctl.yaml:1:1: unknown key "conut"; is it "count"?`, "beamctl.yaml:2:1: count: -1 nodes; 1 to 200 can be had", "beamctl.yaml:3:18: ready.timeout: ",
				"beamctl.yaml:4:9: ports.1x: ", "beamctl.yaml:4:23: ports.mqtt: ", "beamctl.yaml:5:7: env.A: ", "beamctl.yaml:6:1: mesh: ",
				`beamctl.yaml:8:1: unknown key "commmand"; is it "command"?`, `beamctl.yaml:9:10: unknown key "nmae"; is it "name"?`,
			},
		},
		"too many": {yaml: "count: 300\nnodes: [{name: node299}]\n", want: []string{"beamctl.yaml:1:1: count: 300 nodes; 1 to 200 can be had"}},
		"names": {
			yaml: "nodes:\n  - {}\n  - {name: nöde}\n  - {name: " + strings.Repeat("x", 250) + "}\n",
			want: []string{
				`beamctl.yaml:2:5: nodes[0].name: node name "@127.0.0.1" is not of the form name@host`,
				`beamctl.yaml:3:6: nodes[1].name: node name "nöde@127.0.0.1" is none that OTP takes: before the @`, "beamctl.yaml:4:6: nodes[2].name: node name ",
			},
		},
		"missing": {yaml: "runtime: command\n", want: []string{"beamctl.yaml: command: runtime command needs a command"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, map[string]string{ConfigName: c.yaml, "mix.exs": mixExs})
			_, err := Resolve(Sources{Dir: dir})
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorIs(t, err, ErrSpec)
			got := messages(err)
			for _, w := range c.want {
				assert.True(t, slices.ContainsFunc(got, func(m string) bool { return strings.HasPrefix(m, w) }), "%s\nis not among\n%s", w, strings.Join(got, "\n"))
			}
			if name != "senseless" {
				assert.Len(t, got, len(c.want))
			}
			assert.NotContains(t, strings.ToLower(err.Error()), "hunter2", "a value may be a secret")
		})
	}
}

func TestPrecedence(t *testing.T) {
	dir := project(t, map[string]string{
		"mix.exs": mixExs,
		ConfigName: `
cluster: from_file
count: 4
mesh: none
ready: {timeout: 7s}
env: {A: file, B: file, C: file}
`,
	})
	two := 2
	res, err := Resolve(Sources{
		Dir: filepath.Join(dir), Env: []string{"BEAMCTL_COUNT=3", "BEAMCTL_MESH=app", "BEAMCTL_STOP_TIMEOUT=3s", "BEAMCTL_CLUSTER=ignored", "A=no"},
		Flags:    Config{Count: &two, Launch: Launch{Env: map[string]string{"B": "flag"}}},
		FlagName: func(key string) string { return "--" + key },
	})
	require.NoError(t, err)
	s := res.Spec
	assert.Equal(t, "from_file", s.Cluster)
	assert.Len(t, s.Nodes, 2)
	assert.Equal(t, MeshApp, s.Mesh)
	assert.Equal(t, 7*time.Second, s.Ready)
	assert.Equal(t, 3*time.Second, s.Stop)
	assert.Equal(t, map[string]string{"A": "file", "B": "flag", "C": "file", "MIX_ENV": "test"}, s.Env)
	assert.Equal(t, []string{"my_app"}, s.Apps)
	from := make(map[string]string)
	for _, set := range res.Settings {
		from[set.Key] = set.From
	}
	for key, want := range map[string]string{
		"count": "--count", "env.B": "--env.B", "mesh": "BEAMCTL_MESH", "stop.timeout": "BEAMCTL_STOP_TIMEOUT", "cluster": "beamctl.yaml:2:1",
		"env.A": "beamctl.yaml:6:7", "ready.timeout": "beamctl.yaml:5:9", "runtime": "mix.exs", "name": "default", "ports.dist": "default",
	} {
		assert.Equal(t, want, from[key], key)
	}

	flags := []string{"ERL_FLAGS=-proto_dist inet_tls"}
	_, err = Resolve(Sources{Dir: dir, Env: flags})
	assert.Equal(t, []string{"$ERL_FLAGS: " + protoText + "; or unset ERL_FLAGS"}, messages(err))
	_, err = Resolve(Sources{Dir: dir, Env: flags, Flags: Config{Launch: Launch{Env: map[string]string{"ERL_FLAGS": ""}}}, FlagName: func(key string) string { return "--" + key }})
	require.NoError(t, err, "the nodes do not get it")

	_, err = Resolve(Sources{Dir: dir, Env: []string{"BEAMCTL_COUNT=hunter2"}})
	require.ErrorIs(t, err, ErrConfig)
	assert.Equal(t, []string{"BEAMCTL_COUNT: is no whole number"}, messages(err))
}

func TestNodes(t *testing.T) {
	t.Run("count and overrides", func(t *testing.T) {
		dir := project(t, map[string]string{"mix.exs": mixExs, ConfigName: "count: 3\nname: 'test_{{.Node}}@127.0.0.1'\nnodes:\n  - {name: node2, env: {ROLE: replica}}\n"})
		res, err := Resolve(Sources{Dir: dir})
		require.NoError(t, err)
		require.Len(t, res.Spec.Nodes, 3)
		assert.Equal(t, "test_node3@127.0.0.1", res.Spec.Nodes[2].Name)
		assert.Equal(t, map[string]string{"ROLE": "replica"}, res.Spec.Nodes[1].Env)
		assert.Nil(t, res.Spec.Nodes[0].Env)
	})
	t.Run("listed", func(t *testing.T) {
		dir := project(t, map[string]string{"rebar.config": "", "src/a.app.src": "", "mix.exs": mixExs, ConfigName: `
nodes:
  - name: main
  - {name: other@127.0.0.2, runtime: rebar3, apps: [a], bin: [otp/bin]}
`})
		res, err := Resolve(Sources{Dir: dir})
		require.NoError(t, err)
		require.Len(t, res.Spec.Nodes, 2)
		main, other := res.Spec.launch(&res.Spec.Nodes[0]), res.Spec.launch(&res.Spec.Nodes[1])
		assert.Equal(t, "main@127.0.0.1", res.Spec.Nodes[0].Name)
		assert.Equal(t, "other@127.0.0.2", res.Spec.Nodes[1].Name)
		assert.Equal(t, []string{"mix", "compile"}, main.Build)
		assert.Equal(t, []string{"rebar3", "compile"}, other.Build)
		assert.Equal(t, rebar3Ebin, other.Ebin)
		assert.Equal(t, []string{filepath.Join(dir, "otp/bin")}, other.Bin)
		p := planner{spec: &res.Spec, id: "id"}
		require.Len(t, p.builds(), 2)
	})
}

func TestMeshAuto(t *testing.T) {
	lock := `%{"libcluster": {:hex, :libcluster, "3.3.0"}}`
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":             {want: MeshBeamctl},
		"only a dependency":   {files: map[string]string{"mix.lock": lock}, want: MeshBeamctl},
		"supervised":          {files: map[string]string{"mix.lock": lock, "lib/my_app/application.ex": "{Cluster.Supervisor, [topologies]}"}, want: MeshApp},
		"configured":          {files: map[string]string{"mix.lock": lock, "config/runtime.exs": "config :libcluster, topologies: []"}, want: MeshApp},
		"auto":                {files: map[string]string{ConfigName: "mesh: auto\n"}, want: MeshBeamctl},
		"said otherwise":      {files: map[string]string{ConfigName: "mesh: none\n"}, want: MeshNone},
		"auto and libcluster": {files: map[string]string{ConfigName: "mesh: auto\n", "mix.lock": lock, "config/config.exs": "config :libcluster"}, want: MeshApp},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"mix.exs": mixExs}
			maps.Copy(files, c.files)
			res, err := Resolve(Sources{Dir: project(t, files)})
			require.NoError(t, err)
			assert.Equal(t, c.want, res.Spec.Mesh)
		})
	}
}

// TestInitWritesWhatWasDetected reads back what init has written: nothing may change by it.
func TestInitWritesWhatWasDetected(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"mix":    {"mix.exs": mixExs},
		"rebar3": {"rebar.config": `{shell, [{config, "sys.config"}]}.`, "sys.config": "[].", "src/a.app.src": ""},
		"erl":    {"Emakefile": "", "ebin/yes.app": ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, files)
			before, err := Resolve(Sources{Dir: dir})
			require.NoError(t, err)
			path, err := InitConfig(before)
			require.NoError(t, err)
			after, err := Resolve(Sources{Dir: dir})
			require.NoError(t, err)
			assert.Equal(t, path, after.File)
			assert.Equal(t, before.Spec, after.Spec)

			_, err = InitConfig(after)
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorContains(t, err, "already")

			// What it shows in comments is right, too.
			tail := configTail(before)
			require.True(t, strings.HasSuffix(readFile(path), tail))
			write(t, path, regexp.MustCompile(`(?m)^#(\S|  )`).ReplaceAllString(tail, "$1"))
			_, err = Resolve(Sources{Dir: dir})
			require.NoError(t, err)
			h, err := ResolveHealth(Sources{Dir: dir})
			require.NoError(t, err)
			assert.Equal(t, health.Limits{Memory: 1 << 30}.WithDefaults(), h.Limits)
			assert.Len(t, h.Probes, 1)
		})
	}
}

// TestProbeLanguage: a result is shown in the syntax of the call; where that has none, in the project's.
func TestProbeLanguage(t *testing.T) {
	probes := `
health:
  probes:
    - {name: erlang, call: "m:f()"}
    - {name: elixir, call: "M.f()"}
    - {name: listed, call: [m, f, []]}
    - {name: module, call: ["Elixir.M", f, []]}
`
	for _, c := range []struct {
		files  map[string]string
		elixir []bool
	}{
		{map[string]string{ConfigName: probes}, []bool{false, true, false, true}},
		{map[string]string{ConfigName: probes, "mix.exs": mixExs}, []bool{false, true, true, true}},
	} {
		h, err := ResolveHealth(Sources{Dir: project(t, c.files)})
		require.NoError(t, err)
		for i, p := range h.Probes {
			assert.Equal(t, c.elixir[i], p.Elixir, p.Name)
		}
	}
}

// What decides where Mix puts its results is a setting like others, and shown.
func TestMixEnvIsASetting(t *testing.T) {
	dir := project(t, map[string]string{"mix.exs": mixExs})
	for want, c := range map[Setting]struct{ env, flag string }{
		{"env.MIX_ENV", "test", byDefault}:     {},
		{"env.MIX_ENV", "dev", "$MIX_ENV"}:     {env: "MIX_ENV=dev"},
		{"env.MIX_ENV", "prod", "--env"}:       {env: "MIX_ENV=dev", flag: "prod"},
		{"env.MIX_TARGET", "t", "$MIX_TARGET"}: {env: "MIX_TARGET=t"},
	} {
		src := Sources{Dir: dir, Env: []string{c.env}, FlagName: func(string) string { return "--env" }}
		if c.flag != "" {
			src.Flags.Env = map[string]string{"MIX_ENV": c.flag}
		}
		res, err := Resolve(src)
		require.NoError(t, err)
		assert.Contains(t, res.Settings, want)
		pinned := res.Spec
		pinned.Pin(src.Env)
		assert.Equal(t, pinned.Env, res.Spec.Env, "Start makes no other")
		if want.From == byDefault {
			assert.Contains(t, configTail(res), "\n#  MIX_ENV: test ")
		}
	}
}

func TestHiddenSettings(t *testing.T) {
	dir := project(t, map[string]string{"mix.exs": mixExs, ConfigName: `
env: {DB_PASSWORD: hunter2, API_KEY: hunter2, DATABASE_URL: "postgres://u:hunter2@h/d", PORT: 4000, TERM: xterm}
files: {secret.conf: hunter2}
nodes: [{name: node1, env: {TOKEN: hunter2}, files: {a: hunter2}}]
`})
	res, err := Resolve(Sources{Dir: dir})
	require.NoError(t, err)
	b, err := json.Marshal(res.Settings)
	require.NoError(t, err)
	assert.NotContains(t, string(b), "hunter2")
	assert.Contains(t, string(b), `"4000"`)
	assert.Contains(t, string(b), `"xterm"`)
}

// TestSchemaIsCurrent is what `go generate` keeps.
func TestSchemaIsCurrent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "schema.json")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./internal/genschema", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		require.NoError(t, err, "%s", text)
	}
	assert.Equal(t, readFile(out), string(ConfigSchema), "go generate ./launcher")
}

// schemaKeys lists every key that the schema knows, as nodes[].env.
func schemaKeys(s map[string]any, prefix string) []string {
	var keys []string
	props, _ := s["properties"].(map[string]any)
	for k, v := range props {
		p := v.(map[string]any)
		keys = append(keys, prefix+k)
		keys = append(keys, schemaKeys(p, prefix+k+".")...)
		if items, ok := p["items"].(map[string]any); ok {
			keys = append(keys, schemaKeys(items, prefix+k+"[].")...)
		}
	}
	return keys
}

// TestSchemaAgreesWithLoader has both judge the same texts: what one accepts, the other does.
func TestSchemaAgreesWithLoader(t *testing.T) {
	var schema map[string]any
	require.NoError(t, json.Unmarshal(ConfigSchema, &schema))

	keys := schemaKeys(schema, "")
	for _, k := range yamlKeys(reflect.TypeFor[Config]()) {
		assert.Contains(t, keys, k)
	}
	values := []string{"x", "3", "true", "[a, b]", "[[a]]", "[{name: a}]", "{a: b}", "{a: [1]}", "4100-4199", "any", "{a: any}", "{a: 4000}", "{a: 70000}", "{a: x}", "{timeout: 3s}", "{timeout: 3}", "{timeot: 3s}", "never", "mix", "1.5"}
	n := 0
	for _, key := range append(yamlKeys(reflect.TypeFor[Config]()), "unknown") {
		for _, value := range values {
			for _, text := range []string{key + ": " + value, "nodes: [{" + key + ": " + value + "}]"} {
				var doc any
				require.NoError(t, yaml.Load([]byte(text), &doc))
				var f configFile
				f.keys = make(map[string]position)
				bySchema, byLoader := conforms(schema, doc) == "", f.parse([]byte(text)) == nil
				if bySchema != byLoader && !isChoice(key) { // what a choice may be, Validate says
					t.Errorf("%s: schema %v (%s), loader %v (%v)", text, bySchema, conforms(schema, doc), byLoader, f.parse([]byte(text)))
				}
				n++
			}
		}
	}
	assert.Greater(t, n, 500)
	for _, file := range glob(filepath.Join("..", "examples"), "*/"+ConfigName) {
		var doc any
		require.NoError(t, yaml.Load([]byte(readFile(file)), &doc))
		assert.Empty(t, conforms(schema, doc), file)
	}
}

func isChoice(key string) bool { return ConfigValues[key] != nil }

// conforms validates a document against the part of JSON schema that ours uses. It returns what is wrong.
func conforms(s map[string]any, doc any) string {
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, doc) {
		return "not one of the values"
	}
	var types []string
	switch v := s["type"].(type) {
	case string:
		types = []string{v}
	case []any:
		for _, x := range v {
			types = append(types, x.(string))
		}
	}
	kind := ""
	switch d := doc.(type) {
	case string:
		kind = "string"
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(d) {
			return "pattern"
		}
	case int:
		kind = "integer"
		if limit, ok := s["maximum"].(float64); ok && float64(d) > limit {
			return "maximum"
		}
	case float64:
		kind = "number"
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
		for _, x := range d {
			if items, ok := s["items"].(map[string]any); ok {
				if why := conforms(items, x); why != "" {
					return why
				}
			}
		}
	case map[string]any:
		kind = "object"
		props, _ := s["properties"].(map[string]any)
		for k, x := range d {
			p, ok := props[k].(map[string]any)
			if !ok {
				if p, ok = s["additionalProperties"].(map[string]any); !ok {
					return "unknown key " + k
				}
			}
			if why := conforms(p, x); why != "" {
				return why
			}
		}
	}
	if kind == "integer" && slices.Contains(types, "number") {
		return ""
	}
	if !slices.Contains(types, kind) {
		return kind + " is none of " + strings.Join(types, ", ")
	}
	return ""
}

// TestEveryKeyIsDocumented reads docs/config.md.
func TestEveryKeyIsDocumented(t *testing.T) {
	var schema map[string]any
	require.NoError(t, json.Unmarshal(ConfigSchema, &schema))
	doc := readFile(filepath.Join("..", "docs", "config.md"))
	require.NotEmpty(t, doc)
	for _, key := range schemaKeys(schema, "") {
		if rest, ok := strings.CutPrefix(key, "nodes[]."); ok && rest != "name" {
			continue // the same as for all
		}
		assert.Contains(t, doc, "| `"+key+"` |")
	}
	for _, word := range []string{".Node", ".Index", ".Name", ".Host", ".Cluster", ".Dir", ".Project", ".Nodes", ".Port", "join"} {
		assert.Contains(t, doc, "`"+word)
	}
}

// TestHealthOfDocuments reads what docs/config.md shows, and a file that says all there is.
func TestHealthOfDocuments(t *testing.T) {
	doc := readFile(filepath.Join("..", "docs", "config.md"))
	read := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(doc, -1) {
		if !strings.HasPrefix(block[1], "health:") {
			continue
		}
		h, err := ResolveHealth(Sources{Dir: project(t, map[string]string{ConfigName: block[1]})})
		require.NoError(t, err, block[1])
		for _, p := range h.Probes {
			assert.NotEmpty(t, p.Steps)
			assert.NotEmpty(t, p.Expect)
		}
		read++
	}
	assert.Equal(t, 2, read)

	dir := project(t, map[string]string{ConfigName: `
health:
  latency: 20ms
  answer: 2s
  memory: 1.5GiB
  usage: 0.5
  run_queue: 2
  schedulers: 0.75
  mailbox: 10
  spread: 3
  lock_held: 5s
  probes:
    - {name: chain, call: ["m:a(1)", [m, b, [_, 5]]], expect: {length: 2}, on: once, timeout: 1s}
`})
	h, err := ResolveHealth(Sources{Dir: dir, Env: []string{"BEAMCTL_HEALTH_MAILBOX=20", "BEAMCTL_HEALTH_SPREAD=1.5"}})
	require.NoError(t, err)
	assert.Equal(t, health.Limits{
		Latency: 20 * time.Millisecond, Answer: 2 * time.Second, Memory: 3 << 29, Usage: 0.5, RunQueue: 2, Schedulers: 0.75, Mailbox: 20, Spread: 1.5,
		LockHeld: 5 * time.Second,
	}, h.Limits)
	require.Len(t, h.Probes, 1)
	p := h.Probes[0]
	assert.True(t, p.Once)
	assert.Equal(t, time.Second, p.Timeout)
	assert.Equal(t, []etf.Call{
		{Module: "m", Function: "a", Args: []etf.Term{int64(1)}},
		{Module: "m", Function: "b", Args: []etf.Term{etf.Any{}, int64(5)}},
	}, p.Steps)
	assert.Equal(t, "length 2", p.Expect[0].Text)

	none, err := ResolveHealth(Sources{Dir: t.TempDir()})
	require.NoError(t, err)
	assert.Equal(t, &Health{}, none)
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]string{"1KiB": "1KiB", "2048": "2KiB", "1.5 GiB": "1536MiB", "100MB": "100000000", "7B": "7"} {
		var b Bytes
		require.NoError(t, b.UnmarshalText([]byte(text)))
		assert.Equal(t, want, b.String(), text)
	}
	for _, text := range []string{"", "x", "-1", "0", "1XB", "NaN", "Inf", "1e30", "9999999TiB"} {
		var b Bytes
		require.Error(t, b.UnmarshalText([]byte(text)), text)
	}
}
