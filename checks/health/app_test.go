package health_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

// quietly lets a node log nothing of what is done to it.
const (
	quietly = `ok = rpc:call(B, logger, set_primary_config, [level, none]), `
	loudly  = `, ok = rpc:call(B, logger, set_primary_config, [level, notice])`
)

// hang makes till wait in a callback. That it is interpreted code puts more on its stack than a stacktrace shows.
const hang = `ok = rpc:call(B, gen_server, cast, [till, {do, fun() -> receive go -> ok end end}])`

var appFaults = []fault{
	{
		name: "application stopped",
		make: erl(`ok = rpc:call(B, application, stop, [crypto])`),
		undo: erl(`ok = rpc:call(B, application, start, [crypto])`),
		want: map[string]health.Status{"b apps": fail},
		saw:  map[string]string{"b apps": "crypto not running"},
	},
	{
		name: "another version",
		make: erl(`{ok, Keys} = rpc:call(B, application, get_all_key, [crypto]), ok = rpc:call(B, application, stop, [crypto]),
			ok = rpc:call(B, application, unload, [crypto]),
			ok = rpc:call(B, application, load, [{application, crypto, lists:keyreplace(vsn, 1, Keys, {vsn, "0.1\e[31m"})}]),
			ok = rpc:call(B, application, start, [crypto])`),
		undo: erl(`ok = rpc:call(B, application, stop, [crypto]), ok = rpc:call(B, application, unload, [crypto]),
			ok = rpc:call(B, application, start, [crypto])`),
		want: map[string]health.Status{"b versions": warn},
		saw:  map[string]string{"b versions": "crypto 0.1\uFFFD[31m (others "},
	},
	{
		name: "child terminated",
		make: erl(`ok = rpc:call(B, supervisor, terminate_child, [shop_sup, till])`),
		undo: erl(`{ok, _} = rpc:call(B, supervisor, restart_child, [shop_sup, till])`),
		want: map[string]health.Status{"b supervisors": fail},
		saw:  map[string]string{"b supervisors": "not running: shop/till"},
	},
	{
		name: "child fails to start again",
		make: erl(quietly + `ok = rpc:call(B, application, set_env, [shop, till, broken]), true = exit(rpc:call(B, erlang, whereis, [till]), kill)`),
		undo: erl(`ok = rpc:call(B, application, set_env, [shop, till, open])` + loudly),
		want: map[string]health.Status{"b supervisors": fail},
		saw:  map[string]string{"b supervisors": "being restarted: shop/till"},
	},
	{
		name: "child killed in a loop",
		make: erl(quietly + `spawn(B, fun() ->
				register(killer, self()),
				(fun Again() -> catch exit(whereis(till), kill), timer:sleep(1), Again() end)()
			end)`),
		undo: erl(`true = exit(rpc:call(B, erlang, whereis, [killer]), kill)` + loudly),
		want: map[string]health.Status{"b supervisors": warn},
		saw:  map[string]string{"b supervisors": "ended while it was looked at: shop/till"},
	},
	{
		name: "supervisor waits for a child",
		make: erl(`ok = rpc:call(B, supervisor, terminate_child, [shop_sup, till]), ok = rpc:call(B, application, set_env, [shop, till, waiting]),
			spawn(B, supervisor, restart_child, [shop_sup, till])`),
		undo: erl(`ok = rpc:call(B, application, set_env, [shop, till, open]), {till, B} ! go`),
		want: map[string]health.Status{"b supervisors": fail},
		saw:  map[string]string{"b supervisors": "shop did not answer within 300ms"},
	},
	{
		name: "server hangs",
		make: erl(hang + `, {till, B} ! a, {till, B} ! b`),
		undo: erl(`{till, B} ! go`),
		want: map[string]health.Status{"b servers": fail},
		saw:  map[string]string{"b servers": "till hangs in prim_eval:'receive'/2 with 2 messages waiting"},
	},
	{
		name: "server suspended",
		make: erl(`ok = rpc:call(B, sys, suspend, [till])`),
		undo: erl(`ok = rpc:call(B, sys, resume, [till])`),
		want: map[string]health.Status{"b servers": fail},
		saw:  map[string]string{"b servers": "till is suspended"},
	},
	{
		name: "server works and works",
		make: erl(`ok = rpc:call(B, gen_server, cast, [till, {do, fun() -> (fun Again() -> receive go -> ok after 0 -> Again() end end)() end}]),
			ok = rpc:call(B, gen_server, cast, [till, {do, fun() -> ok end}])`),
		undo: erl(`{till, B} ! go`),
		want: map[string]health.Status{"b servers": warn},
		saw:  map[string]string{"b servers": "till works in "},
	},
}

// TestProcessesThatAreNoServers has children that follow no behaviour wait and work as they like.
func TestProcessesThatAreNoServers(t *testing.T) {
	c := start(t)
	c.must(t, `[{ok, _} = rpc:call(B, supervisor, start_child, [shop_sup, #{id => Id, start => {proc_lib, start_link, [erl_eval, expr, [Form, []]]}}])
		|| {Id, Text} <- [{waiting, "proc_lib:init_ack({ok, self()}), receive never -> ok end."}, {working, "proc_lib:init_ack({ok, self()}), (fun F() -> F() end)()."}],
		{ok, Tokens, _} <- [erl_scan:string("begin " ++ lists:droplast(Text) ++ " end.")], {ok, [Form]} <- [erl_parse:parse_exprs(Tokens)]]`)
	c.waitFor(t, healthy())
}

// TestChildrenThatComeAndGo has a supervisor whose children do their work and end, under ids of their own: nobody starts them again.
func TestChildrenThatComeAndGo(t *testing.T) {
	c := start(t)
	c.must(t, `{ok, Tokens, _} = erl_scan:string("begin proc_lib:init_ack({ok, self()}), timer:sleep(3) end."), {ok, [Form]} = erl_parse:parse_exprs(Tokens),
		Child = fun(Id) -> #{id => Id, restart => temporary, start => {proc_lib, start_link, [erl_eval, expr, [Form, []]]}} end,
		spawn(B, fun() -> register(customers, self()), (fun Next(N) -> supervisor:start_child(shop_sup, Child({customer, N})), Next(N + 1) end)(1) end)`)
	var err error
	c.options.Checks, err = health.Select(health.All(), []string{"supervisors"}, nil)
	require.NoError(t, err)
	for range 20 {
		m, _ := c.matrix(t)
		require.Equal(t, fine, m["b supervisors"].Status, m["b supervisors"].Saw)
	}
}
