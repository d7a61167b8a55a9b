package health_test

import "github.com/beamctl/beamctl/checks/health"

var clusterFaults = []fault{
	{
		name: "pair disconnected",
		make: erl(`true = rpc:call(B, erlang, disconnect_node, [C])`),
		undo: erl(`true = rpc:call(B, net_kernel, connect_node, [C])`),
		want: map[string]health.Status{"b mesh": fail, "c mesh": fail},
		saw:  map[string]string{"b mesh": "does not see c@127.0.0.1"},
	},
}
