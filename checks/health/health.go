package health

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
)

// Options say what is checked, and by which measure.
type Options struct {
	Checks  []*Check      // All() if nil
	PerNode time.Duration // what a node that does not answer costs; 0: DefaultPerNode
	Limits  Limits        // zero fields have their defaults

	// Explain says of targets why they cannot be expected to answer (Down), as whoever runs them knows. It is asked again when one that should
	// answer does not. nil: nobody knows.
	Explain func(ctx context.Context, targets []checks.Target)

	// Log reads what the log of a node says of errors since a time, or returns ErrNoLog. nil: none can be read.
	Log func(ctx context.Context, node string, since time.Time) (Log, error)
}

// DefaultPerNode is what a node that does not answer costs: a healthy one takes milliseconds, a loaded one some hundred.
const DefaultPerNode = 3 * time.Second

// Run examines all targets at once over fresh connections of n. A node that doesn't answer costs its own row up to
// opts.PerNode, and no other's.
func Run(ctx context.Context, n *node.Node, targets []checks.Target, opts Options) *Report {
	start := time.Now()
	if opts.Checks == nil {
		opts.Checks = All()
	}
	if opts.PerNode == 0 {
		opts.PerNode = DefaultPerNode
	}
	limits := opts.Limits.WithDefaults()
	all := ctx
	ctx, cancel := context.WithTimeout(ctx, opts.PerNode)
	defer cancel()
	exams := make([]*exam, len(targets))
	common := &known{answers: map[any]*answer{}}
	calm := newCalm(len(targets))
	for i, t := range targets {
		exams[i] = &exam{
			n: n, t: t, members: exams, checks: opts.Checks, limits: &limits, patience: opts.PerNode, log: opts.Log,
			common: common, calm: calm, own: known{answers: map[any]*answer{}},
		}
	}
	rep := &Report{Rows: make([]Row, len(targets))}
	var wg sync.WaitGroup
	for i, x := range exams {
		rep.Rows[i] = Row{Node: x.t.Name, Cells: make([]Cell, len(opts.Checks))}
		for j, c := range opts.Checks {
			wg.Go(func() { rep.Rows[i].Cells[j] = x.examine(ctx, c) })
		}
	}
	wg.Wait()
	rep.explain(all, exams, targets, opts.Explain)
	for i := range rep.Rows {
		rep.Rows[i].once()
	}
	rep.judge()
	rep.Millis = millis(time.Since(start))
	return rep
}

// examine makes the cell of one check. What is wrong belongs into one cell: where a more basic check has failed, this one is blocked.
func (x *exam) examine(ctx context.Context, c *Check) Cell {
	start := time.Now()
	cell, err := c.run(ctx, x)
	if err != nil {
		if rung, cause := x.rung(ctx, c); cause == nil {
			cell = failure(err)
		} else if x.asked(rung) {
			cell = Cell{Status: Blocked, Saw: "not asked: " + rung + " failed"}
		} else {
			cell = failure(cause)
			cell.unasked = rung
		}
	}
	if cell.Fix == "" && (cell.Status == Warn || cell.Status == Fail) {
		cell.Fix = c.Fix
	}
	cell.Saw, cell.Cause, cell.Fix = printable(cell.Saw), printable(cell.Cause), printable(cell.Fix)
	cell.Check, cell.Group, cell.Millis = c.Name, c.Group, millis(time.Since(start))
	return cell
}

// printable takes from a text, parts of which a node has said, what would be a command to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func failure(err error) Cell {
	if f, ok := errors.AsType[*checks.Finding](err); ok {
		return Cell{Status: Fail, Saw: f.Saw, Cause: f.Cause, Fix: f.Fix}
	}
	return Cell{Status: Fail, Saw: err.Error()}
}

func (x *exam) asked(check string) bool {
	return slices.ContainsFunc(x.checks, func(c *Check) bool { return c.Name == check })
}

// rung returns the check below c that failed on this node, and why: first there is a connection, then net_kernel answers,
// then calls are run.
func (x *exam) rung(ctx context.Context, c *Check) (string, error) {
	if _, err := connected.of(ctx, x); err != nil {
		if rung := connectRung(err); rung != c.Name {
			return rung, checks.Unreachable(x.t, err)
		}
		return "", nil
	}
	if c.Name == "ping" {
		return "", nil
	}
	if _, err := pinged.of(ctx, x); err != nil {
		return "ping", checks.Unreachable(x.t, err)
	}
	if err := x.ended(); err != nil {
		return "ping", err
	}
	if c.Name == "rpc" {
		return "", nil
	}
	_, err := release.of(ctx, x)
	return "rpc", err
}
