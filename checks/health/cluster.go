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
		What: "how many of the other nodes it sees; hidden nodes apart", Asks: "erlang:nodes/1, erlang:group_leader/0",
		Fails: "a node of the cluster that answers beamctl is neither in nodes(visible) nor in nodes(hidden); one that sees it all the same is named: a one-way edge",
		Fix:   "connect them (net_kernel:connect_node/1) or restart the node",
		run:   mesh,
	},
	{
		Name: "global", Group: Cluster,
		What: "how many names global has; the nodes that see the same nodes have the same, for the same processes", Asks: "global:registered_names/0, global:whereis_name/1",
		Fails: "most others, or half of them, have a name differently, for 200 ms at least", Fix: "unregister the name, or restart one of the two processes; then look in the logs for a partition, and what resolved it",
		run: globalNames,
	},
	{
		Name: "locks", Group: Cluster,
		What: "the locks of global", Asks: "ets:info/2 and ets:tab2list/1 on global_locks",
		Fails: "warns when the same process holds a lock for 1 s, and fails when it is global's own, without which no name can be registered; on the node of that process",
		Fix:   "look what the process does; a lock ends with it",
		run:   locks,
	},
	{
		Name: "pg", Group: Cluster,
		What: "the groups of every pg scope; the nodes that see the same nodes, and have the scope, have the same members", Asks: "pg:which_groups/1, pg:get_members/2, only where pg is loaded",
		Fails: "most others, or half of them, have other members in a group, for 200 ms at least", Fix: "look whether the scope's process hangs or has a long mailbox; a restart of it makes the others tell it all",
		run: pgGroups,
	},
	{
		Name: "mnesia", Group: Cluster,
		What: "mnesia runs on all its nodes", Asks: "mnesia:system_info/1, only where the application runs",
		Fails: "a node of db_nodes, unless it does not answer beamctl either, is not in running_db_nodes, or mnesia is not running yet", Fix: "start mnesia there; after a partition choose a side and restart the other (mnesia:set_master_nodes/1)",
		run: mnesia,
	},
	{
		Name: "libcluster", Group: Cluster,
		What: "absent; dormant: configured and in no supervision tree; forming: a node is not seen yet; or formed", Asks: "application:get_env/2, supervisor:which_children/1, erlang:nodes/1, only where the application runs",
		Fails: "warns while it is dormant or forming, with what is missing", Fix: "look at the topology's configuration, and whether the strategy can reach what it asks (DNS, Kubernetes, multicast)",
		run: libcluster,
	},
	{
		Name: "horde", Group: Cluster,
		What: "every Horde has the connected nodes that have one of the same name", Asks: "gen_server:call/3 with members, as Horde.Cluster.members/1 does, to those in supervision trees; only where the application runs",
		Fails: "a connected node has the Horde and is no member", Fix: "members: :auto, or Horde.Cluster.set_members/2 with all of them",
		run: horde,
	},
	{
		Name: "syn", Group: Cluster,
		What: "every scope of syn 3 has the connected nodes that have joined it", Asks: "syn:node_scopes/0, syn:subcluster_nodes/2, only where the application runs and has been called",
		Fails: "a connected node has joined the scope and is not in its subcluster", Fix: "restart syn on that node; look in its log for a crash of the scope's process",
		run: syn,
	},
	{
		Name: "overlap", Group: Cluster,
		What: "kernel's prevent_overlapping_partitions, which OTP 25 and later have", Asks: "application:get_all_env/1",
		Fails: "warns when it differs from that of most other nodes: it protects only if all have it", Fix: "give all nodes the same: -kernel prevent_overlapping_partitions true",
		run: overlap,
	},
	{
		Name: "partitions", Group: Cluster,
		What: "connections that global saw end in the last hour, between nodes that have been up since", Asks: "ets:tab2list/1 on global_lost_connections, erlang:read_timer/1, erlang:statistics/1",
		Fails: "warns when there is one: the cluster was partitioned, if only for a moment", Fix: "look at the network, and at the logs of that time for long pauses; beamctl diagnose lists what they say",
		run: partitions,
	},
	{
		Name: "spread", Group: Cluster,
		What: "its processes, and how many times the median of the others' that is", Asks: "erlang:system_info/1",
		Fails: "warns when they are more than 5000, and more than 10 times as many", Fix: "look which application's processes they are, and why they are started there only",
		run: spread,
	},
}

// visible is the nodes that a node sees; never nodes(connected), which would list us.
var visible = result[[]etf.Atom]("erlang", "nodes", etf.Atom("visible"))

// hidden is the hidden nodes that it is connected with, without ourselves.
var hidden = &fact[[]etf.Atom]{func(ctx context.Context, x *exam) ([]etf.Atom, error) {
	var list []etf.Atom
	if err := x.call(ctx, &list, "erlang", "nodes", etf.Atom("hidden")); err != nil {
		return nil, err
	}
	us, err := ourselves.of(ctx, x)
	return slices.DeleteFunc(list, func(n etf.Atom) bool { return n == us.Node }), err
}}

// ourselves is the group leader of each call: it has the name that the node knows us by.
var ourselves = result[etf.Pid]("erlang", "group_leader")

func mesh(ctx context.Context, x *exam) (Cell, error) {
	have, err := visible.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:nodes(visible)", "")
	}
	veiled, err := hidden.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:nodes(hidden)", "")
	}
	sees := map[string]float64{}
	c := Cell{
		Status: OK, Peers: map[string]map[string]float64{"sees": sees},
		Values: map[string]float64{"visible": float64(len(have)), "hidden": float64(len(veiled))},
	}
	var missing, silent []string
	for _, o := range x.others() {
		name := etf.Atom(o.t.Name)
		if slices.Contains(have, name) || slices.Contains(veiled, name) {
			sees[o.t.Name] = 1
			continue
		}
		if sees[o.t.Name] = 0; gone(ctx, o) {
			silent = append(silent, o.t.Name)
		} else {
			missing = append(missing, o.t.Name)
		}
	}
	others := len(x.others())
	c.Saw = fmt.Sprintf("%d of %d", others-len(missing)-len(silent), others)
	if len(silent) > 0 {
		c.Saw += "; " + unanswered(silent)
	}
	if named := slices.DeleteFunc(texts(veiled), checks.IsGuest); len(named) > 0 {
		c.Saw += "; hidden: " + listed(named)
	}
	if len(missing) == 0 {
		return c, nil
	}
	c.Status, c.Saw = Fail, "does not see "+strings.Join(missing, ", ")
	c.Cause = "the connection between them was ended or never made; since OTP 25 global cuts more edges after a partial partition"
	c.Fix = "connect them (net_kernel:connect_node) or restart the node"
	if oneWay := seenBy(ctx, x, missing); len(oneWay) > 0 {
		c.Saw += "; seen by " + strings.Join(oneWay, ", ") + ": a one-way edge"
		c.Cause = "the connection has ended on this side, and the other one has not noticed; it does within its net_ticktime"
	}
	return c, nil
}

// gone says whether x's node does not answer us, which its own row tells: what follows from that on other nodes is no failure of theirs. Who
// refuses us lives.
func gone(ctx context.Context, x *exam) bool {
	_, err := still.of(ctx, x)
	return err != nil && !refuses(err)
}

// unanswered says of which nodes that is so.
func unanswered(names []string) string {
	if len(names) == 1 {
		return names[0] + " does not answer"
	}
	return listed(names) + " do not answer"
}

// seenBy returns those of the named members that see x's node.
func seenBy(ctx context.Context, x *exam, named []string) (out []string) {
	for _, s := range visible.everywhere(ctx, x) {
		if slices.Contains(named, s.x.t.Name) && slices.Contains(s.v, etf.Atom(x.t.Name)) {
			out = append(out, s.x.t.Name)
		}
	}
	return out
}

func texts(atoms []etf.Atom) []string {
	out := make([]string, len(atoms))
	for i, a := range atoms {
		out[i] = string(a)
	}
	return out
}

// minCrowd is how many processes are no matter, whatever the others have.
const minCrowd = 5000

func spread(ctx context.Context, x *exam) (Cell, error) {
	own, err := processes(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(process_count)", "")
	}
	var others []int64
	for _, s := range counted.everywhere(ctx, x) {
		if s.x != x && s.err == nil {
			others = append(others, s.v[0])
		}
	}
	c, _ := ok("%s", count(int(own), "process", "processes"))
	c.Values = map[string]float64{"processes": float64(own)}
	if len(others) == 0 {
		return c, nil
	}
	slices.Sort(others)
	median := max(others[len(others)/2], 1)
	times := float64(own) / float64(median)
	c.Values["times_median_ratio"] = times
	if own > minCrowd && times > x.limits.Spread {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%d processes; the others have %d (median)", own, median)
		c.Cause = fmt.Sprintf("over %g times as many: the load is not spread over the nodes, or processes leak here", x.limits.Spread)
	}
	return c, nil
}
