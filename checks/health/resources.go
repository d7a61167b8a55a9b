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
		What: "how much memory it has allocated, and what for", Asks: "erlang:memory/0",
		Fails: "warns when the total is over the limit; there is none by default", Fix: "beamctl diagnose shows the largest processes; the kinds show whether binaries, ETS or code grow",
		run: memory,
	},
	{
		Name: "limits", Group: Resources,
		What: "processes, ports, atoms, ETS tables and descriptors, as shares of what it may have", Asks: "erlang:system_info/1",
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

// allocated is bytes by kind.
var allocated = result[map[string]int64]("erlang", "memory")

func memory(ctx context.Context, x *exam) (Cell, error) {
	kinds, err := allocated.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:memory()", "the emulator was started with an allocator that does not count (+M)")
	}
	c, _ := ok("%s", bytes(kinds["total"]))
	c.Values = make(map[string]float64, len(kinds))
	for kind, n := range kinds {
		c.Values[kind+"_bytes"] = float64(n)
	}
	if limit := x.limits.Memory; limit > 0 && kinds["total"] > limit {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%s: processes %s, binaries %s, ETS %s, code %s, atoms %s", bytes(kinds["total"]),
			bytes(kinds["processes"]), bytes(kinds["binary"]), bytes(kinds["ets"]), bytes(kinds["code"]), bytes(kinds["atom"]))
		c.Cause = "over the limit of " + bytes(limit)
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

// tables are what a node may have only so many of. More than ets_limit tables are possible since OTP 21, and yet a sign of a leak.
var tables = []struct {
	name        string
	soft        bool // the limit is none any more
	have, limit etf.Atom
}{
	{name: "processes", have: "process_count", limit: "process_limit"},
	{name: "ports", have: "port_count", limit: "port_limit"},
	{name: "atoms", have: "atom_count", limit: "atom_limit"},
	{name: "ets", have: "ets_count", limit: "ets_limit", soft: true},
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

// processes is how many processes there are.
func processes(ctx context.Context, x *exam) (int64, error) {
	n, err := counted.of(ctx, x)
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// polled is what the emulator's pollsets say of themselves; sockets and pipes are in them, files are not.
var polled = result[[]struct {
	Size int64 `erl:"total_poll_set_size"`
	Max  int64 `erl:"max_fds"`
}]("erlang", "system_info", etf.Atom("check_io"))

func limits(ctx context.Context, x *exam) (Cell, error) {
	n, err := counted.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(process_count, …)", "")
	}
	sets, err := polled.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(check_io)", "")
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
		judge(t.name, n[2*i], n[2*i+1], t.soft)
	}
	var size, most int64
	for _, s := range sets {
		size, most = size+s.Size, max(most, s.Max)
	}
	judge("fds", size, most, false)
	if c.Status != OK {
		c.Saw, c.Cause = strings.Join(over, ", "), "something makes them and does not free them, or the limit is too low for the load"
	}
	return c, nil
}
