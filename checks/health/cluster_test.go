package health_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var clusterFaults = []fault{
	{
		name: "pair disconnected",
		make: erl(`true = rpc:call(B, erlang, disconnect_node, [C])`),
		undo: erl(`true = rpc:call(B, net_kernel, connect_node, [C])`),
		want: map[string]health.Status{"b mesh": fail, "c mesh": fail},
		saw:  map[string]string{"b mesh": "does not see c@127.0.0.1"},
	},
	{
		name: "a one-way edge",
		make: func(t *testing.T, c *cluster) { c.reconnect(t, &link{}).half() },
		undo: func(t *testing.T, c *cluster) { c.reconnect(t, nil) },
		want: map[string]health.Status{"b mesh": fail},
		saw:  map[string]string{"b mesh": "does not see a@127.0.0.1; seen by a@127.0.0.1: a one-way edge"},
	},
	{
		name: "a name that one node has differently",
		make: erl(`[ok = rpc:call(X, global, sync, []) || X <- [A, B, C]], % they have no more to tell each other
			yes = gen_server:call({global_name_server, B}, {register, odd_one, rpc:call(B, erlang, whereis, [init]), fun global:random_exit_name/3})`),
		undo: erl(`ok = gen_server:call({global_name_server, B}, {unregister, odd_one})`),
		want: map[string]health.Status{"b global": fail},
		saw:  map[string]string{"b global": "name odd_one is <0.0.0>@b@127.0.0.1 here, unknown on a@127.0.0.1, c@127.0.0.1"},
	},
	{
		name: "a global lock held",
		make: hog(`true = global:set_lock({treasure, self()})`), undo: unhog,
		want: map[string]health.Status{"b locks": warn},
		saw:  map[string]string{"b locks": "treasure is held by hog <0."},
	},
	{
		name: "the lock of global itself held",
		make: hog(`true = global:set_lock({global, self()})`), undo: unhog,
		want: map[string]health.Status{"b locks": fail},
		saw:  map[string]string{"b locks": "global is held by hog <0."},
	},
	{
		name: "a pg scope that hangs",
		make: erl(`ok = rpc:call(B, sys, suspend, [teams]), ok = rpc:call(A, pg, join, [teams, red, rpc:call(A, erlang, whereis, [init])])`),
		undo: erl(`ok = rpc:call(A, pg, leave, [teams, red, rpc:call(A, erlang, whereis, [init])]), ok = rpc:call(B, sys, resume, [teams])`),
		want: map[string]health.Status{"b pg": fail},
		saw:  map[string]string{"b pg": "group red is unknown here, 1 member"},
	},
	{
		name: "mnesia down on a node",
		make: erl(`ok = rpc:call(A, mnesia, start, []), ok = rpc:call(C, mnesia, start, []),
			{ok, [_]} = rpc:call(A, mnesia, change_config, [extra_db_nodes, [C]]),
			{atomic, ok} = rpc:call(A, mnesia, create_table, [t, [{ram_copies, [A, C]}]]),
			stopped = rpc:call(C, mnesia, stop, [])`),
		undo: erl(`stopped = rpc:call(A, mnesia, stop, [])`),
		want: map[string]health.Status{"a mnesia": fail},
		saw:  map[string]string{"a mnesia": "does not run on c@127.0.0.1"},
	},
	{
		name: "libcluster dormant",
		make: erl(`ok = rpc:call(B, application, start, [libcluster]),
			ok = rpc:call(B, application, set_env, [libcluster, topologies, [{shops, [{strategy, 'Elixir.Cluster.Strategy.Epmd'}]}]])`),
		undo: erl(`ok = rpc:call(B, application, stop, [libcluster]), ok = rpc:call(B, application, unload, [libcluster])`),
		want: map[string]health.Status{"b libcluster": warn},
		saw:  map[string]string{"b libcluster": "dormant: 1 topology is configured and not started"},
	},
	{
		name: "libcluster forming on one node", // on the others under an id of their own; and there it is the version that starts itself
		make: erl(`[begin
				Topologies = [{shops, [{strategy, 'Elixir.Cluster.Strategy.Epmd'}, {config, [{hosts, Hosts}]}]}],
				ok = rpc:call(N, application, load, [{application, libcluster, [{vsn, Version}, {applications, [kernel, stdlib]}] ++ Mod}]),
				ok = rpc:call(N, application, set_env, [libcluster, topologies, Topologies]),
				ok = rpc:call(N, application, start, [libcluster]),
				Mod =/= [] orelse element(1, rpc:call(N, supervisor, start_child, [shop_sup,
					#{id => uniting, start => {'Elixir.Cluster.Supervisor', start_link, [[Topologies, [{name, uniting}]]]}, type => supervisor}])) =:= ok orelse error(N)
			end || {N, Version, Mod, Hosts} <- [{A, "3.5.0", [], [A, B, C]}, {B, "2.5.0", [{mod, {'Elixir.Cluster.App', []}}], [A, B, C, 'd@127.0.0.1']}, {C, "3.5.0", [], [A, B, C]}]]`),
		undo: erl(`[begin
				ok = rpc:call(N, supervisor, terminate_child, [shop_sup, uniting]),
				ok = rpc:call(N, supervisor, delete_child, [shop_sup, uniting])
			end || N <- [A, C]],
			[begin ok = rpc:call(N, application, stop, [libcluster]), ok = rpc:call(N, application, unload, [libcluster]) end || N <- [A, B, C]]`),
		want: map[string]health.Status{"a libcluster": fine, "b libcluster": warn, "c libcluster": fine, "b versions": warn},
		saw:  map[string]string{"a libcluster": "formed", "b libcluster": "forming: d@127.0.0.1 not seen here", "b versions": "libcluster 2.5.0 (others 3.5.0)"},
	},
	{
		name: "a Horde without one of its nodes", // A has a version that tells its members otherwise
		make: erl(`[begin
				{ok, [App]} = file:consult(rpc:call(N, code, where_is_file, ["horde.app"])),
				ok = rpc:call(N, application, load, [setelement(3, App, lists:keystore(vsn, 1, element(3, App), {vsn, Version}))]),
				ok = rpc:call(N, application, start, [horde]),
				{ok, _} = rpc:call(N, supervisor, start_child, [shop_sup, rpc:call(N, 'Elixir.Horde.DynamicSupervisor', child_spec, [carts])])
			end || {N, Version} <- [{A, "0.6.1"}, {B, "0.10.0"}, {C, "0.10.0"}]],
			ok = rpc:call(B, gen_server, call, [carts, {set_members, [{carts, B}, {carts, A}]}])`),
		undo: erl(`[begin
				ok = rpc:call(N, supervisor, terminate_child, [shop_sup, carts]), ok = rpc:call(N, supervisor, delete_child, [shop_sup, carts]),
				ok = rpc:call(N, application, stop, [horde]), ok = rpc:call(N, application, unload, [horde])
			end || N <- [A, B, C]]`),
		want: map[string]health.Status{"a horde": fine, "b horde": fail, "c horde": fine, "a versions": warn},
		saw:  map[string]string{"b horde": "carts is without c@127.0.0.1", "a horde": "1 subcluster"},
	},
	{
		name: "a scope of syn without one of its nodes",
		make: erl(`[begin
				ok = rpc:call(N, application, start, [syn]), ok = rpc:call(N, syn, add_node_to_scopes, [[customers]])
			end || N <- [A, B, C]],
			ok = rpc:call(B, syn, forget, [customers, C])`),
		undo: erl(`[begin
				ok = rpc:call(N, application, stop, [syn]), ok = rpc:call(N, gen_server, stop, [customers])
			end || N <- [A, B, C]]`),
		want: map[string]health.Status{"a syn": fine, "b syn": fail, "c syn": fine},
		saw:  map[string]string{"b syn": "customers pg is without c@127.0.0.1"},
	},
	{
		name: "another overlap setting",
		make: erl(`ok = rpc:call(B, application, set_env, [kernel, prevent_overlapping_partitions, true])`),
		undo: erl(`ok = rpc:call(B, application, set_env, [kernel, prevent_overlapping_partitions, false])`),
		want: map[string]health.Status{"b overlap": warn, "b partitions": fine},
		saw:  map[string]string{"b overlap": "on here, otherwise on 2 other nodes"},
	},
	{
		name: "more processes than elsewhere",
		make: erl(`Self = self(), spawn(C, fun() -> [spawn_link(timer, sleep, [infinity]) || _ <- lists:seq(1, 6000)], register(hog, self()),
			Self ! hogged, receive stop -> ok end end), receive hogged -> ok end`),
		undo: erl(`exit(rpc:call(C, erlang, whereis, [hog]), kill)`),
		want: map[string]health.Status{"c spread": warn},
		saw:  map[string]string{"c spread": "processes; the others have"},
	},
	{
		name: "a partition that has healed",
		make: func(t *testing.T, c *cluster) {
			*c = *startWith(t, "true")
			time.Sleep(2500 * time.Millisecond) // a node that has just been started is not taken for one that was cut off
			c.must(t, `true = rpc:call(B, erlang, disconnect_node, [C]), timer:sleep(200),
				[rpc:call(X, net_kernel, connect_node, [Y]) || {X, Y} <- [{A, B}, {B, C}, {A, C}]]`)
		},
		want: map[string]health.Status{
			"a partitions": warn, "b partitions": warn, "c partitions": warn,
		},
		saw: map[string]string{"a partitions": "b@127.0.0.1 and c@127.0.0.1 lost each other"},
	},
}

// TestHealthyReleases: three nodes of each release, with what OTP has to run, and not a warning.
func TestHealthyReleases(t *testing.T) {
	for _, release := range []string{"23", "25", "27", "29"} {
		t.Run(release, func(t *testing.T) {
			c := nodetest.New(t)
			var nodes []*nodetest.Erl
			var targets []checks.Target
			for _, alive := range []string{"a", "b", "c"} {
				e := c.ErlOf(bin(t, release), alive, "-eval", "[{ok, _} = application:ensure_all_started(A) || A <- [sasl, mnesia]], {ok, _} = pg:start(teams)")
				nodes = append(nodes, e)
				targets = append(targets, checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie, Apps: []string{"mnesia"}})
			}
			n := c.Node(nodes...)
			for i, from := range nodes {
				for _, to := range nodes[:i] {
					_, err := n.Call(t.Context(), from.Name, "net_kernel", "connect_node", etf.Atom(to.Name))
					require.NoError(t, err)
				}
			}
			for i, target := range targets {
				require.NoError(t, checks.WaitReady(t.Context(), n, target, []string{nodes[(i+1)%3].Name, nodes[(i+2)%3].Name}, func(string) {}))
			}
			rep := fineOnly(t, func() *health.Report {
				return health.Run(t.Context(), n, targets, health.Options{PerNode: time.Minute, Limits: patient})
			})
			assert.Len(t, rep.Rows[0].Cells, len(health.All()))
		})
	}
}
