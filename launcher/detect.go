package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ErrNoProject says that a directory holds nothing that can be started.
var ErrNoProject = errors.New("no Erlang or Elixir project here")

// Detect makes a Spec of what it finds in dir, with DefaultCount nodes: a Mix project (mix.exs), or plain Erlang
// (an Emakefile, or ebin directories with .app files). It runs nothing.
func Detect(dir string) (Spec, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Spec{}, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Spec{}, fmt.Errorf("project directory: %w", err)
	}
	var s Spec
	switch {
	case isFile(dir, "mix.exs"):
		s, err = detectMix(dir)
	case isFile(dir, "Emakefile") || len(glob(dir, "ebin/*.app")) > 0:
		s, err = detectErl(dir)
	default:
		return Spec{}, fmt.Errorf("%w: %s has no mix.exs, no Emakefile and no ebin/*.app", ErrNoProject, dir)
	}
	if err != nil {
		return Spec{}, err
	}
	s.Dir = dir
	s.Cluster = clusterNameFrom(append(slices.Clone(s.Apps[:min(1, len(s.Apps))]), filepath.Base(dir)))
	s.Nodes = NodeNames(DefaultName, DefaultCount)
	return s.withDefaults(), nil
}

// mixApp finds `app: :name` in a mix.exs, and appsPath `apps_path: "apps"` of an umbrella. Reading is enough for what is a
// literal in every generated project, and it spares booting a BEAM to evaluate the file.
var (
	mixApp   = regexp.MustCompile(`(?m)^[^#\n]*\bapp:\s*:([a-z][a-zA-Z0-9_]*)`)
	appsPath = regexp.MustCompile(`(?m)^[^#\n]*\bapps_path:\s*"([^"]+)"`)
)

func detectMix(dir string) (Spec, error) {
	b, err := os.ReadFile(filepath.Join(dir, "mix.exs")) //nolint:gosec // the user's own project
	if err != nil {
		return Spec{}, fmt.Errorf("mix project: %w", err)
	}
	s := Spec{Runtime: "mix", Build: []string{"mix", "compile"}}
	if m := appsPath.FindSubmatch(b); m != nil {
		for _, f := range glob(dir, filepath.Join(string(m[1]), "*", "mix.exs")) {
			child, err := detectMix(filepath.Dir(f))
			if err != nil {
				return Spec{}, err
			}
			s.Apps = append(s.Apps, child.Apps...)
		}
		return s, nil
	}
	if m := mixApp.FindSubmatch(b); m != nil {
		s.Apps = []string{string(m[1])}
	}
	return s, nil
}

// ebinDirs are where compiled applications of a plain Erlang project are: its own, its parts, its dependencies.
var ebinDirs = []string{"ebin", "apps/*/ebin", "lib/*/ebin", "deps/*/ebin"}

func detectErl(dir string) (Spec, error) {
	s := Spec{Runtime: "erl", Paths: []string{}}
	if isFile(dir, "Emakefile") {
		s.Build = []string{"erl", "-make"}
	}
	for _, pattern := range ebinDirs {
		s.Paths = append(s.Paths, glob(dir, pattern)...)
	}
	// The project's own applications are started; what they need they name themselves. erl -make doesn't
	// write ebin/NAME.app: it is checked in, as for every project that is built this way.
	for _, pattern := range []string{"ebin/*.app", "apps/*/ebin/*.app"} {
		for _, f := range glob(dir, pattern) {
			s.Apps = append(s.Apps, strings.TrimSuffix(filepath.Base(f), ".app"))
		}
	}
	if len(s.Apps) == 0 {
		return Spec{}, fmt.Errorf("%w: %s has an Emakefile, but no ebin/*.app that names the application", ErrNoProject, dir)
	}
	return s, nil
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
