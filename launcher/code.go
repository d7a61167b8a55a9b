package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
)

// ErrNoCode says that no compiled modules are where they should be.
var ErrNoCode = errors.New("there are no compiled modules")

// Code is the compiled code that a node runs, or is to run, as it is on disk.
type Code struct {
	Dirs  []string          // absolute, that it is the whole of, in the order of the node's code path: of two modules of one name the first counts
	Beams map[string]string // module → path of its .beam file
	Apps  []string          // paths of .app files
}

// beamSuffix and appSuffix are those of compiled modules and of application resource files.
const (
	beamSuffix = ".beam"
	appSuffix  = ".app"
)

// readCode lists what is in directories. Those that are not there hold nothing: a build may just be making them anew.
func readCode(dirs []string) (Code, error) {
	c := Code{Dirs: dirs, Beams: make(map[string]string)}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return c, fmt.Errorf("compiled modules: %w", err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if strings.HasSuffix(e.Name(), appSuffix) {
				c.Apps = append(c.Apps, path)
			}
			if module, ok := strings.CutSuffix(e.Name(), beamSuffix); ok && c.Beams[module] == "" {
				c.Beams[module] = path
			}
		}
	}
	return c, nil
}

// CodeAt finds the code that files and directories hold: a directory with all that is below it. Of the folder of a file that is named
// by itself nothing is said: what else was loaded from there stays. Protocols that were consolidated take the place of those that were
// not; anything else that is there twice is an error.
func CodeAt(paths []string) (Code, error) {
	c := Code{Beams: make(map[string]string)}
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return c, err
		}
		if abs, err = filepath.EvalSymlinks(abs); errors.Is(err, fs.ErrNotExist) {
			return c, &checks.Finding{What: "there is no file or directory " + p, Err: err}
		} else if err != nil {
			return c, err
		}
		if err := filepath.WalkDir(abs, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return c.add(path, path != abs)
		}); err != nil {
			return c, err
		}
	}
	if len(c.Beams) == 0 {
		return c, fmt.Errorf("%w below %s", ErrNoCode, strings.Join(paths, ", "))
	}
	return c, nil
}

// add takes a file in, if it is one of code; walked says that all others of its folder are, too.
func (c *Code) add(path string, walked bool) error {
	dir := filepath.Dir(path)
	module, ok := strings.CutSuffix(filepath.Base(path), beamSuffix)
	switch {
	case ok:
		old := c.Beams[module]
		switch {
		case old == "", consolidated(path) && !consolidated(old):
			c.Beams[module] = path
		case old != path && consolidated(path) == consolidated(old):
			return fmt.Errorf("two files are module %s: %s and %s", module, old, path)
		}
	case strings.HasSuffix(path, appSuffix):
		c.Apps = append(c.Apps, path)
	default:
		return nil
	}
	if walked && !slices.Contains(c.Dirs, dir) {
		c.Dirs = append(c.Dirs, dir)
	}
	return nil
}

// folders are those in which it is, wholly or in part.
func (c *Code) folders() []string {
	dirs := slices.Clone(c.Dirs)
	for _, path := range c.Beams {
		dirs = append(dirs, filepath.Dir(path))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// consolidatedDir is the name of the directory in which Mix has the protocols whose implementations it has gathered. Those take
// the place of what was compiled: a node with the latter would look for implementations at each call.
const consolidatedDir = "consolidated"

func consolidated(path string) bool { return filepath.Base(filepath.Dir(path)) == consolidatedDir }

// Code returns the code that the nodes of a cluster run, for each by its name. Nodes that run the same share it.
func (s *Spec) Code() (map[string]*Code, error) {
	byDirs := make(map[string]*Code)
	out := make(map[string]*Code)
	for i := range s.Nodes {
		l := s.launch(&s.Nodes[i])
		dirs := runtimes[l.Runtime].codeDirs(&l, s.Dir, projectEnv(os.Environ(), &l))
		key := strings.Join(dirs, "\x00")
		if byDirs[key] == nil {
			c, err := readCode(dirs)
			if err != nil {
				return nil, err
			}
			byDirs[key] = &c
		}
		out[s.Nodes[i].Name] = byDirs[key]
	}
	return out, nil
}

// pinned are the variables that decide where a build puts its results.
var pinned = []string{"MIX_ENV", "MIX_TARGET", "MIX_BUILD_PATH", "MIX_BUILD_ROOT"}

// buildEnv is what the user's environment, or else the runtime, says of where a build puts its results.
func buildEnv(runtime string, user map[string]string) map[string]string {
	rt := runtimes[runtime]
	if rt == nil {
		return nil
	}
	env := rt.env(user)
	if runtime == "mix" {
		for _, k := range pinned {
			if v := user[k]; v != "" && !strings.Contains(v, "{{") { // which would be a template
				env = merged(env, map[string]string{k: v})
			}
		}
	}
	return env
}

// Pin makes part of the spec what the user's environment (KEY=VALUE), or a runtime, says of where the code is: so that it is looked for there
// also from a shell in which these variables are different. Start does so, and Resolve for the runtime of the cluster.
func (s *Spec) Pin(environ []string) {
	user := environment(environ)
	s.Env = merged(buildEnv(s.Runtime, user), s.Env)
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Runtime != "" && n.Runtime != s.Runtime {
			n.Env = merged(buildEnv(n.Runtime, user), n.Env)
		}
	}
}

// mixBuildPath finds `build_path: "../../_build"`, which every application of an umbrella has.
var mixBuildPath = lazy(`(?m)^[^#\n]*\bbuild_path:\s*"([^"]+)"`)

// codeDirs are those of Mix.Project.build_path/1, and first its consolidation_path/1: for an umbrella beside lib, for an application
// in its own directory.
func (mixRuntime) codeDirs(_ *Launch, project string, env map[string]string) []string {
	text := readFile(filepath.Join(project, "mix.exs"))
	root := "_build"
	if m := mixBuildPath().FindStringSubmatch(text); m != nil {
		root = m[1]
	}
	root = cmp.Or(env["MIX_BUILD_ROOT"], root)
	build := env["MIX_ENV"]
	if t := env["MIX_TARGET"]; t != "" && t != "host" {
		build = t + "_" + build
	}
	build = cmp.Or(env["MIX_BUILD_PATH"], filepath.Join(root, build))
	if !filepath.IsAbs(build) {
		build = filepath.Join(project, build)
	}
	var dirs []string
	if appsPath().MatchString(text) {
		dirs = []string{filepath.Join(build, consolidatedDir)}
	} else if apps, err := mixApps(project); err == nil && len(apps) == 1 {
		dirs = []string{filepath.Join(build, "lib", apps[0], consolidatedDir)}
	}
	return append(dirs, glob(build, "lib/*/ebin")...)
}

// codeDirs are in the order in which code_server has them: each -pa goes before those that it has already.
func (erlRuntime) codeDirs(l *Launch, project string, _ map[string]string) []string {
	dirs := ebins(l.Ebin, project)
	slices.Reverse(dirs)
	return dirs
}

func (r rebar3Runtime) codeDirs(l *Launch, project string, env map[string]string) []string {
	o := *l
	if o.Ebin == nil {
		o.Ebin = rebar3Ebin
	}
	return r.erlRuntime.codeDirs(&o, project, env)
}

// codeDirs says nothing: what a command runs, it alone knows.
func (commandRuntime) codeDirs(*Launch, string, map[string]string) []string { return nil }

// codeDirs are those of the applications that the release's .rel file lists: lib may hold other versions of them, too.
func (releaseRuntime) codeDirs(l *Launch, _ string, _ map[string]string) []string {
	version, ok := releaseVersion(l.Release)
	if !ok {
		return nil
	}
	dirs := []string{filepath.Join(version, consolidatedDir)} // of mix release
	for _, file := range glob(version, "*.rel") {
		if filepath.Base(file) == "start_clean.rel" { // relx's, a part of the other
			continue
		}
		for _, app := range releaseApps(readFile(file)) {
			dirs = append(dirs, filepath.Join(l.Release, "lib", app, "ebin"))
		}
	}
	return dirs
}

// releaseApps reads {release, {Name, Vsn}, {erts, Vsn}, [{App, Vsn, …}]} (rel(4)), and returns App-Vsn of each.
func releaseApps(rel string) []string {
	t, err := etf.Parse(rel)
	tuple, ok := t.(etf.Tuple)
	if err != nil || !ok || len(tuple) != 4 {
		return nil
	}
	list, _ := tuple[3].(etf.List)
	var apps []string
	for _, e := range list {
		var (
			name etf.Atom
			vsn  string
		)
		e, ok := e.(etf.Tuple)
		if !ok || len(e) < 2 || etf.Assign(e[0], &name) != nil || etf.Assign(e[1], &vsn) != nil || !filepath.IsLocal(string(name)+"-"+vsn) {
			continue
		}
		apps = append(apps, string(name)+"-"+vsn)
	}
	return apps
}
