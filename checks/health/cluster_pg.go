package health

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
)

// maxGroups is how many groups of a scope are compared: the node sums up each one's members in about 10 µs.
const maxGroups = 200

// scopes are the pg scopes of a node: processes that run pg, registered under the name of their table.
var scopes = &fact[[]etf.Atom]{func(ctx context.Context, x *exam) ([]etf.Atom, error) {
	var loaded bool
	if err := x.call(ctx, &loaded, "erlang", "module_loaded", etf.Atom("pg")); err != nil || !loaded {
		return nil, err
	}
	var names []etf.Atom
	if err := x.call(ctx, &names, "erlang", "registered"); err != nil {
		return nil, err
	}
	var tables []etf.Term
	if err := x.call(ctx, &tables, "ets", "all"); err != nil {
		return nil, err
	}
	isTable := make(map[etf.Atom]bool, len(tables))
	for _, t := range tables {
		if a, ok := t.(etf.Atom); ok {
			isTable[a] = true
		}
	}
	var list etf.List
	for _, n := range names {
		if isTable[n] {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	var pids []etf.Term
	if err := x.call(ctx, &pids, "lists", "map", etf.Export{Module: "erlang", Function: "whereis", Arity: 1}, list); err != nil {
		return nil, err
	}
	var started etf.List
	var out []etf.Atom
	for i, p := range pids[:min(len(pids), len(list))] {
		if _, ok := p.(etf.Pid); ok {
			started, out = append(started, p), append(out, list[i].(etf.Atom)) //nolint:errcheck,forcetypeassert // of names
		}
	}
	var calls []etf.Term
	initial := etf.Export{Module: "proc_lib", Function: "translate_initial_call", Arity: 1}
	if err := x.call(ctx, &calls, "lists", "map", initial, started); err != nil {
		return nil, err
	}
	i := -1
	return slices.DeleteFunc(out, func(etf.Atom) bool {
		i++
		return i >= len(calls) || mfa(calls[i]) != "pg:init/1"
	}), nil
}}

// groups is scope → group → how many members, and a sum over them that does not depend on their order.
var groups = agree(func(ctx context.Context, x *exam) (view, error) {
	list, err := scopes.of(ctx, x)
	if err != nil {
		return nil, err
	}
	v := make(view, len(list))
	errs := make([]error, len(list))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, scope := range list {
		wg.Go(func() {
			sums, err := x.sums(ctx, scope)
			mu.Lock()
			defer mu.Unlock()
			v[string(scope)], errs[i] = sums, err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return v, nil
})

// sums asks for the groups of a scope. The first in term order are the same on all nodes that have the same groups.
func (x *exam) sums(ctx context.Context, scope etf.Atom) (map[string]string, error) {
	const group, members = 1, 2
	var rows []struct {
		Group  etf.Term
		N, Sum int64
	}
	err := x.eval(ctx, &rows, each(variable(group), apply("lists", "sublist", apply("lists", "sort", apply("pg", "which_groups", value(scope))), value(maxGroups)),
		block(
			set(members, apply("pg", "get_members", value(scope), variable(group))),
			tuple(variable(group), apply("erlang", "length", variable(members)),
				apply("lists", "sum", apply("lists", "map", bif("phash2", 1), variable(members)))),
		)))
	sums := make(map[string]string, len(rows))
	for _, r := range rows {
		sums[etf.Format(r.Group)] = fmt.Sprintf("%s (%08x)", count(int(r.N), "member", "members"), uint32(r.Sum))
	}
	return sums, err
}

func pgGroups(ctx context.Context, x *exam) (Cell, error) {
	v, err := groups.first.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "pg:which_groups(Scope)", "the scope's process has just ended")
	}
	if len(v) == 0 {
		return none("no scope is started")
	}
	n := 0
	for _, groups := range v {
		n += len(groups)
	}
	c, _ := ok("%s in %s", count(n, "group", "groups"), count(len(v), "scope", "scopes"))
	c.Values = map[string]float64{"scopes": float64(len(v)), "groups": float64(n)}
	disagreements(&c, "group", groups.odds(ctx, x), "the scope's process on one of the nodes hangs, or has not been told of the others")
	return c, nil
}
