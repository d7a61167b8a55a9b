package codesync

import (
	"context"
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// remote is a node to ask.
type remote struct {
	n    *node.Node
	name string
}

func (r remote) into(ctx context.Context, v any, module, function etf.Atom, args ...etf.Term) error {
	return r.n.CallInto(ctx, r.name, v, module, function, args...)
}

// mapped is [module:function(X) || X <- args] in one call, run by compiled code, into a slice of as many.
func mapped[T, X any](ctx context.Context, r remote, v *[]T, module, function etf.Atom, args []X) error {
	if len(args) == 0 {
		return nil
	}
	if err := r.into(ctx, v, "lists", "map", etf.Export{Module: module, Function: function, Arity: 1}, args); err != nil {
		return err
	}
	return r.counted(len(*v), len(args))
}

// zipped is [module:function(X, second) || X <- args] in one call.
func zipped[T, X any](ctx context.Context, r remote, v *[]T, module, function etf.Atom, args []X, second etf.Term) error {
	if len(args) == 0 {
		return nil
	}
	fn := etf.Export{Module: module, Function: function, Arity: 2}
	if err := r.into(ctx, v, "lists", "zipwith", fn, args, slices.Repeat([]etf.Term{second}, len(args))); err != nil {
		return err
	}
	return r.counted(len(*v), len(args))
}

func (r remote) counted(got, want int) error {
	if got != want {
		return fmt.Errorf("%s: codesync: %d answers to %d questions", r.name, got, want)
	}
	return nil
}
