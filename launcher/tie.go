package launcher

import (
	"os"
	"time"
)

// untie makes modules a second older whose sources were changed in the very second in which they were compiled, but later: build tools that
// compare whole seconds (erl -make and rebar3, by filelib:last_modified/1) would leave them as they are, and nodes would run the old code. In a
// project that was just copied all are such pairs, for one cannot tell which were changed since: it is compiled anew, as in a place of its
// own. A module that must not be touched stays as it is: if its build overlooks it, that is told then.
func (s *Spec) untie() {
	_ = s.products(time.Time{}, func(p *product, _ string) {
		p.copied = false
		for _, o := range p.outdated() {
			changed, err := os.Stat(o.source)
			if err != nil {
				continue
			}
			compiled, err := os.Stat(o.beam)
			if err != nil {
				continue
			}
			second := compiled.ModTime().Truncate(time.Second)
			if changed.ModTime().Truncate(time.Second).Equal(second) {
				_ = os.Chtimes(o.beam, time.Time{}, second.Add(-time.Second))
			}
		}
	}) // what cannot be read here, the nodes cannot either: that is told when they are to run it
}
