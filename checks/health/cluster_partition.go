package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// kernelEnv is the configuration of the application kernel: one call for all of it, and no parameter's name is sent that a release
// may not know.
var kernelEnv = result[etf.List]("application", "get_all_env", etf.Atom("kernel"))

// preventsOverlap is kernel's prevent_overlapping_partitions; "" where there is none.
var preventsOverlap = &fact[string]{func(ctx context.Context, x *exam) (string, error) {
	env, err := kernelEnv.of(ctx, x)
	if err != nil {
		return "", err
	}
	v, ok := env.Lookup("prevent_overlapping_partitions")
	if !ok {
		return "", nil
	}
	return etf.Format(v), nil
}}

// overlapRelease is the first release that has the setting, on by default. Patches of older ones know it too; it is none of theirs
// until somebody turns it on.
const overlapRelease = 25

func overlap(ctx context.Context, x *exam) (Cell, error) {
	own, err := preventsOverlap.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "application:get_all_env(kernel)", "")
	}
	if own == "" {
		if r, err := release.of(ctx, x); err != nil || otp(r) < overlapRelease {
			return none("OTP %s has no such setting", r)
		}
		own = "true"
	}
	on := map[string]string{"true": "on", "false": "off"}
	c, _ := ok("%s", own)
	if text := on[own]; text != "" {
		c.Saw = text
	}
	var others []string
	for _, s := range preventsOverlap.everywhere(ctx, x) {
		if s.x != x && s.err == nil && s.v != "" && !s.x.t.Alone {
			others = append(others, s.v)
		}
	}
	if odd(own, others) {
		c.Status = Warn
		c.Saw += " here, otherwise on " + count(len(others)-matching(others, own), "other node", "other nodes")
		c.Cause = "after a partial loss of connections the nodes will not agree on who belongs to the cluster: global's names may be wrong"
	}
	return c, nil
}

func matching(list []string, v string) (n int) {
	for _, s := range list {
		if s == v {
			n++
		}
	}
	return n
}

// lostMemory is how long global remembers a connection that was lost (lib/kernel/src/global.erl, lost_conn_info_cleanup_time).
const lostMemory = time.Hour

// loss is a connection that A lost to B.
type loss struct {
	A, B string
	ago  time.Duration
}

// lost is what global's "prevent overlapping partitions" knows; nothing where it is off.
var lost = &fact[[]loss]{func(ctx context.Context, x *exam) ([]loss, error) {
	if prevents, err := preventsOverlap.of(ctx, x); err != nil || prevents != "true" {
		return nil, err
	}
	var rows []struct {
		Edge struct{ A, B etf.Atom }
		Info struct{ Creation, Operation, Timer etf.Term }
	}
	if err := x.call(ctx, &rows, "ets", "tab2list", etf.Atom("global_lost_connections")); err != nil || len(rows) == 0 {
		return nil, err
	}
	timers := make(etf.List, len(rows))
	for i, r := range rows {
		timers[i] = r.Info.Timer
	}
	var left []etf.Term
	if err := x.call(ctx, &left, "lists", "map", etf.Export{Module: "erlang", Function: "read_timer", Arity: 1}, timers); err != nil {
		return nil, err
	}
	var out []loss
	for i, l := range left[:min(len(left), len(rows))] {
		if ms, ok := l.(int64); ok { // else it has just been forgotten
			ago := max(lostMemory-time.Duration(ms)*time.Millisecond, 0)
			out = append(out, loss{string(rows[i].Edge.A), string(rows[i].Edge.B), ago})
		}
	}
	return out, nil
}}

// uptime is how long the emulator has run.
var uptime = &fact[time.Duration]{func(ctx context.Context, x *exam) (time.Duration, error) {
	var clock [2]int64
	err := x.call(ctx, &clock, "erlang", "statistics", etf.Atom("wall_clock"))
	return time.Duration(clock[0]) * time.Millisecond, err
}}

// bootSlack is by how much a node has to be older than the loss of a connection not to be taken for one that was restarted: the
// other side may be late to notice that the old one has ended.
const bootSlack = 2 * time.Second

func partitions(ctx context.Context, x *exam) (Cell, error) {
	list, err := lost.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "ets:tab2list(global_lost_connections)", "")
	}
	if prevents, _ := preventsOverlap.of(ctx, x); prevents != "true" {
		return none("not recorded: prevent_overlapping_partitions is off")
	}
	c, _ := ok("none")
	if len(list) == 0 {
		return c, nil
	}
	// What ended with a node is no partition.
	age := map[string]time.Duration{}
	for _, s := range uptime.everywhere(ctx, x) {
		if s.err == nil {
			age[s.x.t.Name] = s.v
		}
	}
	edges := map[string]time.Duration{}
	for _, l := range list {
		if l.ago+bootSlack < min(age[l.A], age[l.B]) {
			pair := []string{l.A, l.B}
			slices.Sort(pair)
			edge := strings.Join(pair, " and ")
			if ago, ok := edges[edge]; !ok || l.ago < ago {
				edges[edge] = l.ago
			}
		}
	}
	c.Values = map[string]float64{"lost": float64(len(edges))}
	if len(edges) == 0 {
		return c, nil
	}
	var saw []string
	for edge, ago := range edges {
		saw = append(saw, fmt.Sprintf("%s lost each other %v ago", edge, ago.Round(time.Second)))
	}
	slices.Sort(saw)
	c.Status, c.Saw = Warn, listed(saw)
	c.Cause = "the network between them failed, or one of them paused for longer than the net_ticktime"
	return c, nil
}
