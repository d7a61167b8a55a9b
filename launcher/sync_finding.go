package launcher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// syncFinding explains why a push failed.
func syncFinding(rep *SyncReport, err error) error {
	f := &checks.Finding{Saw: strings.Join(errorLines(err), "\n"), Err: err}
	switch {
	case errors.Is(err, codesync.ErrRefused):
		f.What = "nothing was pushed: there are modules that cannot be"
		var lines []string
		for _, ns := range rep.Nodes {
			for _, r := range ns.Refused {
				lines = append(lines, fmt.Sprintf("%s: %s: %s", ns.Node, r.Module, r.Detail))
			}
		}
		f.Saw = some(lines)
		f.Fix = "restart the nodes, which then load them; or push all others: --leave-out"
	case errors.Is(err, codesync.ErrLingering):
		f.What = "nothing was pushed: processes still run the code before the one that is to be replaced"
		f.Saw = some(lingering(err))
		f.Cause = "a node holds two generations of a module; to load a third it would have to kill whoever runs the first"
		f.Fix = "have them leave it (a call with the module's name in front does), wait for that with --purge wait, or kill them with --purge kill"
	case errors.Is(err, codesync.ErrStale):
		f.What = "nothing was pushed: a node has changed since it was looked at"
		f.Cause = "somebody else loads code there, or it was restarted"
		f.Fix = "try again"
	case errors.Is(err, codesync.ErrPushing):
		f.What = "nothing was pushed: another push is under way on a node"
		f.Cause = "somebody else runs beamctl sync there, or a sync --watch does"
		f.Fix = "wait for its end, and push again"
	case errors.Is(err, codesync.ErrBusy):
		f.What = "nothing was pushed: a process whose state is to be converted cannot be suspended"
		f.Cause = "it does something that takes long, or waits for somebody, and takes no system messages meanwhile (sys:suspend); those suspended before it go on"
		f.Fix = "push again when it is idle; or without --change-code: then it runs the new code with the state that it has"
	case errors.Is(err, codesync.ErrMixed):
		f.What = "some nodes run the new code and some the old"
		f.Cause = "a node did not load what it had promised to, and not all the others could take it back"
		f.Fix = "push again; or restart the nodes that are not what they should be (beamctl status shows their drift)"
	case errors.Is(err, codesync.ErrRolledBack):
		f.What = "all nodes run what they ran before: one did not load the new code, and the others have taken it back"
		f.Fix = "read that node's log, and push again"
	case errors.Is(err, codesync.ErrLost):
		f.What = "a node was lost while its code changed; all others run the new code"
		f.Cause = "its connection broke, or it died, after the decision. If it lives it runs the new code, too"
		f.Fix = "push again when it is back: that shows what it runs"
	case errors.Is(err, codesync.ErrIncomplete):
		f.What = "the new code runs everywhere, but not all was done"
		f.Fix = "see what the report says of the files and processes of each node"
	case errors.Is(err, node.ErrNodeDown):
		f.What = "nothing was pushed: a node went down meanwhile"
		f.Fix = "push again: without it, or when it is back"
	default:
		return err // explained already, or the end of ctx
	}
	return f
}

// each returns the errors that err joins, or itself.
func each(err error) []error {
	if multi, ok := errors.AsType[*multierror.Error](err); ok {
		return multi.Errors
	}
	return []error{err}
}

// errorLines are the texts of all errors in err.
func errorLines(err error) []string {
	var lines []string
	for _, e := range each(err) {
		lines = append(lines, e.Error())
	}
	return lines
}

// lingering names the processes that a push would have had to kill.
func lingering(err error) []string {
	var lines []string
	for _, e := range each(err) {
		l, ok := errors.AsType[*codesync.LingeringError](e)
		if !ok {
			continue
		}
		for _, p := range l.Processes {
			who := p.Pid
			if p.Name != "" {
				who += " (" + p.Name + ")"
			}
			lines = append(lines, fmt.Sprintf("%s: %s runs old code of %s, in %s", l.Node, who, p.Module, p.Function))
		}
	}
	return lines
}
