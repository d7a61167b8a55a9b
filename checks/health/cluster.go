package health

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
)

var clusterChecks = []*Check{
	{
		Name: "mesh", Group: Cluster,
		What: "how many of the other nodes it sees", Asks: "erlang:nodes/1",
		Fails: "a node of the cluster is missing in nodes(visible)", Fix: "connect them (net_kernel:connect_node/1) or restart the node",
		run: mesh,
	},
}

// visible is the nodes that a node sees; never nodes(connected), which would list us.
var visible = result[[]etf.Atom]("erlang", "nodes", etf.Atom("visible"))

func mesh(ctx context.Context, x *exam) (Cell, error) {
	have, err := visible.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:nodes(visible)", "")
	}
	others := x.others()
	var missing []string
	for _, o := range others {
		if !slices.Contains(have, etf.Atom(o.t.Name)) {
			missing = append(missing, o.t.Name)
		}
	}
	if len(missing) > 0 {
		return Cell{}, &checks.Finding{
			What:  fmt.Sprintf("%s does not see %s", x.t.Name, strings.Join(missing, ", ")),
			Saw:   "does not see " + strings.Join(missing, ", "),
			Cause: "the connection between them was ended or never made; since OTP 25 global cuts more edges after a partial partition",
			Fix:   "connect them (net_kernel:connect_node) or restart the node",
		}
	}
	return ok("%d of %d", len(others), len(others))
}
