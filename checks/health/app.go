package health

import (
	"context"
	"fmt"
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

func apps(ctx context.Context, x *exam) (Cell, error) {
	list, err := running.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "application:which_applications()", "the application controller does not answer")
	}
	version := make(map[string]string, len(list))
	for _, a := range list {
		version[string(a.App)] = a.Vsn
	}
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
			What:  fmt.Sprintf("%s: %s not running", x.t.Name, strings.Join(down, ", ")),
			Saw:   strings.Join(down, ", ") + " not running",
			Cause: "the application was stopped, or its top supervisor gave up",
			Fix:   "read the node's log, then application:ensure_all_started, or restart the node",
		}
	}
	if len(x.t.Apps) == 0 {
		return ok("%d running", len(list))
	}
	return ok("%s", strings.Join(up, ", "))
}
