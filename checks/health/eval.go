package health

import (
	"context"
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// What needs several steps in one process of the node is evaluated there, as abstract forms (erts/doc/absform): erl_eval is among the
// modules that a node has loaded when it has booted, in interactive mode too. Its variables are numbers here, for a name would be an
// atom that the node may not have. Forms must not contain funs with clauses: to find their variables erl_eval would load erl_lint; so would
// erl_eval:exprs/2, to check the forms, and expr/3 does not.

func forms(exprs []etf.Tuple) etf.List {
	l := make(etf.List, len(exprs))
	for i, e := range exprs {
		l[i] = e
	}
	return l
}

// variable is a variable's form.
func variable(n int) etf.Tuple { return etf.Tuple{etf.Atom("var"), 0, n} }

// set is V = Expr.
func set(n int, expr etf.Tuple) etf.Tuple { return etf.Tuple{etf.Atom("match"), 0, variable(n), expr} }

// value is the form of a term: an atom, an int, or a tuple of these.
func value(t etf.Term) etf.Tuple {
	switch t := t.(type) {
	case etf.Atom:
		return etf.Tuple{etf.Atom("atom"), 0, t}
	case int:
		return etf.Tuple{etf.Atom("integer"), 0, t}
	case etf.Tuple:
		elems := make(etf.List, len(t))
		for i, e := range t {
			elems[i] = value(e)
		}
		return etf.Tuple{etf.Atom("tuple"), 0, elems}
	}
	panic(fmt.Sprintf("health: no form for %T", t))
}

// extern is fun module:function/arity.
func extern(module, function etf.Atom, arity int) etf.Tuple {
	return etf.Tuple{etf.Atom("fun"), 0, etf.Tuple{etf.Atom("function"), value(module), value(function), value(arity)}}
}

// bif is fun erlang:function/arity, which lists:map/2 and its like call without erl_eval in between.
func bif(function etf.Atom, arity int) etf.Tuple { return extern("erlang", function, arity) }

// apply is (fun module:function/n)(args): for module:function(args) erl_eval would load erl_internal.
func apply(module, function etf.Atom, args ...etf.Tuple) etf.Tuple {
	return etf.Tuple{etf.Atom("call"), 0, extern(module, function, len(args)), forms(args)}
}

// try is catch Expr.
func try(expr etf.Tuple) etf.Tuple { return etf.Tuple{etf.Atom("catch"), 0, expr} }

// block is begin Exprs end.
func block(exprs ...etf.Tuple) etf.Tuple {
	return etf.Tuple{etf.Atom("block"), 0, forms(exprs)}
}

// list is [Exprs].
func list(exprs ...etf.Tuple) etf.Tuple {
	form := etf.Tuple{etf.Atom("nil"), 0}
	for _, e := range slices.Backward(exprs) {
		form = etf.Tuple{etf.Atom("cons"), 0, e, form}
	}
	return form
}

// tuple is {Exprs}.
func tuple(exprs ...etf.Tuple) etf.Tuple {
	return etf.Tuple{etf.Atom("tuple"), 0, forms(exprs)}
}

// each is [Expr || Pattern <- Over].
func each(pattern, over, expr etf.Tuple) etf.Tuple {
	return etf.Tuple{etf.Atom("lc"), 0, expr, etf.List{etf.Tuple{etf.Atom("generate"), 0, pattern, over}}}
}

// sleep is receive after millis -> ok end; timer:sleep/1 may not be loaded.
func sleep(millis int) etf.Tuple {
	return etf.Tuple{etf.Atom("receive"), 0, etf.List{}, value(millis), etf.List{value(etf.Atom("ok"))}}
}

// eval evaluates expr on the node and stores its value in v.
func (x *exam) eval(ctx context.Context, v any, expr etf.Tuple) error {
	// A comprehension without generators has one element, and keeps its variables to itself: they would be sent with the answer.
	var got struct {
		Tag      etf.Atom // value
		Value    []etf.Term
		Bindings etf.Term
	}
	if err := x.call(ctx, &got, "erl_eval", "expr", etf.Tuple{etf.Atom("lc"), 0, expr, etf.List{}}, etf.List{}, etf.Atom("none")); err != nil {
		return err
	}
	if len(got.Value) != 1 {
		return fmt.Errorf("erl_eval:expr/3 returned %d values", len(got.Value))
	}
	return etf.Assign(got.Value[0], v)
}
