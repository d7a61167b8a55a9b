package launcher

import (
	"os"
	"path/filepath"
)

// lost lists the modules of the project's own that are absent. No build that comes to its end leaves any, so that it does not count when the
// last was.
func (p *product) lost() (out []StaleSource) {
	if p.foreign {
		return nil
	}
	st, err := os.Stat(p.dir)
	if err != nil {
		return nil
	}
	absent(glob(p.dir, "*"+appSuffix), func(m string) bool { return isFile(p.dir, m+beamSuffix) }, func(file, app, m string) {
		if one, ok := p.lostModule(file, app, m); ok {
			one.Changed = st.ModTime().UTC()
			out = append(out, one)
		}
	})
	return out
}

// lostModule tells of a module that an .app file lists whether it should be there, and what is not compiled. What Mix writes it has seen.
// A list that was written by hand may be wrong, and counts if there is a source.
func (p *product) lostModule(file, app, module string) (StaleSource, bool) {
	source, whose := p.owner(filepath.Join(filepath.Dir(p.dir), "src", module+".erl"))
	switch {
	case whose == ours:
		return StaleSource{Source: relative(source, p.spec.Dir)}, true
	case p.mix() && !isDir(p.spec.Dir, filepath.Join("deps", app)):
		return StaleSource{Source: relative(file, p.spec.Dir), Module: module}, true
	}
	return StaleSource{}, false
}
