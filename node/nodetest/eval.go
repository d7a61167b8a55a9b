package nodetest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Bindings are the variables of evaluated code.
type Bindings = map[etf.Atom]etf.Term

// Eval evaluates Erlang expressions, without the last dot, on the node called name, and returns the value of the last one.
func Eval(ctx context.Context, n *node.Node, name, code string, vars Bindings) (etf.Term, error) {
	forms, err := Parse(ctx, n, name, code+".")
	if err != nil {
		return nil, err
	}
	bindings := etf.List{}
	for _, k := range slices.Sorted(maps.Keys(vars)) { // an orddict; maps are not taken by every release
		bindings = append(bindings, etf.Tuple{k, vars[k]})
	}
	got, err := n.Call(ctx, name, "erl_eval", "exprs", forms, bindings)
	if err != nil {
		return nil, err
	}
	res, ok := got.(etf.Tuple) // {value, Value, Bindings}
	if !ok || len(res) != 3 {
		return nil, fmt.Errorf("nodetest: %s", etf.Format(got))
	}
	return res[1], nil
}

// Parse returns the abstract forms of Erlang expressions, as the node parses them.
func Parse(ctx context.Context, n *node.Node, name, code string) (etf.Term, error) {
	var tokens struct {
		OK          etf.Atom
		Tokens, End etf.Term
	}
	if err := n.CallInto(ctx, name, &tokens, "erl_scan", "string", etf.Charlist(code)); err != nil {
		return nil, err
	}
	got, err := n.Call(ctx, name, "erl_parse", "parse_exprs", tokens.Tokens)
	if err != nil {
		return nil, err
	}
	if res, ok := got.(etf.Tuple); ok && len(res) == 2 && res[0] == etf.Atom("ok") {
		return res[1], nil
	}
	return nil, fmt.Errorf("nodetest: %s", etf.Format(got))
}
