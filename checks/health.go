package checks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Status is what a check says of a node.
type Status string

// The statuses. Blocked is not a failure of its own: the check needs something that has failed on the same node.
const (
	OK      Status = "ok"
	Fail    Status = "fail"
	Blocked Status = "blocked"
)

// Cell is one check of one node.
type Cell struct {
	Check  string  `json:"check"`
	Status Status  `json:"status"`
	Saw    string  `json:"saw"`           // the number or fact behind the status
	Fix    string  `json:"fix,omitempty"` // for failures
	Cause  string  `json:"cause,omitempty"`
	Millis float64 `json:"ms"` // how long it took
}

// Row is all checks of one node.
type Row struct {
	Node  string `json:"node"`
	Cells []Cell `json:"checks"`
}

// Report is the health matrix: a row for each node, in each a cell for each check, always all of them.
type Report struct {
	Healthy bool    `json:"healthy"`
	Rows    []Row   `json:"nodes"`
	Millis  float64 `json:"ms"`
}

// Names lists the checks in the order of the matrix's columns.
func Names() []string { return []string{"ping", "rpc", "cookie", "apps", "mesh"} }

// pings is how many pings the ping check sends; it shows their median.
const pings = 5

// examination looks at one node. Cells are found by name, so that a check can end early and leave the rest blocked.
type examination struct {
	n      *node.Node
	t      Target
	others []string
	cells  map[string]Cell
	broken string // the check that failed and left the rest unasked
}

// Health examines all targets in parallel over fresh connections of n. A node that does not answer costs its own row up to
// perNode, and no other's.
func Health(ctx context.Context, n *node.Node, targets []Target, perNode time.Duration) *Report {
	start := time.Now()
	rep := &Report{Healthy: true, Rows: make([]Row, len(targets))}
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.Name
	}
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, perNode)
			defer cancel()
			others := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return t.Alone || s == t.Name })
			x := &examination{n: n, t: t, others: others, cells: map[string]Cell{}}
			x.run(ctx)
			rep.Rows[i] = x.row()
		})
	}
	wg.Wait()
	for _, r := range rep.Rows {
		for _, c := range r.Cells {
			rep.Healthy = rep.Healthy && c.Status == OK
		}
	}
	rep.Millis = millis(time.Since(start))
	return rep
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (x *examination) row() Row {
	r := Row{Node: x.t.Name}
	for _, name := range Names() {
		c, ok := x.cells[name]
		if !ok {
			c = Cell{Status: Blocked, Saw: "not asked: " + x.broken + " failed"}
		}
		c.Check = name
		r.Cells = append(r.Cells, c)
	}
	return r
}

// check runs one check. It fails with a finding of its own, or with an error that explains itself.
func (x *examination) check(name string, f func() (saw string, err error)) bool {
	start := time.Now()
	saw, err := f()
	c := Cell{Status: OK, Saw: saw, Millis: millis(time.Since(start))}
	if err != nil {
		c.Status, c.Saw = Fail, err.Error()
		if fd, ok := errors.AsType[*Finding](err); ok {
			c.Saw, c.Cause, c.Fix = fd.Saw, fd.Cause, fd.Fix
		}
	}
	x.cells[name] = c
	if err != nil && x.broken == "" {
		x.broken = name
	}
	return err == nil
}

func (x *examination) run(ctx context.Context) {
	if err := x.n.AddPeer(x.t.Peer()); err != nil {
		x.check("ping", func() (string, error) { return "", err })
		return
	}
	start := time.Now()
	// A cookie is only proven by a handshake, so each examination makes one.
	x.n.Disconnect(x.t.Name) //nolint:contextcheck // it has a deadline of its own
	if err := x.n.Connect(ctx, x.t.Name); err != nil {
		// The handshake is where a cookie shows; everything before it is reachability.
		name := "ping"
		if errors.Is(err, node.ErrWrongCookie) || errors.Is(err, dist.ErrNoCookie) {
			name = "cookie"
		}
		x.check(name, func() (string, error) { return "", Unreachable(x.t, err) })
		return
	}
	x.check("cookie", func() (string, error) { return "accepted", nil })
	c := x.cells["cookie"]
	c.Millis = millis(time.Since(start))
	x.cells["cookie"] = c
	if !x.check("ping", func() (string, error) { return x.ping(ctx) }) {
		return
	}
	// Apps and mesh are asked by rpc.
	if x.check("rpc", func() (string, error) { return x.rpc(ctx) }) {
		x.check("apps", func() (string, error) { return x.apps(ctx) })
		x.check("mesh", func() (string, error) { return x.mesh(ctx) })
	}
}

func (x *examination) ping(ctx context.Context) (string, error) {
	times := make([]time.Duration, 0, pings)
	for range pings {
		start := time.Now()
		if err := x.n.Ping(ctx, x.t.Name); err != nil {
			return "", Unreachable(x.t, err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return fmt.Sprintf("%.2f ms", millis(times[pings/2])), nil
}

func (x *examination) rpc(ctx context.Context) (string, error) {
	var release string
	if err := x.n.CallInto(ctx, x.t.Name, &release, "erlang", "system_info", etf.Atom("otp_release")); err != nil {
		return "", x.failed(err, "erlang:system_info(otp_release)",
			"the node is connected and cannot run calls: its erpc module or its scheduler is not well")
	}
	return "OTP " + release, nil
}

// CallFailed explains why a call on t failed: an exception of the function is left as it is, everything else becomes a finding.
func CallFailed(t Target, err error) error {
	if _, ok := errors.AsType[*node.ErlangError](err); ok {
		return err
	}
	return Unreachable(t, err)
}

// failed explains an error of a call on a node that answers pings.
func (x *examination) failed(err error, mfa, cause string) error {
	if ex, ok := errors.AsType[*node.ErlangError](err); ok {
		return &Finding{What: x.t.Name + ": " + mfa + " failed", Saw: mfa + ": " + ex.Error(), Cause: cause, Err: err}
	}
	if errors.Is(err, node.ErrTimeout) {
		return &Finding{
			What: x.t.Name + ": " + mfa + " does not return", Saw: mfa + ": no answer within the deadline",
			Cause: "the process that should answer hangs or is overloaded", Fix: "look at the node's run queue and mailboxes", Err: err,
		}
	}
	return Unreachable(x.t, err)
}

func (x *examination) apps(ctx context.Context) (string, error) {
	running, err := runningApps(ctx, x.n, x.t.Name)
	if err != nil {
		return "", x.failed(err, "application:which_applications()", "the application controller does not answer")
	}
	var up, down []string
	for _, a := range x.t.Apps {
		if v, ok := running[a]; ok {
			up = append(up, a+" "+v)
		} else {
			down = append(down, a)
		}
	}
	if len(down) > 0 {
		return "", &Finding{
			What:  fmt.Sprintf("%s: %s not running", x.t.Name, strings.Join(down, ", ")),
			Saw:   strings.Join(down, ", ") + " not running",
			Cause: "the application was stopped, or its top supervisor gave up",
			Fix:   "read the node's log, then application:ensure_all_started, or restart the node",
		}
	}
	if len(x.t.Apps) == 0 {
		return fmt.Sprintf("%d running", len(running)), nil
	}
	return strings.Join(up, ", "), nil
}

func (x *examination) mesh(ctx context.Context) (string, error) {
	have, err := visibleFrom(ctx, x.n, x.t.Name)
	if err != nil {
		return "", x.failed(err, "erlang:nodes(visible)", "")
	}
	if m := missing(x.others, have); len(m) > 0 {
		return "", &Finding{
			What:  fmt.Sprintf("%s does not see %s", x.t.Name, strings.Join(m, ", ")),
			Saw:   "does not see " + strings.Join(m, ", "),
			Cause: "the connection between them was ended or never made; since OTP 25 global cuts more edges after a partial partition",
			Fix:   "connect them (net_kernel:connect_node) or restart the node",
		}
	}
	return fmt.Sprintf("%d of %d", len(x.others), len(x.others)), nil
}
