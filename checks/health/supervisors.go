package health

import (
	"context"
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
)

// branches is the supervision tree as children by path: true are those that run.
var branches = &fact[map[string]bool]{func(ctx context.Context, x *exam) (map[string]bool, error) {
	found, err := tree.of(ctx, x)
	m := make(map[string]bool)
	for _, s := range found {
		for _, c := range s.children {
			_, runs := c.Pid.(etf.Pid)
			m[c.path(s.path)] = runs
		}
	}
	return m, err
}}

func supervisors(ctx context.Context, x *exam) (Cell, error) {
	found, err := tree.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, whichCall, "the application controller does not answer")
	}
	var hung, restarting, idle []string
	children, large := 0, 0
	for _, s := range found {
		if s.hangs() {
			hung = append(hung, s.path)
		}
		if s.large {
			large++
		}
		for _, c := range s.children {
			if c.Pid == etf.Atom("restarting") {
				restarting = append(restarting, c.path(s.path))
			} else if _, runs := c.Pid.(etf.Pid); runs {
				children++
			} else {
				idle = append(idle, c.path(s.path))
			}
		}
	}
	restarted, err := x.restarted(ctx)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:process_info/2", "")
	}
	missing := absentees(idle, branches.everywhere(ctx, x))
	f := &checks.Finding{}
	switch {
	case len(hung) > 0:
		f.Saw = listed(hung) + fmt.Sprintf(" did not answer within %v", x.limits.Answer)
		f.Cause = "a supervisor waits while it starts or stops a child: the child's init or terminate hangs"
	case len(restarting) > 0:
		f.Saw = "being restarted: " + listed(restarting)
		f.Cause = "the child fails to start again, and its supervisor keeps trying"
	case len(missing) > 0:
		f.Saw = "not running: " + listed(missing)
		f.Cause = "most other nodes run it; here it was terminated and not restarted, or its init returned ignore"
	case len(restarted) > 0:
		c, _ := ok("ended while it was looked at: %s", listed(restarted))
		c.Status, c.Cause = Warn, "the child crashes, or is killed, and is started again, over and over"
		return c, nil
	default:
		c, _ := ok("%s", count(children, "child", "children")) // one whose init returned ignore is no fault, and would look like one
		if large > 0 {
			c.Saw += fmt.Sprintf("; %d supervisors with over %d not looked into", large, maxChildren)
		}
		c.Values = map[string]float64{"supervisors": float64(len(found)), "children": float64(children), "not_started": float64(len(idle))}
		return c, nil
	}
	return Cell{}, f
}

// restarted are the children that have ended since they were listed, a moment ago, and that their supervisor has started again, or is about
// to: not those that had done their work, which it lists no more.
func (x *exam) restarted(ctx context.Context) ([]string, error) {
	all, err := working.of(ctx, x)
	if err != nil {
		return nil, err
	}
	again := map[*supervisor]*supervisor{} // as it is now
	var out []string
	for _, s := range all.servers {
		if !s.gone || !s.static {
			continue
		}
		now := again[s.under]
		if now == nil {
			now = &supervisor{path: s.under.path, pid: s.under.pid}
			now.err = x.list(ctx, now)
			again[s.under] = now
		}
		// A supervisor that does not answer has other things to do, such as to start a child; or it has ended with them.
		if now.err != nil || slices.ContainsFunc(now.children, func(c child) bool { return c.path(now.path) == s.path }) {
			out = append(out, s.path)
		}
	}
	return out, nil
}

// absentees are those of the children that run on more than half of the nodes that have them.
func absentees(idle []string, all []said[map[string]bool]) []string {
	return slices.DeleteFunc(slices.Clone(idle), func(path string) bool {
		runs, have := 0, 0
		for _, s := range all {
			if r, ok := s.v[path]; ok {
				have++
				if r {
					runs++
				}
			}
		}
		return 2*runs <= have
	})
}
