package launcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// explanation is what there is to say of one kind of failure of a push.
type explanation struct {
	err              error
	what, cause, fix string
	saw              func(*SyncReport, error) []string // nil: the texts of the errors
	fixes            func(*SyncReport) []string        // where what to do depends on what was seen
}

// explanations are in the order in which they are looked for: what became of a push names what began it, which is another error.
var explanations = []explanation{
	{
		err: codesync.ErrMixed, what: "some nodes run the new code and some the old",
		cause: "a node did not load what it had promised to, and not all the others could take it back",
		fix:   "push again; or restart the nodes that are not what they should be (beamctl status shows their drift)",
	},
	{
		err: codesync.ErrRolledBack, what: "all nodes run what they ran before: one did not load the new code, and the others have taken it back",
		fix: "read that node's log, and push again",
	},
	{
		err: codesync.ErrLost, what: "a node was lost while its code changed; all others run the new code",
		cause: "its connection broke, or it died, after the decision. If it lives it runs the new code, too",
		fix:   "push again when it is back: that shows what it runs",
	},
	{
		err: codesync.ErrIncomplete, what: "the new code runs everywhere, but not all was done",
		fix: "see what the report says of the files and processes of each node",
	},
	{err: codesync.ErrRefused, what: "nothing was pushed: there are modules that cannot be", saw: refusals, fixes: wayOut},
	{
		err: codesync.ErrLingering, what: "nothing was pushed: processes still run the code before the one that is to be replaced", saw: lingering,
		cause: "a node holds two generations of a module; to load a third it would have to kill whoever runs the first",
		fix: "have them leave it (a call with the module's name in front does), and push again\n" +
			"or --purge wait: it waits for them, as long as --timeout allows\n" +
			"or --purge kill: it kills them, and with them what is linked to them; an application ends with them if its supervisors give up",
	},
	{
		err: codesync.ErrStale, what: "nothing was pushed: a node has changed since it was looked at, several times",
		cause: "somebody else loads code there, or it was restarted", fix: "see who does (beamctl events), and push again",
	},
	{
		err: codesync.ErrPushing, what: "nothing was pushed: another push is under way on a node",
		cause: "somebody else runs beamctl sync there, or a sync --watch does", fix: "wait for its end, and push again",
	},
	{
		err: codesync.ErrBusy, what: "nothing was pushed: a process whose state is to be converted cannot be suspended",
		cause: "it does something that takes long, or waits for somebody, and takes no system messages meanwhile (sys:suspend); those suspended before it go on",
		fix:   "push again when it is idle; or without --change-code: then it runs the new code with the state that it has",
	},
	{err: node.ErrNodeDown, what: "nothing was pushed: a node went down meanwhile", fix: "push again: without it, or when it is back"},
}

// syncFinding explains why a push failed; what is explained already, or the end of ctx, stays as it is.
func syncFinding(rep *SyncReport, err error) error {
	i := slices.IndexFunc(explanations, func(e explanation) bool { return errors.Is(err, e.err) })
	if i < 0 {
		return err
	}
	e := explanations[i]
	lines := errorLines(err)
	if e.saw != nil {
		lines = e.saw(rep, err)
	}
	f := &checks.Finding{What: e.what, Saw: some(lines), Cause: e.cause, Fix: e.fix, Err: err}
	if errors.Is(e.err, codesync.ErrLingering) && errors.Is(err, context.DeadlineExceeded) {
		f.Cause += ". They were waited for as long as was allowed"
	}
	if e.fixes != nil {
		f.Fix = strings.Join(e.fixes(rep), "\n")
	}
	return f
}

// refusals are the modules that cannot be pushed, each once, with those who refuse it.
func refusals(rep *SyncReport, _ error) []string {
	var list said
	for _, ns := range rep.Nodes {
		for _, r := range ns.Refused {
			list.add(ns.Node, fmt.Sprintf("%s: %s", r.Module, r.Detail))
		}
	}
	return list.lines(len(rep.Nodes))
}

// remedies say what to do about a refusal; one without leave is found out by the nodes' loaders, too late to push the rest.
var remedies = []struct {
	why   codesync.Why
	do    string // with the names of the nodes
	leave bool
}{
	{codesync.WhyNative, "restart %s (beamctl restart): nodes load such modules when they start", true},
	{codesync.WhySticky, "if it has to be: code:unstick_dir on %s, for as long as it takes", true},
	{codesync.WhyPreload, "build no module of that name: %s cannot run another", true},
	{codesync.WhyCover, "end the coverage: cover:stop() on %s", true},
	{codesync.WhyOTP, "build with the OTP that runs on %s", true},
	{codesync.WhyFinal, "restart %s", true},
	{codesync.WhyInvalid, "build again, with the OTP that runs on %s", false},
	{codesync.WhyWrite, "let %s write its files; or push without --persist", false},
}

// wayOut is what to do about what a push was refused for.
func wayOut(rep *SyncReport) []string {
	var out []string
	leave := true
	for _, r := range remedies {
		var nodes []string
		for _, ns := range rep.Nodes {
			if slices.ContainsFunc(ns.Refused, func(one codesync.Refusal) bool { return one.Why == r.why }) {
				nodes = append(nodes, ns.Node)
			}
		}
		if len(nodes) > 0 {
			out = append(out, fmt.Sprintf(r.do, strings.Join(nodes, " ")))
			leave = leave && r.leave
		}
	}
	if leave {
		out = append(out, "or push all others: --leave-out")
	}
	return out
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
func lingering(_ *SyncReport, err error) []string {
	var lines []string
	for _, e := range each(err) {
		l, ok := errors.AsType[*codesync.LingeringError](e)
		if !ok {
			continue
		}
		for _, p := range l.Processes {
			lines = append(lines, fmt.Sprintf("%s: %s runs old code of %s, in %s", l.Node, p.Who(), p.Module, p.Function))
		}
	}
	return lines
}
