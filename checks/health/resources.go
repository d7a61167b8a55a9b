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
		What: "how much memory it has allocated, and what for; of a node on this machine that nobody has asked for that before, how much RAM it has", Asks: "erlang:memory/0, os:getpid/0",
		Fails: "warns when the total is over the limit; there is none by default", Fix: "beamctl diagnose shows the largest processes; the kinds show whether binaries, ETS or code grow",
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

// allocatorAtom is one of the 300 atoms that an emulator makes when it is asked for its memory for the first time (erl_alloc_util.c).
const allocatorAtom = "rsbcst"

// allocated is bytes by kind. Of a node that has never been asked, and would make atoms for the answer, it is what the operating system
// says, or nothing.
var allocated = &fact[map[string]int64]{func(ctx context.Context, x *exam) (kinds map[string]int64, err error) {
	if x.knows(ctx, allocatorAtom) {
		err = x.call(ctx, &kinds, "erlang", "memory")
		return kinds, err
	}
	dir, err := osProcess.of(ctx, x)
	if err != nil || dir == "" {
		return nil, err
	}
	n, err := resident(dir)
	return map[string]int64{"resident": n}, err
}}

func memory(ctx context.Context, x *exam) (Cell, error) {
	kinds, err := allocated.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:memory()", "the emulator was started with an allocator that does not count (+M)")
	}
	if kinds == nil {
		return none("it has never been asked, and would make 300 atoms for the answer")
	}
	total := kinds["total"] + kinds["resident"] // it is one of them
	c, _ := ok("%s", bytes(total))
	c.Values = make(map[string]float64, len(kinds))
	for kind, n := range kinds {
		c.Values[kind+"_bytes"] = float64(n)
	}
	if limit := x.limits.Memory; limit > 0 && total > limit {
		c.Status, c.Cause = Warn, "over the limit of "+bytes(limit)
		if kinds["total"] > 0 {
			c.Saw = fmt.Sprintf("%s: processes %s, binaries %s, ETS %s, code %s, atoms %s", bytes(total),
				bytes(kinds["processes"]), bytes(kinds["binary"]), bytes(kinds["ets"]), bytes(kinds["code"]), bytes(kinds["atom"]))
		}
	}
	return c, nil
}

func bytes(n int64) string {
	const kilo = 1 << 10
	if n < kilo*kilo {
		return fmt.Sprintf("%.0f KiB", float64(n)/kilo)
	}
	if n < kilo*kilo*kilo {
		return fmt.Sprintf("%.0f MiB", float64(n)/(kilo*kilo))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(kilo*kilo*kilo))
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
