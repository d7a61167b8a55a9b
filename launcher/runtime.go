package launcher

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A runtime knows how one kind of project becomes a running node. It only says what to run: where, with which
// name, cookie and log is the same for all.
type runtime interface {
	// fault says which key of l keeps it from running, and why.
	fault(l *Launch) (key, text string)
	// argv is what starts one node. It is asked once the project is built.
	argv(l *Launch, project string) []string
	// workDir is where a node runs: in the project, or in a directory of its own.
	workDir(project, nodeDir string) string
	// env is added to the environment of the build and of the nodes, given what the user has.
	env(user map[string]string) map[string]string
	// node is added to the environment and the files of a node.
	node(l *Launch, n nodeFacts) (env, files map[string]string)
	// bootStarts tells whether boot.erl has to start the applications, because argv doesn't.
	bootStarts() bool
	// distribution is how distribution starts if l doesn't say.
	distribution() string
	// codeDirs are the directories from which a node takes its modules, the first first, given the environment of the build.
	codeDirs(l *Launch, project string, env map[string]string) []string
}

// nodeFacts are what a runtime may have to tell a node about itself.
type nodeFacts struct {
	name  string // full
	short bool   // it has a short name
	proto bool   // it gets a -proto_dist
	dir   string // its own directory
}

var runtimes = map[string]runtime{
	"erl":     erlRuntime{},
	"rebar3":  rebar3Runtime{},
	"mix":     mixRuntime{},
	"release": releaseRuntime{},
	"command": commandRuntime{},
}

// plain is what most runtimes have in common.
type plain struct{}

func (plain) fault(*Launch) (key, text string)                       { return "", "" }
func (plain) workDir(project, _ string) string                       { return project }
func (plain) env(map[string]string) map[string]string                { return nil }
func (plain) node(*Launch, nodeFacts) (env, files map[string]string) { return nil, nil }
func (plain) bootStarts() bool                                       { return false }
func (plain) distribution() string                                   { return distBoot }

// erlRuntime runs plain Erlang: ebin directories on the code path of a bare erl.
type erlRuntime struct{ plain }

func (erlRuntime) argv(l *Launch, project string) []string {
	argv := []string{"erl", "-noinput"}
	if dirs := ebins(l.Ebin, project); len(dirs) > 0 {
		argv = append(append(argv, "-pa"), dirs...)
	}
	if l.SysConfig != "" {
		argv = append(argv, "-config", l.SysConfig)
	}
	return append(argv, l.Args...)
}

// ebins returns the directories that patterns, relative to the project, stand for.
func ebins(patterns []string, project string) []string {
	var dirs []string
	for _, pattern := range patterns {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(escapeGlob(project), pattern)
		}
		if found, err := filepath.Glob(pattern); err == nil {
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

// A directory of its own: what an application writes relative to where it runs (Mnesia.node1@…) is not shared.
func (erlRuntime) workDir(_, nodeDir string) string { return nodeDir }

func (erlRuntime) bootStarts() bool { return true }

// rebar3Runtime runs what rebar3 has compiled like plain Erlang: rebar3 itself would compile again on every node, and
// `rebar3 shell` wants a terminal.
type rebar3Runtime struct{ erlRuntime }

// rebar3Ebin is where rebar3 compiles to in its default profile.
var rebar3Ebin = []string{"_build/default/lib/*/ebin", "_build/default/checkouts/*/ebin"}

func (r rebar3Runtime) argv(l *Launch, project string) []string {
	o := *l
	if o.Ebin == nil {
		o.Ebin = rebar3Ebin
	}
	return r.erlRuntime.argv(&o, project)
}

// mixRuntime runs a Mix project, compiled once beforehand so that N compilers don't fight for one _build.
type mixRuntime struct{ plain } // which runs in the project: there Mix finds mix.exs, config and _build

func (mixRuntime) argv(l *Launch, _ string) []string {
	return append([]string{"mix", "run", "--no-compile", "--no-halt"}, l.Args...)
}

func (mixRuntime) env(user map[string]string) map[string]string {
	if user["MIX_ENV"] != "" {
		return nil
	}
	return map[string]string{"MIX_ENV": "test"}
}

// commandRuntime runs any command: a start script, a server's own.
type commandRuntime struct{ plain }

func (commandRuntime) fault(l *Launch) (key, text string) {
	if len(l.Command) == 0 {
		return "command", "runtime command needs a command: [PROGRAM, ARG…]"
	}
	return "", ""
}

func (commandRuntime) argv(l *Launch, _ string) []string {
	return append(slices.Clone(l.Command), l.Args...)
}

// releaseRuntime runs a release's own start script, as in production: bin/NAME start of Mix, bin/NAME foreground of relx.
type releaseRuntime struct{ plain }

func (releaseRuntime) fault(l *Launch) (key, text string) {
	if l.Release == "" {
		return "release", "runtime release needs the release's directory"
	}
	if _, _, ok := releaseScript(l.Release); !ok {
		return "release", "there is no release here: " + l.Release + " has no releases/start_erl.data, or no bin/NAME that starts it"
	}
	return "", ""
}

func (releaseRuntime) argv(l *Launch, _ string) []string {
	script, mix, _ := releaseScript(l.Release)
	verb := "foreground"
	if mix {
		verb = "start"
	}
	return append([]string{script, verb}, l.Args...)
}

func (releaseRuntime) workDir(_, nodeDir string) string { return nodeDir }

// The script puts the cookie that it knows into the command line, where anybody can read it: it gets to know a decoy. Distribution
// starts, and applications do, before anything else could be evaluated.
func (releaseRuntime) distribution() string { return distOwn }

// node tells Mix releases by variables who the node is, and relx's by a vm.args of its own.
func (releaseRuntime) node(l *Launch, n nodeFacts) (env, files map[string]string) {
	kind := "name"
	if n.short {
		kind = "sname"
	}
	version, _ := releaseVersion(l.Release)
	file := "vm.args"
	if _, mix, _ := releaseScript(l.Release); mix {
		env = map[string]string{
			"RELEASE_DISTRIBUTION": kind,
			"RELEASE_NODE":         n.name,
			"RELEASE_COOKIE":       decoyCookie,
			"RELEASE_TMP":          filepath.Join(n.dir, "tmp"),
		}
		if text := readFile(filepath.Join(version, file)); n.proto && vmArgsTLS().MatchString(text) {
			env["RELEASE_VM_ARGS"] = filepath.Join(n.dir, file)
			files = map[string]string{file: vmArgsTLS().ReplaceAllString(text, "")}
		}
		return env, files
	}
	text := readFile(filepath.Join(version, file+".src")) // in which the script fills in variables
	if text != "" {
		file += ".src"
	} else {
		text = readFile(filepath.Join(version, file))
	}
	if n.proto {
		text = vmArgsTLS().ReplaceAllString(text, "")
	}
	text = vmArgsIdentity().ReplaceAllString(text, "") + "\n-" + kind + " " + n.name + "\n-setcookie " + decoyCookie + "\n"
	return map[string]string{
		"VMARGS_PATH":        filepath.Join(n.dir, "vm.args"),
		"RELX_OUT_FILE_PATH": n.dir, // where the script puts what it has filled in
	}, map[string]string{file: text}
}

// vmArgsIdentity matches the lines of a vm.args that say who the node is.
var vmArgsIdentity = lazy(`(?m)^\s*-(s?name|setcookie)\b.*$`)

// vmArgsTLS matches those that say how its distribution speaks TLS, which can be said once.
var vmArgsTLS = lazy(`(?m)^\s*-(proto_dist|ssl_dist_optfile|ssl_dist_opt)\b.*$`)

// releaseVersion returns the directory of a release's current version.
func releaseVersion(dir string) (version string, ok bool) {
	data := strings.Fields(readFile(filepath.Join(dir, "releases", "start_erl.data"))) // ERTS and release version
	if len(data) != 2 || !filepath.IsLocal(data[1]) {
		return "", false
	}
	return filepath.Join(dir, "releases", data[1]), true
}

// releaseScript finds the start script of a release, and which tool has made it.
func releaseScript(dir string) (script string, mix, ok bool) {
	version, ok := releaseVersion(dir)
	if !ok {
		return "", false, false
	}
	for _, rel := range glob(version, "*.rel") {
		script = filepath.Join(dir, "bin", strings.TrimSuffix(filepath.Base(rel), ".rel"))
		if executable(script) == nil {
			_, err := os.Stat(filepath.Join(version, "elixir"))
			return script, err == nil, true
		}
	}
	return "", false, false
}
