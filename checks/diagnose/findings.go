package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
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
		if info.cause == "" {
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
		r.add(AreaLog, node, &checks.Finding{What: what, Saw: fmt.Sprintf("%s (%s)", g.When(), g.Where), Cause: info.cause, Fix: info.fix})
	}
	if rest > 0 {
		r.add(AreaLog, "", &checks.Finding{
			What: fmt.Sprintf("the logs complain of %d more things", rest), Saw: fmt.Sprintf("%d entries", entries),
			Cause: "the gravest are told above", Fix: "all are in the report: -o json, -o html",
		})
	}
	for _, f := range r.Logs.Files {
		if f.Problem != "" && f.Lines == 0 {
			r.add(AreaLog, f.Node, &checks.Finding{What: "a log cannot be read: " + f.Name, Saw: f.Problem, Cause: "it is not there, or not for this user", Fix: "check the path and its permissions"})
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

// events makes findings of nodes that have ended by themselves: one for each node, with the last.
func (r *Report) events(events []Event, since time.Time, hide *Redactor) {
	for _, e := range events {
		if e.Detail = hide.Text(e.Detail); !e.Time.Before(since) {
			r.Events = append(r.Events, e)
		}
	}
	var nodes []string
	count := map[string]int{}
	last := map[string]Event{}
	for _, e := range r.Events {
		if !e.Bad {
			continue
		}
		if !slices.Contains(nodes, e.Node) {
			nodes = append(nodes, e.Node)
		}
		count[e.Node]++
		last[e.Node] = e
	}
	for _, n := range nodes {
		e := last[n]
		who := n
		if who == "" {
			who = "the cluster"
		}
		times := ""
		if count[n] > 1 {
			times = fmt.Sprintf(" %d times", count[n])
		}
		r.add(AreaCrash, n, &checks.Finding{
			What: fmt.Sprintf("%s %s%s", who, e.What, times), Saw: strings.TrimSuffix(fmt.Sprintf("%s: %s", e.Time.Format(time.RFC3339), e.Detail), ": "),
			Cause: "its process has ended without being asked to", Fix: "look at its log and crash dump, which this report has",
		})
	}
}
