package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// ErrNoProject says that a directory holds nothing that can be started.
var ErrNoProject = errors.New("no Erlang or Elixir project here")

// detected is what a directory tells.
type detected struct {
	config Config
	marker string // the file by which it was known
	mesh   string // that by which Config.Mesh was
}

// detect looks into dir for a project of the runtime that is asked for, or of any if that is "": Mix (mix.exs), rebar3 (rebar.config),
// a release (releases/start_erl.data), plain Erlang (an Emakefile, or ebin directories with .app files). What l says already need not be
// found. It runs nothing.
func detect(dir, want string, l *Launch) (detected, error) {
	is := func(name string, marker bool) bool { return want == name || want == "" && marker }
	switch {
	case want == "command":
		return detected{}, nil
	case is("mix", isFile(dir, "mix.exs")):
		return detectMix(dir)
	case is("rebar3", isFile(dir, "rebar.config")):
		return detectRebar3(dir), nil
	case is("release", isFile(dir, "releases/start_erl.data")):
		return detectRelease(dir, l.Release), nil
	case want == "erl" && l.Ebin != nil: // it is told everything
		return detected{}, nil
	case is("erl", isFile(dir, "Emakefile") || len(glob(dir, "ebin/*.app")) > 0):
		d, err := detectErl(dir)
		if want != "" && errors.Is(err, ErrNoProject) { // bare nodes are fine if one asks for them
			err = nil
		}
		return d, err
	case want != "": // Validate knows better what to say of it
		return detected{}, nil
	}
	return detected{}, &checks.Finding{
		What: fmt.Sprintf("%s: %s has no %s, mix.exs, rebar.config, releases/start_erl.data, Emakefile or ebin/*.app", ErrNoProject, dir, ConfigName),
		Fix:  "go to the project's directory, or name it: -C DIR; or say in " + ConfigName + " what starts a node", Err: ErrNoProject,
	}
}

// mixApp finds `app: :name` in a mix.exs, and appsPath `apps_path: "apps"` of an umbrella. Reading is enough for what is a
// literal in every generated project, and it spares booting a BEAM to evaluate the file.
var (
	mixApp   = lazy(`(?m)^[^#\n]*\bapp:\s*:([a-z][a-zA-Z0-9_]*)`)
	appsPath = lazy(`(?m)^[^#\n]*\bapps_path:\s*"([^"]+)"`)
)

func detectMix(dir string) (detected, error) {
	apps, err := mixApps(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return detected{}, fmt.Errorf("%w: runtime mix needs %s", ErrNoProject, filepath.Join(dir, "mix.exs"))
	}
	if err != nil {
		return detected{}, fmt.Errorf("mix project: %w", err)
	}
	d := detected{marker: "mix.exs"}
	d.config.Launch = Launch{Runtime: "mix", Build: []string{"mix", "compile"}, Apps: apps}
	if d.mesh = clusteringLibrary(dir); d.mesh != "" {
		d.config.Mesh = MeshApp
	}
	return d, nil
}

func mixApps(dir string) (apps []string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "mix.exs")) //nolint:gosec // the user's own project
	if err != nil {
		return nil, err
	}
	if m := appsPath().FindSubmatch(b); m != nil {
		for _, f := range glob(dir, filepath.Join(string(m[1]), "*", "mix.exs")) {
			child, err := mixApps(filepath.Dir(f))
			if err != nil {
				return nil, err
			}
			apps = append(apps, child...)
		}
		return apps, nil
	}
	if m := mixApp().FindSubmatch(b); m != nil {
		apps = []string{string(m[1])}
	}
	return apps, nil
}

// clusteringLibrary tells by which file a Mix project is seen to connect its nodes by itself, or "". To depend on libcluster is not
// enough: it does nothing until it has a topology, in the configuration or as the argument of Cluster.Supervisor.
func clusteringLibrary(dir string) string {
	if !strings.Contains(readFile(filepath.Join(dir, "mix.lock")), `"libcluster":`) && !isDir(dir, "deps/libcluster") {
		return ""
	}
	for _, pattern := range []string{"config/*.exs", "lib/*.ex", "lib/*/*.ex", "lib/*/*/*.ex", "apps/*/lib/*.ex", "apps/*/lib/*/*.ex"} {
		for _, f := range glob(dir, pattern) {
			text := readFile(f)
			if strings.Contains(text, "Cluster.Supervisor") || strings.Contains(text, "config :libcluster") {
				rel, err := filepath.Rel(dir, f)
				if err != nil {
					rel = f
				}
				return "libcluster in " + rel
			}
		}
	}
	return ""
}

// shellConfig finds {config, "config/sys.config"}, the file that rebar3 shell takes.
var shellConfig = lazy(`(?m)^[^%\n]*\{\s*config\s*,\s*"([^"]+)"\s*\}`)

func detectRebar3(dir string) detected {
	d := detected{marker: "rebar.config"}
	d.config.Launch = Launch{Runtime: "rebar3", Build: []string{"rebar3", "compile"}, Ebin: rebar3Ebin}
	for _, pattern := range []string{"src/*.app.src", "apps/*/src/*.app.src", "lib/*/src/*.app.src"} {
		for _, f := range glob(dir, pattern) {
			d.config.Apps = append(d.config.Apps, strings.TrimSuffix(filepath.Base(f), ".app.src"))
		}
	}
	if m := shellConfig().FindStringSubmatch(readFile(filepath.Join(dir, "rebar.config"))); m != nil && isFile(dir, m[1]) {
		d.config.SysConfig = m[1]
	}
	return d
}

// detectRelease knows the application by the release's name, as both tools call it unless told otherwise.
func detectRelease(dir, release string) detected {
	d := detected{marker: "releases/start_erl.data"}
	d.config.Runtime = "release"
	if release == "" && isFile(dir, "releases/start_erl.data") {
		d.config.Release, release = dir, dir
	}
	if !filepath.IsAbs(release) {
		release = filepath.Join(dir, release)
	}
	script, _, ok := releaseScript(release)
	if app := filepath.Base(script); ok && len(glob(release, "lib/"+app+"-*/ebin/"+app+".app")) > 0 {
		d.config.Apps = []string{app}
	}
	return d
}

// ebinDirs are where compiled applications of a plain Erlang project are: its own, its parts, its dependencies.
var ebinDirs = []string{"ebin", "apps/*/ebin", "lib/*/ebin", "deps/*/ebin"}

func detectErl(dir string) (detected, error) {
	d := detected{marker: "ebin/*.app"}
	s := &d.config.Launch
	s.Runtime, s.Ebin = "erl", []string{}
	if isFile(dir, "Emakefile") {
		d.marker = "Emakefile"
		s.Build = []string{"erl", "-make"}
	}
	for _, pattern := range ebinDirs {
		for _, path := range glob(dir, pattern) {
			if rel, err := filepath.Rel(dir, path); err == nil {
				s.Ebin = append(s.Ebin, rel)
			}
		}
	}
	// The project's own applications are started; what they need they name themselves. erl -make doesn't
	// write ebin/NAME.app: it is checked in, as for every project that is built this way.
	for _, pattern := range []string{"ebin/*.app", "apps/*/ebin/*.app"} {
		for _, f := range glob(dir, pattern) {
			s.Apps = append(s.Apps, strings.TrimSuffix(filepath.Base(f), ".app"))
		}
	}
	if len(s.Apps) == 0 {
		return d, &checks.Finding{
			What: ErrNoProject.Error() + ": " + dir + " has an Emakefile, but no ebin/*.app that names the application", Cause: "erl -make compiles modules, and makes no .app file",
			Fix: "write ebin/NAME.app beside the modules; or start nodes that only have the code in ebin: --runtime erl, or `runtime: erl` in " + ConfigName, Err: ErrNoProject,
		}
	}
	return d, nil
}

// clusterNameFrom returns the first candidate that can be a cluster's name, its odd characters replaced.
func clusterNameFrom(candidates []string) string {
	for _, c := range candidates {
		name := strings.Map(func(r rune) rune {
			if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", r) {
				return r
			}
			return '-'
		}, c)
		name = strings.TrimLeft(name[:min(len(name), maxClusterName)], "-_")
		if name != "" {
			return name
		}
	}
	return "cluster"
}

func isFile(dir, name string) bool {
	fi, err := os.Stat(filepath.Join(dir, name))
	return err == nil && fi.Mode().IsRegular()
}

func isDir(dir, name string) bool {
	fi, err := os.Stat(filepath.Join(dir, name))
	return err == nil && fi.IsDir()
}

// glob returns what matches pattern below dir, which is taken literally.
func glob(dir, pattern string) []string {
	names, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
	if err != nil {
		return nil // only a bad pattern, and they are all ours
	}
	return names
}

var globMeta = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

func escapeGlob(path string) string { return globMeta.Replace(path) }
