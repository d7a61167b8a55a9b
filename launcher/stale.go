package launcher

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/node/codesync"
)

// ErrStale says that what would run is not what the sources say, or not what is on disk.
var ErrStale = errors.New("the code is stale")

// StaleSource is a source that was changed after it was compiled, or never was; or an .app file that lists a module which is not there.
type StaleSource struct {
	Source  string    `json:"source"`           // relative to the project, if it is below
	Beam    string    `json:"beam,omitempty"`   // what was compiled from it; "": nothing
	Module  string    `json:"module,omitempty"` // that Source, an .app file, lists
	Changed time.Time `json:"changed"`
}

func (s StaleSource) String() string {
	switch {
	case s.Module != "":
		return s.Source + " lists module " + s.Module + ", which is not there"
	case s.Beam == "":
		return s.Source + " is not compiled"
	}
	return s.Source + " is newer than " + s.Beam
}

// Stale returns the sources of the project's own code that were changed after they were compiled, by name, and the .app files of which
// modules are not there. Dependencies (what is below deps
// or _build) have no part in it, nor has code whose sources are not there. Build tools that compare contents leave old files as they
// are where nothing has changed; so what was changed before built, when a build that succeeded began, is not stale.
func (s *Spec) Stale(built time.Time) ([]StaleSource, error) {
	type key struct{ source, module string }
	found := make(map[key]StaleSource)
	err := s.products(built, func(p *product, dir string) {
		for _, f := range slices.Concat(p.lost(), p.stale(), p.notIn(dir)) {
			found[key{f.Source, f.Module}] = f
		}
	})
	return slices.SortedFunc(maps.Values(found), func(a, b StaleSource) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Module, b.Module))
	}), err
}

// products visits what was compiled into each of the directories from which nodes take their code.
func (s *Spec) products(built time.Time, visit func(p *product, dir string)) error {
	codes, err := s.Code()
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, code := range codes {
		for _, dir := range code.Dirs {
			if seen[dir] || consolidated(filepath.Join(dir, "x")) {
				continue
			}
			seen[dir] = true
			p := product{spec: s, dir: cmp.Or(buildOf(dir), dir), built: built}
			p.read()
			visit(&p, dir)
		}
	}
	return nil
}

// product is what was compiled into one directory, and from what.
type product struct {
	spec     *Spec
	dir      string
	built    time.Time
	manifest made                    // of Mix: its time is when it last looked at Elixir's sources, in seconds; zero: another tool's
	compiled map[string]made         // source → the oldest of what was made of it
	sums     map[string]codesync.Sum // file name → of the module
	foreign  bool                    // they are somebody else's
	copied   bool                    // it was compiled in another place
	oldest   time.Time               // of all beams
	newest   made
}

// made is a file that a build has written.
type made struct {
	path    string
	at      time.Time // as the build has it
	written time.Time // when that was: Mix gives what it makes the second in which it began
}

func madeOf(path string, st fs.FileInfo) made { return made{path, st.ModTime(), statusChanged(st)} }

// buildOf returns the directory from which a directory LIB/APP-VSN/ebin of a release was made, if the release is where Mix and rebar3 make it:
// in _build/ENV/rel/NAME, of _build/ENV/lib/APP/ebin.
func buildOf(ebin string) string {
	app, _, versioned := strings.Cut(filepath.Base(filepath.Dir(ebin)), "-")
	rel := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(ebin))))
	if build := filepath.Join(filepath.Dir(rel), "lib", app, "ebin"); versioned && filepath.Base(rel) == "rel" && isDir(build, ".") {
		return build
	}
	return ""
}

// read finds out what the directory's modules were made of. The first that says so tells whether they are the project's own. What
// cannot be read says nothing here: the nodes will.
func (p *product) read() {
	p.compiled, p.sums = make(map[string]made), make(map[string]codesync.Sum)
	manifest := filepath.Join(filepath.Dir(p.dir), ".mix", "compile.elixir")
	if st, err := os.Stat(manifest); err == nil {
		p.manifest = madeOf(manifest, st)
	}
	for _, path := range glob(p.dir, "*"+beamSuffix) {
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		b, err := codesync.Read(path)
		if err != nil {
			continue
		}
		source, whose := p.owner(b.Source)
		switch {
		case whose == foreign && len(p.compiled) == 0:
			p.foreign = true
			return
		case whose != ours:
			continue
		}
		p.sums[filepath.Base(path)] = b.Sum
		at := st.ModTime()
		if old, ok := p.compiled[source]; !ok || at.Before(old.at) {
			p.compiled[source] = madeOf(path, st)
		}
		if p.oldest.IsZero() || at.Before(p.oldest) {
			p.oldest = at
		}
		if at.After(p.newest.at) {
			p.newest = madeOf(path, st)
		}
	}
}

// notIn returns the modules that another directory, a release's, has in another version.
func (p *product) notIn(dir string) []StaleSource {
	var out []StaleSource
	for name, sum := range p.sums {
		path := filepath.Join(dir, name)
		b, err := codesync.Read(path)
		if dir == p.dir || err != nil || b.Sum == sum {
			continue
		}
		if st, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			out = append(out, StaleSource{Source: relative(filepath.Join(p.dir, name), p.spec.Dir), Beam: relative(path, p.spec.Dir), Changed: st.ModTime().UTC()})
		}
	}
	return out
}

// owner tells whose a source is, and its real path: rebar3 has links to the sources below _build. What is below deps or _build, or unknown
// (stripped), is somebody else's, with all of its directory.
func (p *product) owner(source string) (string, owned) {
	if source == "" {
		return "", foreign
	}
	if here := p.moved(source); here != source {
		source, p.copied = here, true
	}
	path, err := filepath.EvalSymlinks(source)
	if err != nil {
		if path = relative(source, p.spec.Dir); filepath.IsLocal(path) {
			return "", gone
		}
		return "", foreign
	}
	for part := range strings.SplitSeq(filepath.ToSlash(relative(path, p.spec.Dir)), "/") {
		if part == "deps" || part == "_build" {
			return "", foreign
		}
	}
	return path, ours
}

// moved returns where a source is now: a project that was copied or moved after it was compiled (into a container, from a cache) has
// beams that name the old place. It is the longest end of the old path that is there below the project.
func (p *product) moved(source string) string {
	if filepath.IsLocal(relative(source, p.spec.Dir)) {
		return source
	}
	parts := strings.Split(filepath.ToSlash(filepath.Clean(source)), "/")
	for i := 1; i < len(parts)-1; i++ {
		here := filepath.Join(append([]string{p.spec.Dir}, parts[i:]...)...)
		if st, err := os.Stat(here); err == nil && st.Mode().IsRegular() {
			return here
		}
	}
	return source
}

// owned is whose a source is.
type owned int

const (
	ours    owned = iota // the project's
	gone                 // the project's, and not there any more
	foreign              // a dependency's, or not known
)

// pair is a source, a header or a template, and what was made of it.
type pair struct {
	source string
	made   made
}

// outdated lists the sources and what is read with them that are newer than what was made of them, with all of that.
func (p *product) outdated() []pair {
	var out []pair
	for source, m := range p.compiled {
		if p.outdates(source, m) {
			out = append(out, pair{source, m})
		}
		// Of a grammar a source is made first, beside it.
		st, err := os.Stat(source)
		for _, ext := range []string{".xrl", ".yrl"} {
			if grammar := strings.TrimSuffix(source, ".erl") + ext; err == nil && p.outdates(grammar, madeOf(source, st)) {
				out = append(out, pair{grammar, madeOf(source, st)})
			}
		}
	}
	for _, path := range p.templates() {
		if p.outdates(path, p.manifest) {
			out = append(out, pair{path, p.manifest})
		}
	}
	for header, sources := range p.changedHeaders(p.dirs()) {
		for _, source := range sources {
			out = append(out, pair{header, p.compiled[source]})
		}
	}
	slices.SortFunc(out, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(b.made.path, a.made.path))
	})
	return out
}

// outdates tells whether a file is there, and newer than what was made of it.
func (p *product) outdates(source string, m made) bool {
	st, err := os.Stat(source)
	return err == nil && p.newer(source, st.ModTime(), m)
}

// dirs are those of the sources.
func (p *product) dirs() map[string]bool {
	dirs := make(map[string]bool)
	for source := range p.compiled {
		dirs[filepath.Dir(source)] = true
	}
	return dirs
}

// stale lists the sources that are newer than what was made of them, and those of which nothing was.
func (p *product) stale() []StaleSource {
	var out []StaleSource
	add := func(source, beam string, at time.Time) {
		out = append(out, StaleSource{Source: relative(source, p.spec.Dir), Beam: relative(beam, p.spec.Dir), Changed: at.UTC()})
	}
	for _, o := range p.outdated() {
		if st, err := os.Stat(o.source); err == nil {
			add(o.source, o.made.path, st.ModTime())
		}
	}
	for dir := range p.dirs() { // what is there and was never compiled
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			ext := filepath.Ext(path)
			if _, known := p.compiled[path]; known || ext != ".ex" && ext != ".erl" {
				continue
			}
			// One that the build leaves out was so already when that was done.
			if st, err := e.Info(); err == nil && p.newer(path, st.ModTime(), p.newest) && st.ModTime().After(p.built) {
				add(path, "", st.ModTime())
			}
		}
	}
	return out
}

// templates are those of Mix, which modules have within them: of which, only Mix's manifest says.
func (p *product) templates() (paths []string) {
	if !p.mix() {
		return nil
	}
	seen := make(map[string]bool)
	for dir := range p.dirs() {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what cannot be read is not compiled either
			if err == nil && d.IsDir() && seen[path] {
				return fs.SkipDir
			}
			seen[path] = true
			if slices.Contains([]string{".eex", ".heex", ".leex"}, filepath.Ext(path)) {
				paths = append(paths, path)
			}
			return nil
		})
	}
	return paths
}

func (p *product) mix() bool { return p.manifest.path != "" }

// newer tells whether a source that was changed at one time is not in what was made of it.
func (p *product) newer(source string, changed time.Time, m made) bool {
	second, made := changed.Truncate(time.Second), m.at.Truncate(time.Second)
	switch {
	case isGrammar(source): // what was made of it may have come with it, at once and in any order
		return second.After(made) && changed.After(p.built)
	case p.mix() && second.Equal(made):
		// Mix looks at what is of a later second (or another size). In a copy sources and what was made of them are as old, in any order.
		return !p.copied && !changed.Before(m.written) && changed.After(p.built)
	case p.mix() && !isErlang(source):
		return second.After(p.manifest.at) && changed.After(p.built)
	case p.copied: // sources and beams one after the other, at once
		return second.After(made) && changed.After(p.built)
	}
	// Erlang's tools compare seconds, too: of a change in that in which they have compiled they never know.
	return changed.After(m.at) && (second.Equal(made) || changed.After(p.built))
}

func isGrammar(source string) bool {
	return slices.Contains([]string{".xrl", ".yrl"}, filepath.Ext(source))
}

func isErlang(source string) bool {
	return slices.Contains([]string{".erl", ".hrl"}, filepath.Ext(source))
}

// includes matches -include("a.hrl") and -include_lib("app/include/a.hrl").
var includes = lazy(`(?m)^\s*-include(?:_lib)?\(\s*"([^"]+)"`)

// changedHeaders returns the .hrl files that were changed after a source that includes them was compiled, with all such sources.
// Which file an include means is decided by its name alone.
func (p *product) changedHeaders(dirs map[string]bool) map[string][]string {
	changed := make(map[string]string) // name → path
	for dir := range dirs {
		for _, f := range append(glob(dir, "*.hrl"), glob(filepath.Dir(dir), "include/*.hrl")...) {
			if st, err := os.Stat(f); err == nil && st.ModTime().After(p.oldest) && st.ModTime().After(p.built) {
				changed[filepath.Base(f)] = f
			}
		}
	}
	out := make(map[string][]string)
	if len(changed) == 0 { // nearly always
		return out
	}
	for source, compiled := range p.compiled {
		seen := make(map[string]bool)
		var visit func(path string)
		visit = func(path string) {
			for _, m := range includes().FindAllStringSubmatch(readFile(path), -1) {
				name := filepath.Base(m[1])
				if seen[name] {
					continue
				}
				seen[name] = true
				header := changed[name]
				if header != "" && p.outdates(header, compiled) {
					out[header] = append(out[header], source)
				}
				for dir := range dirs {
					visit(filepath.Join(dir, name))
					visit(filepath.Join(filepath.Dir(dir), "include", name))
				}
			}
		}
		visit(source)
	}
	return out
}
