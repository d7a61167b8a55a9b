package health_test

import "github.com/beamctl/beamctl/checks/health"

var appFaults = []fault{
	{
		name: "application stopped",
		make: erl(`ok = rpc:call(B, application, stop, [crypto])`),
		undo: erl(`ok = rpc:call(B, application, start, [crypto])`),
		want: map[string]health.Status{"b apps": fail},
		saw:  map[string]string{"b apps": "crypto not running"},
	},
}
