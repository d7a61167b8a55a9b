package health_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/beamctl/beamctl/checks/diagnose"
	"github.com/beamctl/beamctl/checks/health"
)

// readLogs has the nodes' logs read, what they say from now on.
func readLogs(_ *testing.T, c *cluster) {
	from := map[string]int{}
	for _, e := range c.nodes {
		from[e.Name] = len(e.Output())
	}
	c.options.Log = func(_ context.Context, node string, since time.Time) (health.Log, error) {
		for _, e := range c.nodes {
			if e.Name != node {
				continue
			}
			logs := diagnose.Scan([]diagnose.Source{{Node: node, Name: "console.log", Open: func() (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(e.Output()[from[node]:])), nil
			}}}, since, diagnose.NewRedactor())
			groups, n := logs.Errors()
			if n == 0 {
				return health.Log{}, nil
			}
			return health.Log{Errors: n, Example: groups[0].Title, Where: groups[0].Where, Last: groups[0].Last}, nil
		}
		return health.Log{}, health.ErrNoLog
	}
}

var alarmFaults = []fault{
	{
		name: "an alarm",
		make: erl(`[ok = rpc:call(X, application, start, [sasl]) || X <- [A, B, C]], ok = rpc:call(B, alarm_handler, set_alarm, [{hot, "90 degrees"}])`),
		undo: erl(`[ok = rpc:call(X, application, stop, [sasl]) || X <- [A, B, C]]`),
		want: map[string]health.Status{"a alarms": fine, "b alarms": warn, "c alarms": fine},
		saw:  map[string]string{"b alarms": "hot"},
	},
	{
		name: "an error report",
		make: func(t *testing.T, c *cluster) {
			readLogs(t, c)
			// A node does not log for processes whose group leader is on another one.
			c.must(t, `spawn(B, fun() -> group_leader(whereis(user), self()), logger:error("no room on the disk") end)`)
		},
		undo: func(_ *testing.T, c *cluster) { c.options.Log = nil },
		want: map[string]health.Status{"a log": fine, "b log": warn, "c log": fine},
		saw:  map[string]string{"b log": "1 error; no room on the disk"},
	},
}
