package health_test

import (
	"testing"

	"github.com/beamctl/beamctl/checks/health"
)

var reachFaults = []fault{
	{
		name: "node stopped",
		make: func(_ *testing.T, c *cluster) { c.nodes[1].Stop() },
		undo: func(_ *testing.T, c *cluster) { c.nodes[1].Continue() },
		want: map[string]health.Status{"b *": blocked, "b ping": fail},
		saw:  map[string]string{"b ping": "does not answer", "b apps": "not asked: ping failed"},
	},
	{
		name: "cookie changed",
		make: erl(`true = rpc:call(B, erlang, set_cookie, [other])`),
		undo: erl(`true = rpc:call(B, erlang, set_cookie, [erlang:get_cookie()])`),
		want: map[string]health.Status{"b *": blocked, "b cookie": fail},
		saw:  map[string]string{"b cookie": "wrong cookie"},
	},
	{
		name: "erpc gone",
		// Another module of that name takes its place, one that can do nothing.
		make: erl(`{ok, M, Beam} = compile:forms([{attribute, 1, module, erpc}]),
			true = rpc:call(B, code, unstick_mod, [M]), {module, M} = rpc:call(B, code, load_binary, [M, "erpc.beam", Beam])`),
		want: map[string]health.Status{"b *": blocked, "b rpc": fail, "b ping": fine, "b cookie": fine},
		saw:  map[string]string{"b rpc": "undef", "b apps": "not asked: rpc failed"},
	},
}
