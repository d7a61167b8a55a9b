package launcher

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// ErrNoModule says that neither the code nor any node has a module that was named.
var ErrNoModule = errors.New("there is no such module")

// unknown returns an error if no group has one of the modules whose processes are to convert their state: such a name is a slip of the pen,
// after which the code would change and the processes not be told.
func unknown(groups []*syncGroup, names []etf.Atom) error {
	if len(groups) == 0 {
		return nil
	}
	var slips []string
	for _, m := range names {
		if !slices.ContainsFunc(groups, func(g *syncGroup) bool { return slices.Contains(g.changing, m) }) {
			slips = append(slips, string(m))
		}
	}
	if len(slips) == 0 {
		return nil
	}
	return &checks.Finding{
		What: "nothing was pushed: there is no module " + strings.Join(slips, ", ") + ", whose processes are to convert their state",
		Saw:  "it is neither in the code on disk nor loaded on any node",
		Fix:  "name the modules as Erlang does: kv_store, or Elixir.Counter.Replica", Err: ErrNoModule,
	}
}

// having returns those of names that the group has. The nodes are asked for all that they have loaded: to ask for a name would make it an atom there.
func (g *syncGroup) having(ctx context.Context, n *node.Node, names []etf.Atom) (has []etf.Atom, err error) {
	var rest []etf.Atom
	for _, m := range names {
		if g.code.Beams[string(m)] != "" {
			has = append(has, m)
		} else {
			rest = append(rest, m)
		}
	}
	for _, ns := range g.nodes {
		if len(rest) == 0 {
			break
		}
		var all []struct {
			Module etf.Atom
			File   etf.Term
		}
		if err := n.CallInto(ctx, ns.Node, &all, "code", "all_loaded"); err != nil {
			return nil, err
		}
		for _, l := range all {
			if i := slices.Index(rest, l.Module); i >= 0 {
				has, rest = append(has, l.Module), slices.Delete(rest, i, i+1)
			}
		}
	}
	return has, nil
}
