package health

import (
	"context"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// topologies is libcluster's configuration, name → options. Strategies may be given to its supervisor without that.
func topologies(ctx context.Context, x *exam) (map[string]etf.List, error) {
	var env etf.Term // {ok, Topologies}; undefined
	if err := x.call(ctx, &env, "application", "get_env", etf.Atom("libcluster"), etf.Atom("topologies")); err != nil {
		return nil, err
	}
	out := map[string]etf.List{}
	if t, ok := env.(etf.Tuple); ok && len(t) == 2 {
		list, _ := t[1].(etf.List)
		for _, e := range list {
			if kv, ok := e.(etf.Tuple); ok && len(kv) == 2 {
				options, _ := kv[1].(etf.List)
				out[etf.Format(kv[0])] = options
			}
		}
	}
	return out, nil
}

// hosts is the nodes that a topology names; most strategies find theirs.
func hosts(options etf.List) (names []string) {
	config, _ := options.Lookup("config")
	list, _ := config.(etf.List)
	given, _ := list.Lookup("hosts")
	nodes, _ := given.(etf.List)
	for _, n := range nodes {
		if a, ok := n.(etf.Atom); ok {
			names = append(names, string(a))
		}
	}
	return names
}

func libcluster(ctx context.Context, x *exam) (Cell, error) {
	if is, err := runs(ctx, x, "libcluster"); err != nil {
		return Cell{}, x.failed(err, whichCall, "")
	} else if !is {
		return none("absent")
	}
	configured, err := topologies(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "application:get_env(libcluster, topologies)", "")
	}
	found, err := tree.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "supervisor:which_children/1", "")
	}
	supervised, strategies := 0, 0
	for _, s := range found {
		// From libcluster 3 on it is where the application has put it, under any id; before, it was the top of libcluster's own tree.
		if s.module == "Elixir.Cluster.Supervisor" || s.path == "libcluster" {
			supervised, strategies = supervised+1, strategies+len(s.children)
		}
	}
	if supervised == 0 && len(configured) == 0 {
		return none("nothing is configured")
	}
	if supervised == 0 {
		return Cell{
			Status: Warn, Saw: "dormant: " + count(len(configured), "topology is", "topologies are") + " configured and not started",
			Cause: "no application has Cluster.Supervisor in its supervision tree",
			Fix:   "add {Cluster.Supervisor, [topologies, [name: App.ClusterSupervisor]]} to the children of the application",
		}, nil
	}
	wanted := map[string]bool{}
	for _, o := range x.others() {
		wanted[o.t.Name] = true
	}
	for _, options := range configured {
		for _, h := range hosts(options) {
			wanted[h] = h != x.t.Name
		}
	}
	seen, err := visible.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:nodes(visible)", "")
	}
	c := Cell{Status: OK, Saw: "formed", Values: map[string]float64{"strategies": float64(strategies), "visible": float64(len(seen))}}
	var missing, silent []string
	for n, wants := range wanted {
		switch m := x.member(n); {
		case !wants, slices.Contains(seen, etf.Atom(n)):
		case m != nil && gone(ctx, m):
			silent = append(silent, n)
		default:
			missing = append(missing, n)
		}
	}
	if len(silent) > 0 {
		slices.Sort(silent)
		c.Saw += "; " + unanswered(silent)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		c.Status, c.Saw = Warn, "forming: "+listed(missing)+" not seen here"
		c.Cause = "the strategy has not found it, or cannot connect: it is down, elsewhere, or has another cookie"
	}
	return c, nil
}

// subclusters are groups of nodes that a library has made of a part of the cluster: name → its nodes, this one too.
type subclusters map[string][]string

// whole judges whether each subcluster has all connected nodes that have joined one of that name.
func whole(ctx context.Context, x *exam, of *fact[subclusters], library string) (Cell, error) {
	mine, err := of.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, library, "its process on the node hangs or has just ended")
	}
	if mine == nil {
		return none("absent")
	}
	c, _ := ok("%s", count(len(mine), "subcluster", "subclusters"))
	c.Values = map[string]float64{"subclusters": float64(len(mine))}
	var lacks []string
	for _, s := range of.everywhere(ctx, x) {
		for name := range s.v {
			if nodes, joined := mine[name]; joined && s.x != x && sees(ctx, x, s.x) && !slices.Contains(nodes, s.x.t.Name) {
				lacks = append(lacks, name+" is without "+s.x.t.Name)
			}
		}
	}
	if len(lacks) > 0 {
		slices.Sort(lacks)
		c.Status, c.Saw = Fail, listed(lacks)
		c.Cause = "the two nodes are connected, and the library has not brought its processes there together"
	}
	return c, nil
}

// hordes are found in supervision trees, each by the process that answers for its members; its name is what members call it. They are asked as
// Horde.Cluster.members/1 does, which a node may not have loaded, but with a deadline.
var hordes = &fact[subclusters]{func(ctx context.Context, x *exam) (subclusters, error) {
	if is, err := runs(ctx, x, "horde"); err != nil || !is {
		return nil, err
	}
	found, err := tree.of(ctx, x)
	if err != nil {
		return nil, err
	}
	out := subclusters{}
	for _, s := range found {
		for _, c := range s.children {
			if _, runs := c.Pid.(etf.Pid); !runs || !slices.Contains(hordeModules, c.module()) {
				continue
			}
			var members any
			if err := x.call(ctx, &members, "gen_server", "call", c.Pid, etf.Atom("members"), x.limits.Answer.Milliseconds()); err != nil {
				return nil, err
			}
			for _, m := range hordeMembers(members) {
				out[m.name] = append(out[m.name], m.node)
			}
		}
	}
	return out, nil
}}

// hordeModules are the processes that answer: of a registry, and of a supervisor since Horde 0.7 and before it.
var hordeModules = []etf.Atom{"Elixir.Horde.RegistryImpl", "Elixir.Horde.DynamicSupervisorImpl", "Elixir.Horde.SupervisorImpl"}

// hordeMember is a Horde on one node.
type hordeMember struct{ name, node string }

// hordeMembers reads what they answer: [{Name, Node}], and {ok, [{Name, Node}]} up to Horde 0.6. What is neither is no member.
func hordeMembers(answer etf.Term) (members []hordeMember) {
	if t, ok := answer.(etf.Tuple); ok && len(t) == 2 && t[0] == etf.Atom("ok") {
		answer = t[1]
	}
	list, _ := answer.(etf.List)
	for _, e := range list {
		if m, ok := e.(etf.Tuple); ok && len(m) == 2 {
			name, isName := m[0].(etf.Atom)
			node, isNode := m[1].(etf.Atom)
			if isName && isNode {
				members = append(members, hordeMember{string(name), string(node)})
			}
		}
	}
	return members
}

func horde(ctx context.Context, x *exam) (Cell, error) {
	return whole(ctx, x, hordes, "a gen_server:call with members to a Horde")
}

// synScopes is what syn 3 calls its subclusters.
var synScopes = &fact[subclusters]{func(ctx context.Context, x *exam) (subclusters, error) {
	if is, err := runs(ctx, x, "syn"); err != nil || !is {
		return nil, err
	}
	// syn 1 and 2 have no scopes, and no such functions. Where nobody has called syn yet it need not be loaded.
	var loaded bool
	if err := x.call(ctx, &loaded, "erlang", "module_loaded", etf.Atom("syn")); err != nil || !loaded || !x.knows(ctx, "node_scopes", "subcluster_nodes") {
		return subclusters{}, err
	}
	var scopes []etf.Atom
	if err := x.call(ctx, &scopes, "syn", "node_scopes"); err != nil {
		return nil, err
	}
	out := make(subclusters, len(scopes))
	for _, s := range scopes {
		for _, manager := range []etf.Atom{"registry", "pg"} {
			var others []etf.Atom
			if err := x.call(ctx, &others, "syn", "subcluster_nodes", manager, s); err != nil {
				return nil, err
			}
			out[string(s)+" "+string(manager)] = append(texts(others), x.t.Name)
		}
	}
	return out, nil
}}

func syn(ctx context.Context, x *exam) (Cell, error) {
	return whole(ctx, x, synScopes, "syn:subcluster_nodes/2")
}
