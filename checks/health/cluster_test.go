package health_test

import (
	"testing"
	"time"

	"github.com/beamctl/beamctl/checks/health"
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
