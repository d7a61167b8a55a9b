package launcher

import (
	"os"
	"path/filepath"
)

// lost lists the modules of the project's own that its .app files have and that are not there: a build that fails leaves such, for Mix and
// erlc delete what they are going to write. No later build that comes to its end leaves any, so that it does not count when the last was.
func (p *product) lost() (out []StaleSource) {
	if p.foreign {
		return nil
	}
	st, err := os.Stat(p.dir)
	if err != nil {
		return nil
	}
	for _, file := range glob(p.dir, "*"+appSuffix) {
		app, err := readAppFile(file)
		if err != nil { // being written
			continue
		}
		for _, module := range app.modules() {
			if isFile(p.dir, module+beamSuffix) {
				continue
			}
			if one, ok := p.lostModule(file, string(app.name), module); ok {
				one.Changed = st.ModTime().UTC()
				out = append(out, one)
			}
		}
	}
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
