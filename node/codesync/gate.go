package codesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// gate makes sure that no touched module has old code, which could not be replaced. While it waits it does no more than
// that: who runs old code is looked for once, in the end.
func gate(ctx context.Context, t *target) error {
	t.at(Gating)
	var before []etf.Atom
	for pause := waitTick; ; pause = min(2*pause, maxWaitTick) {
		left, err := t.purge(ctx, "soft_purge")
		switch how := t.push.plan.options.Purge; {
		case err != nil && ctx.Err() != nil && before != nil:
			return t.waitedInVain(ctx, before)
		case err != nil:
			return err
		case len(left) == 0 || how == Kill: // they are killed when it is decided that all nodes finish
			return nil
		case how == Soft:
			found, err := t.lingering(ctx, left)
			if err != nil {
				return err
			}
			if len(found) > 0 {
				return &LingeringError{t.name, found}
			}
		}
		before = left
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return t.waitedInVain(ctx, left)
		}
	}
}

// waitedInVain says for whom, after the end of ctx.
func (t *target) waitedInVain(ctx context.Context, left []etf.Atom) error {
	if errors.Is(context.Cause(ctx), errOther) {
		return fmt.Errorf("%s: %w", t.name, errOther)
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	found, err := t.lingering(look, left)
	if err != nil || len(found) == 0 {
		return fmt.Errorf("%s: %w", t.name, context.Cause(ctx))
	}
	return fmt.Errorf("%w: %w", &LingeringError{t.name, found}, context.Cause(ctx))
}

// doom notes the processes that finishing will kill: they run old code, and no node has refused its promise.
func doom(ctx context.Context, t *target) error {
	if t.push.plan.options.Purge != Kill {
		return nil
	}
	old, err := t.old(ctx)
	if err == nil && len(old) > 0 {
		t.doomed, err = t.lingering(ctx, old)
	}
	return err
}

// old are the touched modules that have old code.
func (t *target) old(ctx context.Context) ([]etf.Atom, error) {
	names := t.plan.touched()
	var has []bool
	if err := mapped(ctx, t.remote, &has, "erlang", "check_old_code", names); err != nil {
		return nil, err
	}
	var old []etf.Atom
	for i, name := range names {
		if has[i] {
			old = append(old, name)
		}
	}
	return old, nil
}

// purge applies code:purge/1 or code:soft_purge/1 to old code, and returns the modules for which that was false.
func (t *target) purge(ctx context.Context, how etf.Atom) ([]etf.Atom, error) {
	old, err := t.old(ctx)
	if err != nil {
		return nil, err
	}
	var results []bool
	if err := mapped(ctx, t.remote, &results, "code", how, old); err != nil {
		return nil, err
	}
	var left []etf.Atom
	for i, m := range old {
		if !results[i] {
			left = append(left, m)
		}
	}
	return left, nil
}

// lingering finds the processes that run old code of the modules, maxLingering at most.
func (t *target) lingering(ctx context.Context, modules []etf.Atom) ([]Lingering, error) {
	var all []etf.Pid
	if err := t.into(ctx, &all, "erlang", "processes"); err != nil {
		return nil, err
	}
	var found []Lingering
	for _, m := range modules {
		var runs []bool
		if err := zipped(ctx, t.remote, &runs, "erlang", "check_process_code", all, m); err != nil {
			return nil, err
		}
		var pids []etf.Pid
		for i, pid := range all {
			if runs[i] && len(found)+len(pids) < maxLingering {
				pids = append(pids, pid)
			}
		}
		var infos []etf.Term
		items := etf.List{etf.Atom("registered_name"), etf.Atom("current_function")}
		if err := zipped(ctx, t.remote, &infos, "erlang", "process_info", pids, items); err != nil {
			return nil, err
		}
		for i, pid := range pids {
			found = append(found, describe(t.name, m, pid, infos[i]))
		}
	}
	return found, nil
}

// describe reads [{registered_name, Name | []}, {current_function, {M, F, A}}]; a process that has ended has none.
func describe(name string, m etf.Atom, pid etf.Pid, info etf.Term) Lingering {
	l := Lingering{Module: m, Pid: etf.FormatOptions{Node: etf.Atom(name)}.Format(pid)}
	list, _ := info.(etf.List)
	if name, _ := list.Lookup("registered_name"); name != nil {
		if a, ok := name.(etf.Atom); ok {
			l.Name = string(a)
		}
	}
	var mfa struct {
		M, F etf.Atom
		A    int
	}
	if at, _ := list.Lookup("current_function"); etf.Assign(at, &mfa) == nil {
		l.Function = fmt.Sprintf("%s:%s/%d", mfa.M, mfa.F, mfa.A)
	}
	return l
}
