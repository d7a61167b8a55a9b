package diagnose

import (
	"context"
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// What needs several steps on a node is one call of erl_eval:exprs/2 with expressions in the abstract format (erts,
// "The Abstract Format"). There are no funs with clauses in them, for which erl_eval would load erl_lint; and a
// variable may have any atom for a name, so that all names here are atoms that every VM has
// (erts/emulator/beam/atom.names).

type form = etf.Tuple

func atom(a etf.Atom) form { return form{etf.Atom("atom"), 0, a} }
func integer(i int) form   { return form{etf.Atom("integer"), 0, i} }
func variable(name etf.Atom) form {
	return form{etf.Atom("var"), 0, name}
}

// quoted is "s".
func quoted(s string) form {
	l := make(etf.List, 0, len(s))
	for _, r := range s {
		l = append(l, int(r))
	}
	return form{etf.Atom("string"), 0, l}
}

func tuple(fs ...form) form {
	l := make(etf.List, len(fs))
	for i, f := range fs {
		l[i] = f
	}
	return form{etf.Atom("tuple"), 0, l}
}

func list(fs ...form) form {
	l := form{etf.Atom("nil"), 0}
	for _, f := range slices.Backward(fs) {
		l = form{etf.Atom("cons"), 0, f, l}
	}
	return l
}

func call(module, function etf.Atom, args ...form) form {
	l := make(etf.List, len(args))
	for i, a := range args {
		l[i] = a
	}
	return form{etf.Atom("call"), 0, form{etf.Atom("remote"), 0, atom(module), atom(function)}, l}
}

// bind is NAME = Value.
func bind(name etf.Atom, value form) form { return form{etf.Atom("match"), 0, variable(name), value} }

// each is [Body || Pattern <- List, Filters…].
func each(body, pattern, of form, filters ...form) form {
	quals := etf.List{form{etf.Atom("generate"), 0, pattern, of}}
	for _, f := range filters {
		quals = append(quals, f)
	}
	return form{etf.Atom("lc"), 0, body, quals}
}

// wait is receive after Millis -> ok end.
func wait(millis int) form {
	return form{etf.Atom("receive"), 0, etf.List{}, integer(millis), etf.List{atom("ok")}}
}

// external is fun module:function/arity.
func external(module, function etf.Atom, arity int) form {
	return form{etf.Atom("fun"), 0, form{etf.Atom("function"), atom(module), atom(function), integer(arity)}}
}

// eval evaluates expressions on the node, and assigns the value of the last one.
func eval(ctx context.Context, n *node.Node, name string, v any, exprs ...form) error {
	l := make(etf.List, len(exprs))
	for i, e := range exprs {
		l[i] = e
	}
	var res struct {
		Tag             etf.Atom
		Value, Bindings etf.Term
	}
	if err := n.CallInto(ctx, name, &res, "erl_eval", "exprs", l, etf.List{}); err != nil {
		return err
	}
	if err := etf.Assign(res.Value, v); err != nil {
		return fmt.Errorf("what %s evaluated: %w", name, err)
	}
	return nil
}
