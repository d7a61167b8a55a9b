package doctor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Report is what all checks found.
type Report struct {
	OK      bool     `json:"ok"`    // nothing fails
	Worst   Verdict  `json:"worst"` // of all checks: ok, warn or fail
	Results []Result `json:"checks"`
	Millis  float64  `json:"ms"`
}

// Examine runs all checks at once.
func Examine(ctx context.Context, s *Subject) *Report {
	begin := time.Now()
	r := &Report{Results: run(ctx, s, registry, false)}
	r.judge(begin)
	return r
}

// Mend does what is safe to do about what a report found, and examines again what was not right. The report says what
// was done, and what could not be. It touches no process but those of clusters that died, and never the user's EPMD.
func Mend(ctx context.Context, s *Subject, r *Report) *Report {
	begin := time.Now()
	after := &Report{Results: slices.Clone(r.Results)}
	var again []*Check
	did := make(map[string][]string)
	for _, res := range r.Results {
		for _, p := range res.Problems {
			if p.mend == nil {
				continue
			}
			text, err := p.mend(ctx)
			if err != nil {
				text = "not mended: " + err.Error()
			}
			did[res.Check] = append(did[res.Check], text)
		}
		if len(did[res.Check]) > 0 {
			again = append(again, registry[slices.IndexFunc(registry, func(c *Check) bool { return c.Name == res.Check })])
		}
	}
	for _, res := range run(ctx, s, again, false) {
		res.Mended = did[res.Check]
		after.Results[slices.IndexFunc(after.Results, func(o Result) bool { return o.Check == res.Check })] = res
	}
	after.judge(begin)
	after.Millis += r.Millis
	return after
}

// Preflight runs the checks that can fail a start. It returns all that does, each a *checks.Finding, as one
// *multierror.Error, or nil; or what ended ctx.
func Preflight(ctx context.Context, s *Subject) error {
	var errs *multierror.Error
	if f := FewFiles(s.count()); f != nil { // alone: every other check needs files
		return multierror.Append(errs, f)
	}
	start := slices.DeleteFunc(All(), func(c *Check) bool { return !c.Start })
	results := run(ctx, s, start, true)
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done() // a socket's deadline, which is ctx's, may strike a moment earlier
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // what failed then says nothing
	}
	for _, r := range results {
		for _, p := range r.Problems {
			if p.Verdict != Fail {
				continue
			}
			f := *p.Finding
			if p.Mendable {
				f.Fix += "  (beamctl doctor --fix does it)"
			}
			errs = multierror.Append(errs, &f)
		}
	}
	return errs.ErrorOrNil()
}

// run runs checks at once, and returns their results in the order of the checks.
func run(ctx context.Context, s *Subject, list []*Check, quick bool) []Result {
	t := new(tools)
	results := make([]Result, len(list))
	var wg sync.WaitGroup
	for i, c := range list {
		wg.Go(func() {
			limit := checkTimeout
			if c.boots {
				limit = bootTimeout
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			begin := time.Now()
			x := &exam{Subject: s, quick: quick, tools: t}
			c.run(ctx, x)
			results[i] = x.result(c, time.Since(begin))
		})
	}
	wg.Wait()
	return results
}

func (r *Report) judge(begin time.Time) {
	r.OK, r.Worst, r.Millis = true, OK, millis(time.Since(begin))
	for _, res := range r.Results {
		switch res.Verdict {
		case Fail:
			r.OK, r.Worst = false, Fail
		case Warn:
			if r.Worst == OK {
				r.Worst = Warn
			}
		case OK, None:
		}
	}
}
