package launcher

import (
	"os"
	"time"
)

// backdate makes a second older what was made, in the very second in which they were changed, of sources that were changed later in it: build
// tools that compare whole seconds (erl -make, rebar3, and Mix for Erlang's sources) would leave it as it is, and nodes would run the old
// code. For Elixir's sources Mix compares its manifest; then it looks into those that are newer. In a
// project that was just copied all are such pairs, for one cannot tell which were changed since: it is compiled anew, as in a place of its
// own. A module that must not be touched stays as it is: if its build overlooks it, that is told then.
func (s *Spec) backdate() {
	_ = s.products(time.Time{}, func(p *product, _ string) {
		p.copied = p.copied && p.mix()
		for _, o := range p.outdated() {
			changed, err := os.Stat(o.source)
			if err != nil {
				continue
			}
			second := o.made.at.Truncate(time.Second)
			if !changed.ModTime().Truncate(time.Second).Equal(second) {
				continue
			}
			path := o.made.path
			if p.mix() && !isErlang(o.source) {
				path = p.manifest.path
			}
			before := second.Add(-time.Second)
			if st, err := os.Stat(path); err == nil && st.ModTime().After(before) { // as it is not if another source was changed earlier
				_ = os.Chtimes(path, time.Time{}, before)
			}
		}
	}) // what cannot be read here, the nodes cannot either: that is told when they are to run it
}
