package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

// allocatorAtom is one of the 300 atoms that an emulator makes when it is asked for its memory for the first time (erl_alloc_util.c).
const allocatorAtom = "rsbcst"

// allocated is bytes by kind: total and its parts as erlang:memory/0 has them, and resident, the RAM of a node on this machine. Of a node that has
// never been asked, and would make atoms for the answer, the parts are those that can be summed up; unless there is a limit for one of the others.
var allocated = &fact[map[string]int64]{func(ctx context.Context, x *exam) (map[string]int64, error) {
	kinds := map[string]int64{}
	var err error
	if k := x.limits.Kinds; k.Binary > 0 || k.Code > 0 || k.Atom > 0 || x.knows(ctx, allocatorAtom) {
		err = x.call(ctx, &kinds, "erlang", "memory")
	} else {
		err = x.sumUp(ctx, kinds)
	}
	if err != nil {
		return nil, err
	}
	dir, err := osProcess.of(ctx, x)
	if err != nil || dir == "" {
		return kinds, err
	}
	if n, err := resident(dir); err == nil { // else it is another user's
		kinds["resident"] = n
	}
	return kinds, nil
}}

// sumUp asks the processes, unless they are too many, and the ETS tables.
func (x *exam) sumUp(ctx context.Context, kinds map[string]int64) error {
	n, err := processes(ctx, x)
	if err != nil {
		return err
	}
	pids := apply("erlang", "processes")
	if n > maxAsked {
		pids = list()
	}
	memory, all := value(etf.Atom("memory")), func(v int, what etf.Tuple) etf.Tuple {
		return apply("lists", "duplicate", apply("erlang", "length", variable(v)), what)
	}
	const processList, processInfo, tableList = 1, 2, 3
	var got struct{ Processes, Words, WordSize int64 }
	err = x.eval(ctx, &got, block(
		set(processList, pids),
		set(processInfo, apply("lists", "filter", bif("is_tuple", 1), // undefined: it has ended
			apply("lists", "zipwith", bif("process_info", 2), variable(processList), all(processList, memory)))),
		set(tableList, apply("ets", "all")),
		tuple(
			apply("lists", "sum", apply("lists", "zipwith", bif("element", 2), all(processInfo, value(2)), variable(processInfo))),
			apply("lists", "sum", apply("lists", "filter", bif("is_integer", 1), // undefined: it has been deleted
				apply("lists", "zipwith", extern("ets", "info", 2), variable(tableList), all(tableList, memory)))),
			apply("erlang", "system_info", value(etf.Tuple{etf.Atom("wordsize"), etf.Atom("external")})),
		),
	))
	if err != nil {
		return err
	}
	kinds["ets"] = got.Words * got.WordSize
	if n <= maxAsked {
		kinds["processes"] = got.Processes
	}
	return nil
}

// memoryKind is a part of a node's memory.
type memoryKind struct {
	key   string // of erlang:memory/0
	name  string // as people call it
	limit func(k *MemoryKinds) int64
}

var memoryKinds = []memoryKind{
	{"processes", "processes", func(k *MemoryKinds) int64 { return k.Processes }},
	{"binary", "binaries", func(k *MemoryKinds) int64 { return k.Binary }},
	{"ets", "ETS", func(k *MemoryKinds) int64 { return k.ETS }},
	{"code", "code", func(k *MemoryKinds) int64 { return k.Code }},
	{"atom", "atoms", func(k *MemoryKinds) int64 { return k.Atom }},
}

func memory(ctx context.Context, x *exam) (Cell, error) {
	kinds, err := allocated.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:memory()", "the emulator was started with an allocator that does not count (+M)")
	}
	c := Cell{Status: OK, Values: make(map[string]float64, len(kinds))}
	for kind, n := range kinds {
		c.Values[kind+"_bytes"] = float64(n)
	}
	have := cmp.Or(kinds["total"], kinds["resident"])
	switch {
	case kinds["total"] > 0:
		c.Saw = bytes(have) + ": "
	case have > 0:
		c.Saw = bytes(have) + " of RAM: "
	}
	c.Saw += byKind(kinds)
	var over []string
	if limit := x.limits.Memory; limit > 0 && have > limit {
		over = append(over, "over the limit of "+bytes(limit))
	}
	for _, k := range memoryKinds {
		if limit := k.limit(&x.limits.Kinds); limit > 0 && kinds[k.key] > limit {
			over = append(over, k.name+" over the limit of "+bytes(limit))
		}
	}
	if len(over) > 0 {
		c.Status, c.Cause = Warn, strings.Join(over, ", ")
	}
	return c, nil
}

// byKind tells what the memory is for, the most first.
func byKind(kinds map[string]int64) string {
	all := slices.Clone(memoryKinds)
	slices.SortStableFunc(all, func(a, b memoryKind) int { return cmp.Compare(kinds[b.key], kinds[a.key]) })
	var told []string
	for _, k := range all {
		if n := kinds[k.key]; n > 0 {
			told = append(told, k.name+" "+bytes(n))
		}
	}
	return strings.Join(told, ", ")
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
