package launcher

import (
	"cmp"
	"errors"
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

// StaleSource is a source that was changed after it was compiled, or never was.
type StaleSource struct {
	Source  string    `json:"source"`         // relative to the project, if it is below
	Beam    string    `json:"beam,omitempty"` // what was compiled from it; "": nothing
	Changed time.Time `json:"changed"`
}

func (s StaleSource) String() string {
	if s.Beam == "" {
		return s.Source + " is not compiled"
	}
	return s.Source + " is newer than " + s.Beam
}

// Stale returns the sources of the project's own code that were changed after they were compiled, by name. Dependencies (what is below deps
// or _build) have no part in it, nor has code whose sources are not there. Build tools that compare contents leave old files as they
// are where nothing has changed; so what was changed before built, when a build that succeeded began, is not stale.
func (s *Spec) Stale(built time.Time) ([]StaleSource, error) {
	found := make(map[string]StaleSource)
	err := s.products(built, func(p *product, dir string) {
		for _, f := range append(p.stale(), p.notIn(dir)...) {
			found[f.Source] = f
		}
	})
	return slices.SortedFunc(maps.Values(found), func(a, b StaleSource) int { return cmp.Compare(a.Source, b.Source) }), err
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
			p := product{spec: s, dir: first(buildOf(dir), dir), built: built}
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
	manifest time.Time               // of Mix: when it last looked at the sources, in seconds; zero: another tool's
	compiled map[string]time.Time    // source → of the oldest beam made of it
	beam     map[string]string       // source → that beam
	sums     map[string]codesync.Sum // file name → of the module
	copied   bool                    // it was compiled in another place
	oldest   time.Time               // of all beams
	newest   time.Time
}

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
	p.compiled, p.beam, p.sums = make(map[string]time.Time), make(map[string]string), make(map[string]codesync.Sum)
	if st, err := os.Stat(filepath.Join(filepath.Dir(p.dir), ".mix", "compile.elixir")); err == nil {
		p.manifest = st.ModTime()
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
			return
		case whose != ours:
			continue
		}
		p.sums[filepath.Base(path)] = b.Sum
		at := st.ModTime()
		if old, ok := p.compiled[source]; !ok || at.Before(old) {
			p.compiled[source], p.beam[source] = at, path
		}
		if p.oldest.IsZero() || at.Before(p.oldest) {
			p.oldest = at
		}
		if at.After(p.newest) {
			p.newest = at
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
			out = append(out, StaleSource{relative(filepath.Join(p.dir, name), p.spec.Dir), relative(path, p.spec.Dir), st.ModTime().UTC()})
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

// pair is a source, or a header, and what was compiled of it; both are paths.
type pair struct{ source, beam string }

// outdated lists the sources and headers that are newer than what was made of them, with all of that.
func (p *product) outdated() []pair {
	var out []pair
	for source, at := range p.compiled {
		if st, err := os.Stat(source); err == nil && p.newer(st.ModTime(), at) {
			out = append(out, pair{source, p.beam[source]})
		}
	}
	for header, sources := range p.changedHeaders(p.dirs()) {
		for _, source := range sources {
			out = append(out, pair{header, p.beam[source]})
		}
	}
	slices.SortFunc(out, func(a, b pair) int { return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(b.beam, a.beam)) })
	return out
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
			add(o.source, o.beam, st.ModTime())
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
			if st, err := e.Info(); err == nil && p.newer(st.ModTime(), p.newest) && st.ModTime().After(p.built) {
				add(path, "", st.ModTime())
			}
		}
	}
	return out
}

// newer tells whether a source that was changed at one time is not in what was compiled at another.
func (p *product) newer(changed, compiled time.Time) bool {
	if !p.manifest.IsZero() {
		// Mix gives its manifest, and what it has compiled, the second in which it began; it looks again at what is of a later one.
		return changed.Truncate(time.Second).After(p.manifest) && changed.After(p.built)
	}
	if p.copied { // sources and beams one after the other, at once
		changed, compiled = changed.Truncate(time.Second), compiled.Truncate(time.Second)
	}
	if !changed.After(compiled) {
		return false
	}
	// Erlang's tools compare seconds: of a change in that in which they have compiled they never know.
	return changed.After(p.built) || changed.Truncate(time.Second).Equal(compiled.Truncate(time.Second))
}

// includes matches -include("a.hrl") and -include_lib("app/include/a.hrl").
var includes = lazy(`(?m)^\s*-include(?:_lib)?\(\s*"([^"]+)"`)

// changedHeaders returns the .hrl files that were changed after a source that includes them was compiled, with all such sources.
// Which file an include means is decided by its name alone.
func (p *product) changedHeaders(dirs map[string]bool) map[string][]string {
	changed := make(map[string]string) // name → path
	for dir := range dirs {
		for _, f := range append(glob(dir, "*.hrl"), glob(filepath.Dir(dir), "include/*.hrl")...) {
			if st, err := os.Stat(f); err == nil && p.newer(st.ModTime(), p.oldest) && st.ModTime().After(p.built) {
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
				if st, err := os.Stat(header); err == nil && st.ModTime().After(compiled) {
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
