package health_test

import (
	"testing"
	"time"

	"github.com/beamctl/beamctl/checks/health"
)

// hog starts a process called hog on B that runs code and stays.
func hog(code string) func(*testing.T, *cluster) {
	return erl(`Self = self(), spawn(B, fun() -> Kept = begin ` + code + ` end, register(hog, self()), Self ! hogged, receive Kept -> ok end end),
		receive hogged -> ok after 50000 -> error(timeout) end`)
}

var unhog = erl(`Hog = rpc:call(B, erlang, whereis, [hog]), R = monitor(process, Hog), exit(Hog, kill), receive {'DOWN', R, _, _, _} -> ok end`)

// busy has n processes on B that compute, at low priority: all else goes on.
func busy(n string) func(*testing.T, *cluster) {
	return hog(`[spawn_opt(fun F() -> lists:sum(lists:seq(1, 1000)), F() end, [link, {priority, low}]) || _ <- lists:seq(1, ` + n + `)]`)
}

var resourceFaults = []fault{
	{
		name: "RAM taken",
		make: hog(`binary:copy(<<0>>, 200 bsl 20)`), undo: unhog,
		want: map[string]health.Status{"b memory": warn},
		saw:  map[string]string{"b memory": " of RAM: processes "},
	},
	{
		name: "RAM taken by a table",
		make: hog(`T = ets:new(t, []), [ets:insert(T, {N, list_to_tuple(lists:seq(1, 20000))}) || N <- lists:seq(1, 1100)], T`), undo: unhog,
		want: map[string]health.Status{"b memory": warn},
		saw:  map[string]string{"b memory": " of RAM: ETS 1"},
	},
	{
		name: "memory taken, on a node that has been asked for it before",
		make: hog(`erlang:memory(), binary:copy(<<0>>, 200 bsl 20)`), undo: unhog,
		want: map[string]health.Status{"b memory": warn},
		saw:  map[string]string{"b memory": " MiB: binaries 20"},
	},
	{
		name: "processes",
		make: hog(`[spawn_link(timer, sleep, [infinity]) || _ <- lists:seq(1, 3400)]`), undo: unhog,
		want: map[string]health.Status{"b limits": warn},
		saw:  map[string]string{"b limits": "of 4096)"},
	},
	{
		name: "processes up to the limit",
		make: hog(`[spawn_link(timer, sleep, [infinity]) || _ <- lists:seq(1, 3900)]`), undo: unhog,
		want: map[string]health.Status{"b limits": fail},
		saw:  map[string]string{"b limits": "processes 9"},
	},
	{
		name: "ports",
		make: hog(`[element(2, gen_udp:open(0)) || _ <- lists:seq(1, 850)]`), undo: unhog,
		want: map[string]health.Status{"b limits": warn},
		saw:  map[string]string{"b limits": "ports 8"},
	},
	{
		name: "ETS tables",
		make: hog(`[ets:new(t, []) || _ <- lists:seq(1, 8200)]`), undo: unhog,
		want: map[string]health.Status{"b limits": warn},
		saw:  map[string]string{"b limits": "ets 100 %"},
	},
	{
		name: "busy schedulers",
		make: busy("4"), undo: unhog,
		want: map[string]health.Status{"b schedulers": warn},
		saw:  map[string]string{"b schedulers": "2 schedulers"},
	},
	{
		name: "a long run queue",
		make: busy("100"), undo: unhog,
		want: map[string]health.Status{"b schedulers": warn, "b runqueue": warn},
		saw:  map[string]string{"b runqueue": "processes wait for 2 schedulers"},
	},
	{
		name: "mailbox flooded",
		make: hog(`[self() ! N || N <- lists:seq(1, 2000)]`), undo: unhog,
		want: map[string]health.Status{"b mailbox": warn},
		saw:  map[string]string{"b mailbox": "2000 messages wait for hog <0."},
	},
	{
		name: "a slow link",
		make: func(t *testing.T, c *cluster) { c.reconnect(t, &link{delay: 40 * time.Millisecond}) },
		undo: func(t *testing.T, c *cluster) { c.reconnect(t, nil) },
		want: map[string]health.Status{"a latency": warn, "b latency": warn},
		saw:  map[string]string{"a latency": "ms to b@127.0.0.1", "b latency": "ms to a@127.0.0.1"},
	},
	{
		name: "a silent link",
		make: func(t *testing.T, c *cluster) { c.reconnect(t, &link{}).silence() },
		undo: func(t *testing.T, c *cluster) { c.reconnect(t, nil) },
		want: map[string]health.Status{"a latency": fail, "b latency": fail},
		saw:  map[string]string{"a latency": "b@127.0.0.1 does not answer this node", "b latency": "a@127.0.0.1 does not answer this node"},
	},
	{
		name: "too much memory of one kind", // all nodes are asked for it
		make: func(_ *testing.T, c *cluster) {
			c.options.Limits.Kinds = health.MemoryKinds{Atom: 10 << 10, ETS: 1 << 40}
		},
		undo: func(_ *testing.T, c *cluster) { c.options.Limits.Kinds = health.MemoryKinds{} },
		want: map[string]health.Status{"a memory": warn, "b memory": warn, "c memory": warn},
		saw:  map[string]string{"a memory": " KiB", "b memory": "atoms ", "c memory": "code "},
	},
	{
		name: "atoms",
		make: erl(`spawn(B, fun() -> [list_to_atom("spent" ++ integer_to_list(N)) || N <- lists:seq(1, 45000)] end)`),
		want: map[string]health.Status{"b limits": warn},
		saw:  map[string]string{"b limits": "atoms 8"},
	},
}
