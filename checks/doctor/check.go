package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// Group is what a check is about.
type Group string

// The groups, in the order in which they are shown.
const (
	EPMD    Group = "epmd"
	Network Group = "network"
	Tools   Group = "tools"
	Cookie  Group = "cookie"
	Machine Group = "machine"
	Project Group = "project"
	Left    Group = "left over"
)

// Check is one thing that has to be right. All but run is documentation: docs/checks.md is made of it.
type Check struct {
	Name  string // one word
	Group Group
	What  string // what is known when it is ok
	Looks string // where it looks
	Fails string // when it fails or warns
	Fix   string // what to do then, in general
	Mends string // what Mend does about it; "": nothing
	Start bool   // nothing can start while it fails: Preflight asks it

	boots bool // it may have to run programs, which takes longer
	run   func(ctx context.Context, x *exam)
}

// registry is all checks there are, in the order in which they are shown.
var registry = slices.Concat(epmdChecks, networkChecks, toolChecks, cookieChecks, machineChecks, projectChecks, leftChecks)

// All returns all checks in the order in which they are shown.
func All() []*Check { return slices.Clone(registry) }

// Verdict is what a check says. None means that there is nothing to check: no project, no Elixir.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
	None Verdict = "none"
)

// Problem is something that is not right.
type Problem struct {
	Verdict Verdict `json:"verdict"` // Fail or Warn
	*checks.Finding
	Mendable bool `json:"fixable"` // Mend can do something about it

	mend mend
}

// mend does something about a problem, and says what it did. An error says why it could not.
type mend func(ctx context.Context) (did string, err error)

// Result is what one check found.
type Result struct {
	Check    string    `json:"check"`
	Group    Group     `json:"group"`
	What     string    `json:"what"` // what was to be known
	Verdict  Verdict   `json:"verdict"`
	Saw      string    `json:"saw"`
	Problems []Problem `json:"problems"`        // those that fail first; none if the verdict is ok or none
	Mended   []string  `json:"fixed,omitempty"` // what Mend did, and what it could not do
	Millis   float64   `json:"ms"`
}

// exam is one run of a check: it reads the subject and writes a result.
type exam struct {
	*Subject
	quick    bool // before a start: nothing is run, and only what can fail it is looked at
	tools    *tools
	saw      []string
	nothing  bool
	problems []Problem
}

// see notes what was seen.
func (x *exam) see(format string, args ...any) { x.saw = append(x.saw, fmt.Sprintf(format, args...)) }

// none notes that there is nothing to check, and why.
func (x *exam) none(format string, args ...any) {
	x.nothing = true
	x.see(format, args...)
}

func (x *exam) fail(f checks.Finding) { x.problem(Fail, f, nil) }
func (x *exam) warn(f checks.Finding) { x.problem(Warn, f, nil) }

// problem notes what is not right, and what can be done about it, if something can.
func (x *exam) problem(v Verdict, f checks.Finding, m mend) {
	x.problems = append(x.problems, Problem{Verdict: v, Finding: &f, Mendable: m != nil, mend: m})
}

// result sums up. Where nothing was noted but problems, the first of them is what was seen.
func (x *exam) result(c *Check, took time.Duration) Result {
	r := Result{Check: c.Name, Group: c.Group, What: c.What, Verdict: OK, Saw: strings.Join(x.saw, "; "), Problems: append([]Problem{}, x.problems...), Millis: millis(took)}
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return strings.Compare(string(a.Verdict), string(b.Verdict)) })
	switch {
	case len(r.Problems) > 0:
		r.Verdict = r.Problems[0].Verdict
		if r.Saw == "" {
			r.Saw = r.Problems[0].What
		}
	case x.nothing:
		r.Verdict = None
	}
	return r
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
