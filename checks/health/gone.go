package health

import (
	"context"
	"errors"
	"slices"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
)

// explain has the rows of nodes that have gone in the middle, or while they shook hands with us, say that, and not what that looked like. ask
// is Options.Explain.
func (r *Report) explain(ctx context.Context, exams []*exam, targets []checks.Target, ask func(context.Context, []checks.Target)) {
	silent := make([]error, len(exams))
	for i, x := range exams {
		if silent[i] = x.ended(); silent[i] == nil && x.t.Down == nil {
			_, silent[i] = pinged.of(ctx, x)
		}
	}
	if !slices.ContainsFunc(silent, func(err error) bool { return err != nil }) {
		return
	}
	if targets = slices.Clone(targets); ask != nil {
		ask(ctx, targets)
	}
	for i, x := range exams {
		switch {
		case silent[i] == nil:
		case targets[i].Down != nil && x.ended() == nil:
			r.Rows[i].tell(connectRung(silent[i]), targets[i].Down)
		case targets[i].Down != nil:
			r.Rows[i].tell("ping", targets[i].Down)
		case x.ended() != nil:
			r.Rows[i].tell("ping", wentAway(silent[i]))
		}
	}
}

// tell makes the cell of a check that failed, or those that tell of it in its place, say why.
func (r *Row) tell(check string, why *checks.Finding) {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Check == check || c.unasked == check {
			c.Status, c.Saw, c.Cause, c.Fix = Fail, printable(why.Saw), printable(why.Cause), printable(why.Fix)
		}
	}
}

// wentAway explains that a node could not be asked any more, after it had answered the pings.
func wentAway(err error) *checks.Finding {
	if op, ok := errors.AsType[*node.OpError](err); ok {
		err = op.Err
	}
	return &checks.Finding{
		Saw:   "it answered at first, and went while it was examined: " + err.Error(),
		Cause: "it crashed, was stopped, or the connection broke",
		Fix:   "look at its process and its log, and ask again", Err: err,
	}
}
