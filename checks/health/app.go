package health

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
)

var appChecks = []*Check{
	{
		Name: "apps", Group: App,
		What: "the configured applications run; their versions", Asks: "application:which_applications/1",
		Fails: "one does not run", Fix: "read the node's log, then application:ensure_all_started/1, or restart the node",
		run: apps,
	},
	{
		Name: "versions", Group: App,
		What: "each running application has the same version on all nodes", Asks: "application:which_applications/1",
		Fails: "warns when a version is not the one that most nodes have: a release that did not reach all nodes, or different OTPs",
		Fix:   "finish the upgrade: restart the node with the release that the others run",
		run:   versions,
	},
	{
		Name: "supervisors", Group: App,
		What: "every supervisor of every running application answers and has its children",
		Asks: "application_controller:get_master/1, application_master:get_child/1, proc_lib:translate_initial_call/1, " +
			"gen_server:call/3 with count_children and which_children (as supervisor does, but with a deadline)",
		Fails: "a supervisor does not answer within the limit `answer`, a child is being restarted, or one is not running that runs on most of the " +
			"other nodes (a child that is running nowhere, or on few, returned ignore)",
		Fix: "read the crash and supervisor reports in the node's log",
		run: supervisors,
	},
	{
		Name: "servers", Group: App,
		What:  "gen_servers, gen_statems and gen_events under the supervisors come back to their loop; nothing is sent to them, and no state is copied",
		Asks:  "erlang:process_info/2 (current_function, current_stacktrace, status, message_queue_len, reductions, registered_name)",
		Fails: "one is in the same callback for as long as the limit `answer`, or suspended; warns when it is at work all that time and messages are waiting",
		Fix:   "see where it waits (the function is named); what it waits for is often another hung process, a lock or an unbounded receive",
		run:   servers,
	},
}

// application is a running application.
type application struct {
	App  etf.Atom
	Desc etf.Term
	Vsn  string
}

// whichTimeout is the time that the application controller has, in milliseconds; it is its own default.
const whichTimeout = 5000

var running = result[[]application]("application", "which_applications", whichTimeout)

const whichCall = "application:which_applications()"

func apps(ctx context.Context, x *exam) (Cell, error) {
	list, err := running.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, whichCall, "the application controller does not answer")
	}
	version := versionsOf(list)
	var up, down []string
	for _, a := range x.t.Apps {
		if v, ok := version[a]; ok {
			up = append(up, a+" "+v)
		} else {
			down = append(down, a)
		}
	}
	if len(down) > 0 {
		return Cell{}, &checks.Finding{
			Saw:   strings.Join(down, ", ") + " not running",
			Cause: "the application was stopped, or its top supervisor gave up",
		}
	}
	c, _ := ok("%d running", len(list))
	if len(x.t.Apps) > 0 {
		c.Saw = strings.Join(up, ", ")
	}
	c.Values = map[string]float64{"running": float64(len(list))}
	return c, nil
}

func versionsOf(list []application) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[string(a.App)] = a.Vsn
	}
	return m
}

// versionMap is the running applications with their versions.
var versionMap = &fact[map[string]string]{func(ctx context.Context, x *exam) (map[string]string, error) {
	list, err := running.of(ctx, x)
	return versionsOf(list), err
}}

func versions(ctx context.Context, x *exam) (Cell, error) {
	mine, err := versionMap.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, whichCall, "the application controller does not answer")
	}
	var odd []string
	all := versionMap.everywhere(ctx, x)
	for app, v := range mine {
		var have []said[string]
		for _, s := range all {
			if other, ok := s.v[app]; ok {
				have = append(have, said[string]{x: s.x, v: other})
			}
		}
		if u := usual(have); u != v {
			odd = append(odd, fmt.Sprintf("%s %s (others %s)", app, v, u))
		}
	}
	if slices.Sort(odd); len(odd) > 0 {
		return Cell{Status: Warn, Saw: listed(odd), Cause: "the node runs another release of it than most of the others"}, nil
	}
	return ok("%s as elsewhere", count(len(mine), "application", "applications"))
}
