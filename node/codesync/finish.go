package codesync

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

// prepare asks for the node's promise to finish.
func prepare(ctx context.Context, t *target) error {
	t.at(Preparing)
	change, err := t.converting(ctx)
	if err != nil {
		return err
	}
	if err := t.send(ctx, etf.Tuple{etf.Atom("prepare"), change, t.push.plan.options.Purge == Kill}); err != nil {
		return err
	}
	var got struct {
		Name etf.Atom
		Busy []processError
		Now  running
	}
	if err := t.answer(ctx, "prepared", &got); err != nil {
		return err
	}
	if len(got.Busy) > 0 {
		return t.busy(ctx, got.Busy[0])
	}
	if err := t.altered(got.Now); err != nil {
		return err
	}
	t.at(Promised)
	return nil
}

// busy says which process could not be suspended. Its name is asked for.
func (t *target) busy(ctx context.Context, p processError) error {
	e := &BusyError{Node: t.name, Pid: etf.FormatOptions{Node: etf.Atom(t.name)}.Format(p.Pid), Reason: etf.Format(p.Reason)}
	var name struct {
		Item etf.Atom
		Name etf.Atom
	}
	if t.into(ctx, &name, "erlang", "process_info", p.Pid, etf.Atom("registered_name")) == nil { // [] if it has none
		e.Name = string(name.Name)
	}
	return e
}

// running is what a node has loaded of the modules of a push: {[Module], [Sum]}.
type running struct {
	Modules []etf.Atom
	Sums    []Sum
}

// by are the sums by module.
func (r running) by() map[etf.Atom]Sum {
	sums := make(map[etf.Atom]Sum, len(r.Modules))
	for i, m := range r.Modules[:min(len(r.Modules), len(r.Sums))] {
		sums[m] = r.Sums[i]
	}
	return sums
}

// differs returns the first change whose module does not run as the plan has found it; nil if all do.
func (t *target) differs(now running) *Change {
	by := now.by()
	for _, ch := range t.plan.changes() {
		sum, loaded := by[ch.Module]
		if loaded != (ch.Old != nil) || loaded && sum != *ch.Old {
			return ch
		}
	}
	return nil
}

// altered is an error if the node does not run what the plan has found there.
func (t *target) altered(now running) error {
	if ch := t.differs(now); ch != nil {
		return fmt.Errorf("%s: %w: %s was loaded meanwhile by something else", t.name, ErrStale, ch.Module)
	}
	return nil
}

// alive is the last look before the decision: a node that has promised may have died since, and then the others are
// left as they are.
func alive(ctx context.Context, t *target) error { return t.look(ctx) }

// processError is {Pid, Reason}.
type processError struct {
	Pid    etf.Pid
	Reason etf.Term
}

// in says what has become of sys:change_code/4 for a process: {error, what code_change has returned, or its 'EXIT'}, or
// the call's 'EXIT'.
func (p processError) in(name string) string {
	o := etf.FormatOptions{Node: etf.Atom(name)}
	text := o.Format(p.Reason)
	refusal, refused := tagged(p.Reason, "error")
	if said, ok := tagged(refusal, "error"); ok {
		refusal = said
	}
	crash, crashed := tagged(refusal, "EXIT")
	exit, ended := tagged(p.Reason, "EXIT")
	switch {
	case crashed:
		text = "its code_change failed: " + o.Format(reasonOf(crash))
	case refused:
		text = "its code_change refused: " + o.Format(refusal)
	case ended && reasonOf(exit) == etf.Atom("timeout"):
		text = "its code_change takes longer than five seconds, and may come to its end yet"
	case ended:
		text = "it ended meanwhile: " + o.Format(reasonOf(exit))
	}
	return o.Format(p.Pid) + ": " + text
}

// tagged returns Value of {Tag, Value}.
func tagged(t etf.Term, tag etf.Atom) (value etf.Term, ok bool) {
	if two, _ := t.(etf.Tuple); len(two) == 2 && two[0] == tag {
		return two[1], true
	}
	return nil, false
}

// reasonOf returns Reason of {Reason, Where}.
func reasonOf(t etf.Term) etf.Term {
	if two, _ := t.(etf.Tuple); len(two) == 2 {
		return two[0]
	}
	return t
}

// converting are the processes of Options.ChangeCode, [{Pid, Module, OldVsn}].
func (t *target) converting(ctx context.Context) (etf.List, error) {
	var modules []etf.Atom
	for _, ch := range t.plan.Push {
		if ch.Old != nil && slices.Contains(t.push.plan.options.ChangeCode, ch.Module) {
			modules = append(modules, ch.Module)
		}
	}
	if len(modules) == 0 {
		return nil, nil
	}
	var attributes []etf.List
	if err := zipped(ctx, t.remote, &attributes, "erlang", "get_module_info", modules, etf.Atom("attributes")); err != nil {
		return nil, err
	}
	var pids []etf.Pid
	if err := t.into(ctx, &pids, "erlang", "processes"); err != nil {
		return nil, err
	}
	var calls []etf.Term
	if err := mapped(ctx, t.remote, &calls, "proc_lib", "translate_initial_call", pids); err != nil {
		return nil, err
	}
	var list etf.List
	for i, c := range calls {
		mfa, _ := c.(etf.Tuple) // {Module, init, 1}, or {supervisor, Module, 1}
		if len(mfa) != 3 {
			continue
		}
		for j, m := range modules {
			if mfa[0] == m || mfa[0] == etf.Atom("supervisor") && mfa[1] == m {
				list = append(list, etf.Tuple{pids[i], m, version(attributes[j])})
			}
		}
	}
	t.report.Unserved = slices.DeleteFunc(modules, func(m etf.Atom) bool {
		return slices.ContainsFunc(list, func(one etf.Term) bool { return one.(etf.Tuple)[1] == m })
	})
	return list, nil
}

// version is the vsn attribute as release_handler passes it to code_change: that of the module, undefined if it has none.
func version(attributes etf.List) etf.Term {
	vsn, _ := attributes.Lookup("vsn")
	if l, ok := vsn.(etf.List); ok && len(l) == 1 {
		return l[0]
	}
	if vsn == nil {
		return etf.Atom("undefined")
	}
	return vsn
}

// finish tells the node to load the code, and checks that it has.
func finish(ctx context.Context, t *target) error {
	t.at(Committing)
	var got struct {
		Name      etf.Atom
		Result    etf.Term
		Now       running
		Unchanged []processError
	}
	err := t.send(ctx, etf.Atom("finish"))
	if err == nil {
		err = t.answer(ctx, "finished", &got)
	}
	if err != nil {
		t.report.State = Lost
		return fmt.Errorf("%w: %w", err, ErrLost)
	}
	if got.Result != etf.Atom("ok") {
		if err := t.altered(got.Now); err != nil {
			return err
		}
		return fmt.Errorf("%s: it did not load the code: %s", t.name, etf.Format(got.Result))
	}
	t.report.State = Mix
	t.report.Killed = t.doomed
	if err := t.verify(got.Now); err != nil {
		return err
	}
	t.report.State = New
	t.report.Pushed, t.report.Deleted = len(t.plan.Push), len(t.plan.Delete)
	for _, p := range got.Unchanged {
		t.report.Unchanged = append(t.report.Unchanged, p.in(t.name))
	}
	t.at(Committed)
	return nil
}

// verify compares the sums of what runs with the plan's, and sees that what was deleted is gone: it may have been
// loaded anew from elsewhere, for then it is other code.
func (t *target) verify(now running) error {
	by := now.by()
	for _, ch := range t.plan.changes() {
		sum, loaded := by[ch.Module]
		switch {
		case ch.New == nil && loaded && sum == *ch.Old:
			return fmt.Errorf("%s: %s was deleted and is still loaded: something else has loaded it", t.name, ch.Module)
		case ch.New != nil && !loaded:
			return fmt.Errorf("%s: %s is not loaded: something else has deleted it", t.name, ch.Module)
		case ch.New != nil && sum != *ch.New:
			return fmt.Errorf("%s: %s has sum %s and not %s: something else has loaded it", t.name, ch.Module, sum, ch.New)
		}
	}
	return nil
}

// done tells the node that all is well, which then writes files.
func (t *target) done(ctx context.Context) error {
	t.at(Ending)
	var got struct {
		Name      etf.Atom
		Unwritten []fileError
	}
	err := t.send(ctx, etf.Atom("done"))
	if err == nil {
		err = t.answer(ctx, "done", &got)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrLost)
	}
	for _, f := range got.Unwritten {
		t.report.Unwritten = append(t.report.Unwritten, f.String())
	}
	err = t.wait(ctx)
	if all := slices.Concat(t.report.Unwritten, t.report.Unchanged); len(all) > 0 {
		return fmt.Errorf("%s: %w: %s", t.name, ErrIncomplete, strings.Join(all, "; "))
	}
	return err
}

// wait waits for the end of the stager.
func (t *target) wait(ctx context.Context) error {
	for !t.ended {
		if _, err := t.receive(ctx); err != nil && !t.ended {
			return err
		}
	}
	return nil
}

// reset restores what ran before.
func (t *target) reset(ctx context.Context) error {
	old, err := t.old(ctx)
	if err != nil {
		return err
	}
	ended, err := t.lingering(ctx, old)
	if err != nil {
		return err
	}
	var got struct {
		Name   etf.Atom
		Result etf.Term
		Now    running
	}
	if err = t.send(ctx, etf.Atom("reset")); err == nil {
		err = t.answer(ctx, "reset", &got)
	}
	if err != nil {
		return err
	}
	t.report.Killed = append(t.report.Killed, ended...)
	t.report.Pushed, t.report.Deleted = 0, 0
	if got.Result == none {
		return fmt.Errorf("%s: %w: something else has loaded code since, which is left alone", t.name, ErrStale)
	}
	if ch := t.differs(got.Now); ch != nil {
		return fmt.Errorf("%s: %s cannot be restored: %s", t.name, ch.Module, etf.Format(got.Result))
	}
	t.report.State = Old
	return t.wait(ctx)
}
