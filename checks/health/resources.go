package health

import (
	"context"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

var resourceChecks = []*Check{
	{
		Name: "memory", Group: Resources,
		What: "how much memory it has allocated, by kind; of a node that nobody has asked for that before, and that would make 300 atoms for the answer, " +
			"its RAM, if it is on this machine, and what its processes and ETS tables have",
		Asks:  "erlang:memory/0, os:getpid/0; else erl_eval:expr/3 (erlang:process_info/2, ets:info/2)",
		Fails: "warns when what it has allocated (else its RAM), or has for one kind, is over its limit; there is none by default. A limit for binaries, code or atoms has erlang:memory/0 asked of every node", Fix: "beamctl diagnose shows the largest processes; the kinds show whether binaries, ETS or code grow",
		run: memory,
	},
	{
		Name: "limits", Group: Resources,
		What: "processes, ports, atoms, ETS tables, and on this machine descriptors, as shares of what it may have", Asks: "erlang:system_info/1, ets:all/0, os:getpid/0",
		Fails: "warns when one is over 80 % of its limit, fails over 95 %: a full atom table ends the node", Fix: "find what makes them and never frees them; raise the limit (erl +P, +Q, +t, +e; ulimit -n) only to win time",
		run: limits,
	},
	{
		Name: "schedulers", Group: Resources,
		What:  "the share of their time that the schedulers work, measured for 50 ms; reductions and garbage collections a second",
		Asks:  "erl_eval:expr/3 (erlang:system_flag/2 and statistics/1, in one process)",
		Fails: "warns over 95 %", Fix: "beamctl diagnose shows the busiest processes",
		run: schedulers,
	},
	{
		Name: "runqueue", Group: Resources,
		What: "how many processes wait for a scheduler, the least of two looks", Asks: "erlang:statistics/1",
		Fails: "warns when more than 10 wait for each scheduler", Fix: "beamctl diagnose shows the busiest processes; look also who else uses the machine's CPUs",
		run: runqueue,
	},
	{
		Name: "mailbox", Group: Resources,
		What: "the longest mailbox; on a node with more than 5000 processes, of the registered ones", Asks: "erl_eval:expr/3 (erlang:process_info/2)",
		Fails: "warns when it has more than 1000 messages; names the processes and what they do", Fix: "the process hangs, or is too slow for what it is sent: look at its current function",
		run: mailbox,
	},
	{
		Name: "latency", Group: Resources,
		What: "the round trip from the node to each other one that it sees, the best of 3", Asks: "erl_eval:expr/3 (gen_server:call/3 to the other's net_kernel)",
		Fails: "warns when one takes more than 50 ms, fails when another node does not answer it", Fix: "look at the network between the two nodes, and at the run queue of the other one",
		run: latency,
	},
}

// failUsage is the share of a limit from which on the next burst may reach it.
const failUsage = 0.95

// tables are what a node may have only so many of.
var tables = []struct {
	name        string
	have, limit etf.Atom
}{
	{name: "processes", have: "process_count", limit: "process_limit"},
	{name: "ports", have: "port_count", limit: "port_limit"},
	{name: "atoms", have: "atom_count", limit: "atom_limit"},
}

// counted is what erlang:system_info/1 says of the tables: have and limit of each.
var counted = &fact[[]int64]{func(ctx context.Context, x *exam) ([]int64, error) {
	var keys etf.List
	for _, t := range tables {
		keys = append(keys, t.have, t.limit)
	}
	var v []int64
	err := x.call(ctx, &v, "lists", "map", etf.Export{Module: "erlang", Function: "system_info", Arity: 1}, keys)
	if err == nil && len(v) != len(keys) {
		err = fmt.Errorf("%d numbers for %d questions", len(v), len(keys))
	}
	return v, err
}}

// defaultETS is erl's default for +e. A node without the atom ets_limit has not been asked for it, and is not now.
const defaultETS = 8192

// etsTables is how many ETS tables there are, and how many there should be: since OTP 21 more are possible, and yet a sign of a leak.
var etsTables = &fact[[2]int64]{func(ctx context.Context, x *exam) (n [2]int64, err error) {
	n[1] = defaultETS
	if x.knows(ctx, "ets_limit") {
		if err := x.call(ctx, &n[1], "erlang", "system_info", etf.Atom("ets_limit")); err != nil {
			return n, err
		}
	}
	return n, x.eval(ctx, &n[0], apply("erlang", "length", apply("ets", "all")))
}}

// processes is how many processes there are.
func processes(ctx context.Context, x *exam) (int64, error) {
	n, err := counted.of(ctx, x)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

func limits(ctx context.Context, x *exam) (Cell, error) {
	n, err := counted.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(process_count, …)", "")
	}
	tabs, err := etsTables.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "ets:all()", "")
	}
	c := Cell{Status: OK, Values: map[string]float64{}}
	var over []string
	highest := -1.0
	judge := func(name string, have, limit int64, soft bool) {
		if limit <= 0 {
			return
		}
		share := float64(have) / float64(limit)
		c.Values[name], c.Values[name+"_ratio"] = float64(have), share
		if share > highest {
			highest, c.Saw = share, fmt.Sprintf("%s %.0f %%", name, 100*share)
		}
		if share <= x.limits.Usage {
			return
		}
		over = append(over, fmt.Sprintf("%s %.0f %% (%d of %d)", name, 100*share, have, limit))
		if share > failUsage && !soft {
			c.Status = Fail
		} else if c.Status == OK {
			c.Status = Warn
		}
	}
	for i, t := range tables {
		judge(t.name, n[2*i], n[2*i+1], false)
	}
	judge("ets", tabs[0], tabs[1], true)
	if dir, err := osProcess.of(ctx, x); err == nil && dir != "" {
		if n, limit, err := descriptors(dir); err == nil { // else it is another user's
			judge("fds", n, limit, false)
		}
	}
	if c.Status != OK {
		c.Saw, c.Cause = strings.Join(over, ", "), "something makes them and does not free them, or the limit is too low for the load"
	}
	return c, nil
}
