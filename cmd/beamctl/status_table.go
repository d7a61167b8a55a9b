package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/launcher"
)

// showStatus shows a cluster as it is now, after something was done with it. What is wrong is no result of that: stderr has it.
func (a *app) showStatus(ctx context.Context, c *launcher.Cluster) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	a.warn(troubles(st))
	if a.output == "json" {
		return a.json(st)
	}
	return a.statusTable(a.out, st, nil)
}

// warn says on stderr which nodes are not as they should be.
func (a *app) warn(all []*trouble) {
	for _, t := range all {
		colored := a.color(a.errTTY)
		fmt.Fprintln(a.err, wrap(paint(colored, yellow, "warning:")+" "+a.advise(t.text(colored)), a.width))
	}
}

// spareColumns of a status are left out in this order where the window is narrow.
var spareColumns = []string{"PORT", "OTP", "PID", "CPU", "PING", "MEM", "UPTIME", "DRIFT", "PEERS"}

// statusTable shows a status as a table, a row for each node. With an earlier status of the same cluster, it shows how busy the nodes were
// since then.
func (a *app) statusTable(w io.Writer, st, before *launcher.Status) error {
	colored := a.color(a.outTTY)
	header := []string{"NODE", "STATE", "PID", "PORT", "OTP", "PING", "UPTIME", "MEM", "CPU", "PEERS", "DRIFT", "APPS"}
	var rows [][]string
	for _, n := range st.Nodes {
		state := n.State
		switch n.State {
		case launcher.NodeUp:
			state = paint(colored, green, state)
		case launcher.NodeStarting, launcher.NodeStopped, launcher.NodeExited:
			state = paint(colored, yellow, state)
		default:
			state = paint(colored, red, state)
		}
		apps := strings.Join(n.Apps, " ")
		for _, m := range n.Missing {
			apps = strings.TrimSpace(apps + " " + paint(colored, red, "!"+m))
		}
		ping, uptime, mem, cpu, peers := "", "", "", "", "-"
		if n.State == launcher.NodeUp {
			ping, uptime, peers = fmt.Sprintf("%.2fms", n.Ping), ago(time.Duration(n.Uptime)*time.Second), fmt.Sprint(len(n.Peers))
			mem, cpu = megabytes(n.Memory), cpuText(n, st, before)
		}
		drift := orDash(fmt.Sprint(len(n.Drift)))
		if len(n.Drift) > 0 {
			drift = paint(colored, yellow, drift)
		}
		rows = append(rows, []string{
			n.Name, state, orDash(fmt.Sprint(n.Pid)), orDash(portsText(n)), orDash(n.OTP), orDash(ping), orDash(uptime), orDash(mem), orDash(cpu),
			peers, drift, orDash(apps),
		})
	}
	return table(w, a.outWidth(), header, rows, spareColumns...)
}

// portsText is the port of a node's distribution, and those that it has besides, by name: 9100 http:4100.
func portsText(n launcher.NodeStatus) string {
	all := []string{orDash(fmt.Sprint(n.Port))}
	for _, name := range slices.Sorted(maps.Keys(n.Ports)) {
		if name != launcher.DistPort {
			all = append(all, fmt.Sprintf("%s:%d", name, n.Ports[name]))
		}
	}
	return strings.Join(all, " ")
}

// trouble is something that is wrong, with one node or with several alike.
type trouble struct {
	nodes   []string
	finding checks.Finding // What without the nodes' names; %s in Fix stands for what they are called on the command line
	color   color
}

// absent are the nodes that were stopped on purpose: no trouble but for who counts on them. Of nil nothing is known.
func absent(st *launcher.Status) []*trouble {
	t := &trouble{color: yellow, finding: checks.Finding{
		What: "does not run", Cause: "stopped on purpose; BEAMCTL_NODES names all nodes, whether they run or not", Fix: "beamctl start %s",
	}}
	if st != nil {
		for _, n := range st.Nodes {
			if n.State == launcher.NodeStopped {
				t.nodes = append(t.nodes, n.Name)
			}
		}
	}
	if len(t.nodes) == 0 {
		return nil
	}
	return []*trouble{t}
}

// troubles is everything that is wrong with the nodes of a status. Who was stopped on purpose, or is still starting, is not; of nil
// nothing is known.
func troubles(st *launcher.Status) []*trouble {
	if st == nil {
		return nil
	}
	var all []*trouble
	add := func(n launcher.NodeStatus, c color, f checks.Finding) {
		for _, t := range all {
			if t.finding == f {
				t.nodes = append(t.nodes, n.Name)
				return
			}
		}
		all = append(all, &trouble{[]string{n.Name}, f, c})
	}
	for _, n := range st.Nodes {
		switch n.State {
		case launcher.NodeCrashed:
			add(n, red, checks.Finding{What: "crashed", Saw: n.Exit, Cause: n.Cause, Fix: "beamctl start %s; what it printed: beamctl logs %[1]s"})
		case launcher.NodeExited:
			add(n, yellow, checks.Finding{What: "ended by itself", Saw: n.Exit, Cause: n.Cause, Fix: "beamctl start %s; what it printed: beamctl logs %[1]s"})
		case launcher.NodeUnreachable:
			if n.Down != nil {
				f := *n.Down
				f.What = strings.TrimPrefix(f.What, n.Name+" ")
				add(n, red, f)
				break
			}
			what, cause, _ := strings.Cut(n.Problem, ": ")
			add(n, red, checks.Finding{What: what, Cause: cause, Fix: "beamctl diagnose says more; beamctl restart %s starts it anew"})
		case launcher.NodeUp:
			if len(n.Missing) > 0 {
				add(n, red, checks.Finding{
					What: "does not run " + strings.Join(n.Missing, ", "), Cause: "the application was stopped, or has crashed",
					Fix: "beamctl restart %s; why it ended: beamctl logs %[1]s",
				})
			}
			if len(n.Lost) > 0 {
				add(n, yellow, checks.Finding{
					What: "runs code that is not on disk: " + launcher.SomeNames(n.Lost), Cause: "the project is being built right now, or its last build failed",
					Fix: "mend the source: beamctl sync --compile shows what is wrong",
				})
			}
			if other := slices.DeleteFunc(slices.Clone(n.Drift), func(m string) bool { return slices.Contains(n.Lost, m) }); len(other) > 0 {
				add(n, yellow, checks.Finding{What: "runs other code than the disk has: " + launcher.SomeNames(other), Fix: "beamctl sync loads it, and beamctl restart, too"})
			}
			if n.Problem != "" {
				add(n, yellow, checks.Finding{What: "did not tell all", Saw: n.Problem})
			}
		}
		if n.Restart > 0 {
			add(n, yellow, checks.Finding{What: fmt.Sprintf("was restarted %d×", n.Restart), Fix: "why it crashed: beamctl events, beamctl logs %s"})
		}
	}
	return all
}

// ofSeveral are the verbs with which What begins of one node, and what they are of several.
var ofSeveral = map[string]string{"does": "do", "has": "have", "is": "are", "runs": "run", "stands": "stand", "was": "were"}

func (t *trouble) text(colored bool) string {
	f := t.finding
	if verb, rest, _ := strings.Cut(f.What, " "); len(t.nodes) > 1 && ofSeveral[verb] != "" {
		f.What = ofSeveral[verb] + " " + rest
	}
	f.What = paint(colored, t.color, (&health.Complaint{Nodes: t.nodes}).Who()+" "+f.What)
	if strings.Contains(f.Fix, "%") {
		words := make([]string, 0, len(t.nodes))
		for _, name := range t.nodes {
			alive, _, _ := strings.Cut(name, "@")
			words = append(words, alive)
		}
		if len(words) > health.ManyNodes {
			words = []string{"NODE…"}
		}
		f.Fix = fmt.Sprintf(f.Fix, strings.Join(words, " "))
	}
	return f.Error()
}

// troubleText is all that is wrong, below a table.
func (a *app) troubleText(st *launcher.Status) string {
	text := ""
	for _, t := range troubles(st) {
		text += "\n" + wrap(a.advise(t.text(a.color(a.outTTY))), a.outWidth())
	}
	if text != "" {
		text = "\n" + strings.TrimPrefix(text, "\n") + "\n"
	}
	return text
}

func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%dM", n>>20)
}

// cpuText is the time that a node has had of a CPU, or how much of one it has taken since before.
func cpuText(n launcher.NodeStatus, st, before *launcher.Status) string {
	if before != nil {
		for _, b := range before.Nodes {
			if elapsed := st.Time.Sub(before.Time).Seconds(); b.Name == n.Name && b.OSPid == n.OSPid && elapsed > 0 {
				return fmt.Sprintf("%.0f%%", 100*(n.CPU-b.CPU)/elapsed)
			}
		}
	}
	if n.CPU == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fs", n.CPU)
}
