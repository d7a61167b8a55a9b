package health

import (
	"context"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// runs says whether an application runs on the node, and so whether its modules may be called and its atoms be sent.
func runs(ctx context.Context, x *exam, app etf.Atom) (bool, error) {
	list, err := running.of(ctx, x)
	return slices.ContainsFunc(list, func(a application) bool { return a.App == app }), err
}

// member returns the node of the run with that name, nil if it is not one of them.
func (x *exam) member(name string) *exam {
	i := slices.IndexFunc(x.members, func(m *exam) bool { return m.t.Name == name })
	if i < 0 {
		return nil
	}
	return x.members[i]
}

func mnesia(ctx context.Context, x *exam) (Cell, error) {
	if is, err := runs(ctx, x, "mnesia"); err != nil {
		return Cell{}, x.failed(err, "application:which_applications()", "")
	} else if !is {
		return none("mnesia does not run")
	}
	var state etf.Atom
	var all, up []etf.Atom
	for _, ask := range []struct {
		key etf.Atom
		v   any
	}{{"is_running", &state}, {"db_nodes", &all}, {"running_db_nodes", &up}} {
		if err := x.call(ctx, ask.v, "mnesia", "system_info", ask.key); err != nil {
			return Cell{}, x.failed(err, "mnesia:system_info("+string(ask.key)+")", "mnesia is starting or stopping")
		}
	}
	if state != "yes" {
		return Cell{Status: Fail, Saw: "mnesia is " + string(state), Cause: "its application runs, and it is not ready: it loads or waits for tables"}, nil
	}
	var down, silent []string
	for _, n := range all {
		switch m := x.member(string(n)); {
		case slices.Contains(up, n):
		case m != nil && gone(ctx, m):
			silent = append(silent, string(n))
		default:
			down = append(down, string(n))
		}
	}
	c, _ := ok("%d of %d", len(all)-len(down)-len(silent), len(all))
	if len(silent) > 0 {
		c.Saw += "; " + unanswered(silent)
	}
	c.Values = map[string]float64{"db_nodes": float64(len(all)), "running_db_nodes": float64(len(up))}
	if len(down) > 0 {
		c.Status, c.Saw = Fail, "does not run on "+listed(down)
		c.Cause = "mnesia or the node was stopped there; or, after a partition, the two have gone apart and do not come together by themselves"
	}
	return c, nil
}
