package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Witness is what a node that can be reached says of one that cannot.
type Witness struct {
	Node      string `json:"node"`
	Connected bool   `json:"connected"` // it has a connection with it
	Says      string `json:"says,omitempty"`
}

// maxWitnesses is how many nodes are asked about each that cannot be reached.
const maxWitnesses = 3

// witnesses asks nodes that have a connection with one that cannot be reached, over that connection, what its
// net_kernel does. No connection is made for it.
func (r *Report) witnesses(ctx context.Context, n *node.Node, surveys []*survey, step time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	var wg sync.WaitGroup
	for i := range r.Nodes {
		lost := &r.Nodes[i]
		if lost.Reached || lost.Down != "" {
			continue
		}
		for j, s := range surveys {
			if s == nil || len(lost.Witnesses) == maxWitnesses {
				continue
			}
			lost.Witnesses = append(lost.Witnesses, Witness{Node: r.Nodes[j].Node, Connected: slices.Contains(s.visible, lost.Node)})
		}
		for k := range lost.Witnesses {
			if w := &lost.Witnesses[k]; w.Connected {
				wg.Go(func() { w.Says = hearsay(ctx, n, w.Node, lost.Node, step) })
			}
		}
	}
	wg.Wait()
}

// hearsay has one node look at the net_kernel of another.
func hearsay(ctx context.Context, n *node.Node, witness, lost string, step time.Duration) string {
	limit := int(step.Milliseconds()) / 2
	ask := func(m, f etf.Atom, args ...etf.Term) (etf.Term, error) {
		return n.Call(ctx, witness, "erpc", "call", etf.Atom(lost), m, f, etf.List(args), limit)
	}
	pid, err := ask("erlang", "whereis", etf.Atom("net_kernel"))
	if err != nil {
		return "it runs no calls there either"
	}
	info, err := ask("erlang", "process_info", pid, etf.List{etf.Atom("current_function"), etf.Atom("message_queue_len")})
	l, ok := info.(etf.List)
	if err != nil || !ok {
		return "it runs calls there; net_kernel is " + etf.FormatOptions{MaxBytes: 80}.Format(pid)
	}
	current, _ := l.Lookup("current_function")
	mail, _ := l.Lookup("message_queue_len")
	return fmt.Sprintf("it runs calls there; net_kernel is in %s, with %s messages unread", mfa(current), etf.Format(mail))
}

// testify adds what the witnesses say to the finding about their node.
func (nr *NodeReport) testify(f *checks.Finding) {
	var with, without, says []string
	for _, w := range nr.Witnesses {
		if !w.Connected {
			without = append(without, w.Node)
			continue
		}
		with = append(with, w.Node)
		says = append(says, w.Says)
	}
	if len(with) > 0 {
		f.Saw += fmt.Sprintf("\n%s still connected with it: %s", are(with), says[0])
		if strings.Contains(says[0], "sys:suspend_loop") {
			f.Cause, f.Fix = "net_kernel is suspended (sys:suspend/1)", fmt.Sprintf("on %s: erpc:call('%s', sys, resume, [net_kernel])", with[0], nr.Node)
		}
	}
	if len(without) > 0 {
		f.Saw += fmt.Sprintf("\n%s not connected with it", are(without))
	}
}

// are lists names with the verb that fits.
func are(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// mesh finds pairs of nodes that do not see each other, and the partitions that they make.
func (r *Report) mesh(targets []checks.Target, surveys []*survey) {
	sees := func(i, j int) bool { return slices.Contains(surveys[i].visible, targets[j].Name) }
	var members []int
	for i, s := range surveys {
		if s != nil && !targets[i].Alone {
			members = append(members, i)
		}
	}
	connected := newGroups(members)
	var oneWay, missing []string
	var ends []int
	for x, i := range members {
		for _, j := range members[x+1:] {
			ij, ji := sees(i, j), sees(j, i)
			switch {
			case ij && ji:
				connected.join(i, j)
			case ij || ji:
				from, to := i, j
				if ji {
					from, to = j, i
				}
				oneWay = append(oneWay, fmt.Sprintf("%s sees %s, which does not see it", targets[from].Name, targets[to].Name))
				ends = append(ends, i, j)
			default:
				missing = append(missing, targets[i].Name+" and "+targets[j].Name)
				ends = append(ends, i, j)
			}
		}
	}
	for _, group := range connected.all(members) {
		var part []string
		for _, i := range group {
			part = append(part, targets[i].Name)
		}
		r.Parts = append(r.Parts, part)
	}
	if len(ends) == 0 {
		return
	}
	slices.Sort(ends)
	r.add(AreaCluster, Fail, "", r.split(oneWay, missing, slices.Compact(ends)))
}

// groups are those of nodes that are connected, over whichever others: of each node the least of its group.
type groups map[int]int

func newGroups(members []int) groups {
	g := make(groups, len(members))
	for _, i := range members {
		g[i] = i
	}
	return g
}

// join makes one group of the two that the nodes are in.
func (g groups) join(i, j int) {
	least, other := min(g[i], g[j]), max(g[i], g[j])
	for k, of := range g {
		if of == other {
			g[k] = least
		}
	}
}

// all lists the groups, in the order of the members.
func (g groups) all(members []int) [][]int {
	var all [][]int
	for _, i := range members {
		if g[i] != i {
			continue
		}
		all = append(all, slices.DeleteFunc(slices.Clone(members), func(j int) bool { return g[j] != i }))
	}
	return all
}

// maxEdgesShown is how many missing edges are listed: a screen's worth; 50 nodes in two halves miss 625.
const maxEdgesShown = 10

// split explains missing edges; ends are the nodes at them.
func (r *Report) split(oneWay, missing []string, ends []int) *checks.Finding {
	f := &checks.Finding{What: "not all nodes are connected with each other"}
	if len(r.Parts) > 1 {
		f.What = fmt.Sprintf("the cluster is split into %d partitions", len(r.Parts))
	}
	var saw []string
	if len(r.Parts) > 1 {
		var parts []string
		for _, p := range r.Parts {
			parts = append(parts, strings.Join(p, " "))
		}
		saw = append(saw, strings.Join(parts, " | "))
	}
	for _, m := range missing {
		saw = append(saw, "no connection between "+m)
	}
	saw = append(saw, oneWay...)
	if more := len(saw) - maxEdgesShown; more > 0 {
		saw = append(saw[:maxEdgesShown], fmt.Sprintf("and %d more", more))
	}
	f.Saw = strings.Join(saw, "\n")
	f.Cause, f.Fix = r.whySplit(ends, len(oneWay) > 0 && len(missing) == 0)
	if len(r.Parts) == 1 && f.Fix == "" {
		f.Fix = "connect them (net_kernel:connect_node/1)"
	}
	return f
}

// whySplit looks for the likely cause of missing edges in what the nodes have logged and how they are set.
func (r *Report) whySplit(ends []int, oneWay bool) (cause, fix string) {
	var settings, ticks []string
	for _, i := range ends {
		if o := r.Nodes[i].Overlap; o != "" && !slices.Contains(settings, o) {
			settings = append(settings, o)
		}
		if t := r.Nodes[i].TickTime; !slices.Contains(ticks, t) {
			ticks = append(ticks, t)
		}
	}
	const reconnect = "repair the connection that was lost first, then connect the nodes again (net_kernel:connect_node/1) or restart one side"
	switch kind := r.Logs.kinds(); {
	case kind[KindOverlap] != nil:
		return "one connection was lost, and global then ended more of them to keep partitions from overlapping (prevent_overlapping_partitions, since OTP 25): " +
			kind[KindOverlap].Title, reconnect
	case kind[KindCookie] != nil:
		return "the nodes do not share a cookie: " + kind[KindCookie].Title, "give all nodes the same cookie (erlang:get_cookie/0 on each)"
	case kind[KindTick] != nil:
		return "a node was silent for longer than net_ticktime: " + kind[KindTick].Title, "look whether it was overloaded, paused or cut off; " + reconnect
	case len(ticks) > 1:
		return "net_ticktime differs between the nodes (" + strings.Join(ticks, ", ") + "): the shorter one gives the other up", "set the same net_ticktime everywhere"
	case oneWay:
		return "a connection has just been lost and one side has not noticed yet (it will within net_ticktime), or it connects hidden",
			"look again after net_ticktime (" + strings.Join(ticks, ", ") + " s)"
	case slices.Contains(settings, "true"):
		return "the connection was ended or never made; prevent_overlapping_partitions is on, so that global ends more connections when one is lost; the nodes' logs say which",
			reconnect
	}
	return "the connection was ended or never made", reconnect
}

// busyQueue is from which number of bytes on that the network has not taken, at both ends of the sample, a link is a
// finding: the driver's high watermark (inet_drv.c), above which it tells the VM to wait.
const busyQueue = 8 << 10

// traffic lists the connections, and finds those that do not take what is sent.
func (r *Report) traffic(surveys []*survey) {
	for _, s := range surveys {
		if s == nil {
			continue
		}
		for _, t := range s.traffic {
			if slices.Contains(s.hidden, t.To) && r.node(t.To) == nil {
				continue // that is us, or another tool
			}
			r.Links = append(r.Links, t)
			if t.Queued < busyQueue || t.Before < busyQueue {
				continue
			}
			f := &checks.Finding{
				What:  fmt.Sprintf("the link from %s to %s is busy", t.From, t.To),
				Saw:   fmt.Sprintf("%s wait to be sent, %s before; %s/s are taken; processes that send are suspended from %s on", Size(t.Queued), Size(t.Before), Size(int64(t.Out)), Size(t.Limit)),
				Cause: "the other node or the network does not take what is sent: it is stopped, overloaded or slow, or something very large is on the way",
				Fix:   "look at the other node; send less over distribution; erl +zdbbl raises the limit",
			}
			r.add(AreaCluster, Fail, t.From, f)
		}
	}
}

// Size writes a number of bytes for people.
func Size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
