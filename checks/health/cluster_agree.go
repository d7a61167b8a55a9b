package health

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// settle is how long a disagreement has to last to be one: what changes on one node is known to the others within milliseconds.
const settle = 200 * time.Millisecond

// view is what a node thinks that all should think alike: scope → name → what it is. Who lacks a scope has no opinion on it.
type view map[string]map[string]string

// agreement is a view and a second look at it.
type agreement struct{ first, again *fact[view] }

func agree(ask func(ctx context.Context, x *exam) (view, error)) agreement {
	return agreement{&fact[view]{ask}, &fact[view]{func(ctx context.Context, x *exam) (view, error) {
		select {
		case <-time.After(settle):
			return ask(ctx, x)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}}
}

// name is one on which nodes disagree.
type name struct{ scope, name string }

// odds returns the names on which x is at odds with the nodes of its partition, and what it is to whom, as "x here, y on a, b".
func (a agreement) odds(ctx context.Context, x *exam) map[name]string {
	found := a.compare(ctx, x, a.first)
	if len(found) == 0 || ctx.Err() != nil {
		return found // where a node hangs, the first look took all the time
	}
	if _, err := a.again.of(ctx, x); err != nil {
		return found
	}
	still := a.compare(ctx, x, a.again)
	maps.DeleteFunc(found, func(n name, _ string) bool { _, ok := still[n]; return !ok })
	return found
}

func (a agreement) compare(ctx context.Context, x *exam, look *fact[view]) map[name]string {
	mine, err := look.of(ctx, x)
	if err != nil {
		return nil
	}
	var others []said[view]
	for _, s := range look.everywhere(ctx, x) {
		if s.x != x && s.err == nil && together(ctx, x, s.x) {
			others = append(others, s)
		}
	}
	found := map[name]string{}
	for scope := range mine {
		names := map[string]bool{}
		var theirs []said[view]
		for n := range mine[scope] {
			names[n] = true
		}
		for _, o := range others {
			if _, ok := o.v[scope]; ok {
				theirs = append(theirs, o)
			}
			for n := range o.v[scope] {
				names[n] = true
			}
		}
		for n := range names {
			opinions := make([]string, len(theirs))
			by := map[string][]string{}
			for i, o := range theirs {
				opinions[i] = o.v[scope][n]
				by[opinions[i]] = append(by[opinions[i]], o.x.t.Name)
			}
			if own := mine[scope][n]; odd(own, opinions) {
				found[name{scope, n}] = told(own, by)
			}
		}
	}
	return found
}

// together says whether two nodes see each other, and the same others: only they can be of one opinion on all of these.
func together(ctx context.Context, x, y *exam) bool {
	own, err := visible.of(ctx, x)
	if err != nil {
		return false
	}
	theirs, err := visible.of(ctx, y)
	if err != nil {
		return false
	}
	all := func(seen []etf.Atom, self *exam) []etf.Atom {
		return slices.Sorted(slices.Values(append(slices.Clone(seen), etf.Atom(self.t.Name))))
	}
	return slices.Equal(all(own, x), all(theirs, y))
}

// told says what something is here, and what it is to others.
func told(own string, by map[string][]string) string {
	or := func(s string) string {
		if s == "" {
			return "unknown"
		}
		return s
	}
	texts := []string{or(own) + " here"}
	for _, opinion := range slices.Sorted(maps.Keys(by)) {
		if opinion != own {
			texts = append(texts, or(opinion)+" on "+listed(by[opinion]))
		}
	}
	return strings.Join(texts, ", ")
}

// disagreements is the cell of names on which x is at odds.
func disagreements(c *Cell, what string, found map[name]string, cause string) {
	if len(found) == 0 {
		return
	}
	var lines []string
	for n, text := range found {
		lines = append(lines, what+" "+n.name+" is "+text)
	}
	slices.Sort(lines)
	c.Status, c.Saw, c.Cause = Fail, lines[0], cause
	if len(lines) > 1 {
		c.Saw += "; and " + count(len(lines)-1, "more", "more")
	}
}
