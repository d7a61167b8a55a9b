package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
)

// maxLogFindings is how many groups of log entries are findings of their own; the rest is in the report all the same.
const maxLogFindings = 10

// logs makes findings of what the logs complain of.
func (r *Report) logs() {
	var rest, entries int
	told := 0
	for i := range r.Logs.Groups {
		g := &r.Logs.Groups[i]
		info := kindInfo[g.Kind.rank()]
		if info.cause == "" || g.Due == g.Count || g.Kind == KindAlarm && r.raised(g) {
			continue
		}
		if told++; told > maxLogFindings {
			rest++
			entries += g.Count
			continue
		}
		node := ""
		if len(g.Nodes) == 1 {
			node = g.Nodes[0]
		}
		what := g.Title
		if len(g.Nodes) > 0 {
			what = strings.Join(g.Nodes, ", ") + ": " + g.Title
		}
		level := r.level(g)
		if level == Past {
			what += " (it is over)"
		}
		r.add(AreaLog, level, node, &checks.Finding{What: what, Saw: fmt.Sprintf("%s (%s)", g.When(), g.Where), Cause: info.cause, Fix: info.fix})
	}
	if rest > 0 {
		r.add(AreaLog, Fail, "", &checks.Finding{
			What: fmt.Sprintf("the logs complain of %d more things", rest), Saw: fmt.Sprintf("%d entries", entries),
			Cause: "the gravest are told above", Fix: "all are in the report: -o json, -o html",
		})
	}
	for _, f := range r.Logs.Files {
		if f.Problem != "" && f.Lines == 0 {
			r.add(AreaLog, Fail, f.Node, &checks.Finding{What: "a log cannot be read: " + f.Name, Saw: f.Problem, Cause: "it is not there, or not for this user", Fix: "check the path and its permissions"})
		}
	}
}

// When says how often and when.
func (g *Group) When() string {
	times := "once"
	if g.Count > 1 {
		times = fmt.Sprintf("%d times", g.Count)
	}
	const layout = "2006-01-02 15:04:05"
	switch {
	case g.First.IsZero():
		return times
	case g.Count == 1 || g.First.Equal(g.Last):
		return times + ", at " + g.Last.Format(layout)
	}
	return fmt.Sprintf("%s, from %s to %s", times, g.First.Format(layout), g.Last.Format(layout))
}

// level says how much a group of entries matters now: what nodes have logged before they were started again is over,
// and so is an alarm that is not raised any more.
func (r *Report) level(g *Group) Level {
	over := func(node string) bool {
		return !g.Last.IsZero() && g.Last.Before(r.since(node)) || g.Kind == KindAlarm && r.cell(node, "alarms") == health.OK
	}
	if len(g.Nodes) > 0 && !slices.ContainsFunc(g.Nodes, func(n string) bool { return !over(n) }) {
		return Past
	}
	return Fail
}

// raised tells whether the matrix has a node on which an alarm is still raised, and so tells of it.
func (r *Report) raised(g *Group) bool {
	return slices.ContainsFunc(g.Nodes, func(n string) bool { return r.cell(n, "alarms") == health.Warn })
}

// A node that has crashed often, and has just done so again, does not run well only because it runs at the moment.
const (
	oftenCrashed = 3
	justCrashed  = 5 * time.Minute
)

// events makes findings of nodes that have ended by themselves: one for each node, with the last.
func (r *Report) events(events []Event, since time.Time, hide *Redactor) {
	for _, e := range events {
		e.Cause = hide.Text(e.Cause)
		if e.Detail = hide.Text(e.Detail); !e.Time.Before(since) {
			r.Events = append(r.Events, e)
		}
	}
	var nodes []string
	crashes := map[string][]Event{}
	for _, e := range r.Events {
		if !e.Bad {
			continue
		}
		if crashes[e.Node] == nil {
			nodes = append(nodes, e.Node)
		}
		crashes[e.Node] = append(crashes[e.Node], e)
	}
	for _, n := range nodes {
		r.crashed(n, crashes[n])
	}
}

// crashed makes a finding of all crashes of a node, unless the ladder to it has told of the only one.
func (r *Report) crashed(node string, all []Event) {
	last := all[len(all)-1]
	alive, _, _ := strings.Cut(node, "@")
	f := &checks.Finding{
		What:  node + " has crashed" + times(len(all)),
		Cause: cmp.Or(last.Cause, "its process has ended without being asked to"), Fix: strings.TrimSpace("what it said: beamctl logs " + alive),
	}
	if slices.ContainsFunc(all, func(e Event) bool { return e.Cause != last.Cause }) {
		f.Saw, f.Cause = ends(all, ""), "of the last: "+f.Cause
	} else {
		f.Saw = ends(all, last.Cause)
	}
	if node == "" {
		f.What = "the cluster has crashed"
	}
	if i := slices.IndexFunc(r.Dumps, func(d Dump) bool { return d.Node == node }); i >= 0 {
		f.Fix += "; its crash dump, " + r.Dumps[i].Name + ", is told of here, too"
	}
	level := Fail
	nr, again := r.node(node), r.lives[node].after(last.Time)
	switch {
	case again.IsZero() && nr != nil && nr.Down != "":
		if len(all) == 1 {
			return
		}
	case again.IsZero() && nr == nil && len(r.Nodes) > 0:
		level, f.What = Past, node+" had crashed, and was removed"
	case !again.IsZero() && (nr == nil || nr.Down != ""): // it, or the whole cluster, has ended since in another way
		level, f.What = Past, fmt.Sprintf("%s had crashed%s, and was started again at %s", node, times(len(all)), checks.Clock(again))
	case !again.IsZero() && len(all) >= oftenCrashed && time.Since(last.Time) < justCrashed:
		f.What = fmt.Sprintf("%s crashes again and again: %d times since %s", node, len(all), checks.Clock(all[0].Time))
	case !again.IsZero():
		level, f.What = Past, fmt.Sprintf("%s had crashed%s, and runs again since %s", node, times(len(all)), checks.Clock(again))
	}
	r.add(AreaCrash, level, node, f)
}

// maxEnds is how many ends of a node that differ are told of; of a node that crashes all the time the last say enough.
const maxEnds = 5

// ends tells when and how a node has crashed, and why, unless that is said of all: a line for those alike that came one
// after the other.
func ends(all []Event, said string) string {
	var lines []string
	for first := 0; first < len(all); {
		last := first
		for last+1 < len(all) && all[last+1].Detail == all[first].Detail {
			last++
		}
		line := checks.Clock(all[last].Time)
		if n := last - first + 1; n > 1 {
			line = fmt.Sprintf("%d times, from %s to %s", n, checks.Clock(all[first].Time), line)
		}
		how := strings.TrimSuffix(all[first].Detail, ": "+said)
		lines = append(lines, strings.TrimSuffix(line+": "+how, ": "))
		first = last + 1
	}
	if more := len(lines) - maxEnds; more > 0 {
		lines = append([]string{fmt.Sprintf("(%d more before)", more)}, lines[more:]...)
	}
	return strings.Join(lines, "\n")
}

// times says how often, if more than once.
func times(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" %d times", n)
}
