package codesync

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// partBytes is about how much code is sent in one message: large enough that messages cost nothing, small enough that what is
// encoded and not yet sent is little.
const partBytes = 1 << 20

const none = etf.Atom("none")

// start spawns the stager.
func start(ctx context.Context, t *target) error {
	t.at(Starting)
	forms, err := stagerForms()
	if err != nil {
		return err
	}
	if t.p, err = t.n.NewProcess(); err != nil {
		return err
	}
	if t.us, err = t.p.Pid(ctx, t.name); err != nil {
		return err
	}
	// exprs/3 and not /2, which would first load erl_lint and what it needs, and check what is checked already.
	args := etf.List{forms, etf.List{etf.Tuple{usName, t.us}}, none}
	if err := t.into(ctx, &t.stager, "erlang", "spawn", etf.Atom("erl_eval"), etf.Atom("exprs"), args); err != nil {
		return err
	}
	if int64(t.stager.Creation) != t.plan.creation {
		return fmt.Errorf("%s: %w: it has been restarted", t.name, ErrStale)
	}
	_, err = t.p.Monitor(ctx, t.stager)
	return err
}

// stage sends the code and waits until the node has prepared it.
func stage(ctx context.Context, t *target) error {
	t.at(Sending)
	parts := t.parts()
	if err := t.send(ctx, etf.Tuple{etf.Atom("start"), t.job(len(parts))}); err != nil {
		return err
	}
	for i, part := range parts {
		if err := t.send(ctx, etf.Tuple{etf.Atom("load"), i + 1, part}); err != nil {
			return err
		}
	}
	var got struct {
		Name   etf.Atom
		Result etf.Term
		Final  []etf.Atom
	}
	if err := t.answer(ctx, "loaded", &got); err != nil {
		return err
	}
	if got.Result != etf.Term(etf.Atom("ok")) {
		return t.unstaged(got.Result)
	}
	if t.push.plan.options.RequireRollback && len(got.Final) > 0 {
		return t.refused(got.Final, WhyFinal, "the code that runs there is no longer on its disk, and could not be restored")
	}
	if len(got.Final) > 0 {
		t.final = got.Final[0]
	}
	t.at(Staged)
	return nil
}

// job is what the stager has to know, as it is described in stager.erl.
func (t *target) job(parts int) etf.Tuple {
	opts := &t.push.plan.options
	var peers, running, removed, known, files, obsolete etf.List
	for _, other := range t.targets {
		if other != t {
			peers = append(peers, other.stager)
		}
	}
	for _, ch := range t.plan.changes() {
		if ch.Old == nil {
			running = append(running, etf.Tuple{ch.Module, none})
			continue
		}
		running = append(running, etf.Tuple{ch.Module, ch.Old[:]})
		if b := opts.known(ch.Module, *ch.Old); b != nil {
			known = append(known, etf.Tuple{ch.Module, b.Code})
		}
	}
	for _, ch := range t.plan.Push {
		if opts.Persist {
			// A name of the node's own, for several may have the folder, and always the same: nothing can pile up there.
			temp := fmt.Sprintf("%s.%08x~", ch.File, crc32.ChecksumIEEE([]byte(t.name)))
			files = append(files, etf.Tuple{ch.Module, etf.Charlist(temp), etf.Charlist(ch.File)})
		}
	}
	for _, ch := range t.plan.Delete {
		removed = append(removed, ch.Module)
		if opts.Persist {
			obsolete = append(obsolete, etf.Charlist(ch.File))
		}
	}
	return etf.Tuple{peers, parts, running, removed, known, files, obsolete}
}

// parts are the code to send, [{Module, File, Bin}] each.
func (t *target) parts() []etf.List {
	var parts []etf.List
	size := partBytes
	for _, ch := range t.plan.Push {
		if size >= partBytes {
			parts, size = append(parts, nil), 0
		}
		code := t.push.plan.set[ch.Module].sent(&t.push.plan.options)
		size += len(code)
		t.report.Bytes += len(code)
		last := &parts[len(parts)-1]
		*last = append(*last, etf.Tuple{ch.Module, etf.Charlist(ch.File), code})
	}
	return parts
}

func (t *target) refused(modules []etf.Atom, why Why, detail string) error {
	e := &RefusedError{Node: t.name}
	for _, m := range modules {
		e.Modules = append(e.Modules, Refusal{m, why, detail})
	}
	t.report.Refused = append(t.report.Refused, e.Modules...)
	return e
}

// unstaged says why a stager could not prepare the code: {error, [{Module, Reason}]} of the loader, or {Altered, Unwritten}.
func (t *target) unstaged(result etf.Term) error {
	var loader struct {
		Error   etf.Atom
		Modules []struct {
			Module etf.Atom
			Reason etf.Term
		}
	}
	if etf.Assign(result, &loader) == nil && loader.Error == "error" {
		e := &RefusedError{Node: t.name}
		for _, m := range loader.Modules {
			detail := "its loader says " + etf.Format(m.Reason)
			if b := t.push.plan.set[m.Module]; b != nil && b.release() != 0 && b.release() != t.plan.OTP {
				detail += fmt.Sprintf(": compiled by OTP %d, the node is OTP %d", b.release(), t.plan.OTP)
			}
			e.Modules = append(e.Modules, Refusal{m.Module, WhyInvalid, detail})
		}
		t.report.Refused = append(t.report.Refused, e.Modules...)
		return e
	}
	var own struct {
		Altered   []etf.Atom
		Unwritten []fileError
	}
	if err := etf.Assign(result, &own); err != nil {
		return fmt.Errorf("%s: staging: %s", t.name, etf.Format(result))
	}
	if len(own.Altered) > 0 {
		return fmt.Errorf("%s: %w: %s was loaded meanwhile by something else", t.name, ErrStale, own.Altered[0])
	}
	e := &RefusedError{Node: t.name}
	for _, f := range own.Unwritten {
		e.Modules = append(e.Modules, Refusal{t.moduleOf(f.File), WhyWrite, f.String()})
	}
	t.report.Refused = append(t.report.Refused, e.Modules...)
	return e
}

func (t *target) moduleOf(file string) etf.Atom {
	for _, ch := range t.plan.Push {
		if ch.File == file {
			return ch.Module
		}
	}
	return ""
}

// fileError is {File, Reason}.
type fileError struct {
	File   string
	Reason etf.Term
}

func (f fileError) String() string { return f.File + ": " + etf.Format(f.Reason) }

// gate makes sure that no touched module has old code, which could not be replaced.
func gate(ctx context.Context, t *target) error {
	t.at(Gating)
	var seen *LingeringError
	for {
		left, err := t.purge(ctx, "soft_purge")
		var ps []Lingering
		if err == nil && len(left) > 0 {
			if t.push.plan.options.Purge == Kill {
				return nil // once it is known that all other nodes can
			}
			ps, err = t.lingering(ctx, left)
		}
		switch {
		case err != nil && seen != nil:
			return fmt.Errorf("%w: %w", seen, err)
		case err != nil || len(left) == 0:
			return err
		case len(ps) == 0: // gone meanwhile
			continue
		}
		if seen = (&LingeringError{t.name, ps}); t.push.plan.options.Purge == Soft {
			return seen
		}
		select {
		case <-time.After(waitTick):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", seen, context.Cause(ctx))
		}
	}
}

// kill ends the processes that still run old code.
func kill(ctx context.Context, t *target) error {
	if t.push.plan.options.Purge != Kill {
		return nil
	}
	old, err := t.old(ctx)
	if err != nil || len(old) == 0 {
		return err
	}
	if t.report.Killed, err = t.lingering(ctx, old); err != nil {
		return err
	}
	_, err = t.purge(ctx, "purge")
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

// lingering finds the processes that run old code of the modules.
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
			if runs[i] {
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

// prepare asks for the node's promise to finish.
func prepare(ctx context.Context, t *target) error {
	t.at(Preparing)
	change, err := t.converting(ctx)
	if err != nil {
		return err
	}
	if err := t.send(ctx, etf.Tuple{etf.Atom("prepare"), change}); err != nil {
		return err
	}
	var got struct {
		Name etf.Atom
		Busy []processError
	}
	if err := t.answer(ctx, "prepared", &got); err != nil {
		return err
	}
	if len(got.Busy) > 0 {
		return fmt.Errorf("%s: %s cannot be suspended", t.name, got.Busy[0].in(t.name))
	}
	t.at(Promised)
	return nil
}

// alive is the last look before the decision: a node that has promised may have died since, and then the others are left as they are.
func alive(ctx context.Context, t *target) error { return t.look(ctx) }

// processError is {Pid, Reason}.
type processError struct {
	Pid    etf.Pid
	Reason etf.Term
}

func (p processError) in(name string) string {
	o := etf.FormatOptions{Node: etf.Atom(name)}
	return o.Format(p.Pid) + ": " + o.Format(p.Reason)
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
			if mfa[0] == etf.Term(m) || mfa[0] == etf.Term(etf.Atom("supervisor")) && mfa[1] == etf.Term(m) {
				list = append(list, etf.Tuple{pids[i], m, version(attributes[j])})
			}
		}
	}
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
func (t *target) finish(ctx context.Context) error {
	t.at(Committing)
	var got struct {
		Name      etf.Atom
		Result    etf.Term
		Sums      etf.Term
		Unchanged []processError
	}
	err := t.send(ctx, etf.Atom("finish"))
	if err == nil {
		err = t.answer(ctx, "finished", &got)
	}
	if err != nil {
		t.report.State = Lost
		return fmt.Errorf("%w %w", err, ErrLost)
	}
	if got.Result != etf.Term(etf.Atom("ok")) {
		return fmt.Errorf("%s: it did not load the code: %s", t.name, etf.Format(got.Result))
	}
	t.report.State = Mix
	if err := t.verify(got.Sums); err != nil {
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

// verify compares the sums of what runs with the plan's.
func (t *target) verify(got etf.Term) error {
	var sums []Sum
	if err := etf.Assign(got, &sums); err != nil || len(sums) != len(t.plan.Push) {
		return fmt.Errorf("%s: a module that was loaded is not there: %s", t.name, etf.FormatOptions{MaxBytes: 200}.Format(got))
	}
	for i, ch := range t.plan.Push {
		if sums[i] != *ch.New {
			return fmt.Errorf("%s: %s has sum %s and not %s: something else has loaded it", t.name, ch.Module, sums[i], ch.New)
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
		return fmt.Errorf("%w %w", err, ErrLost)
	}
	for _, f := range got.Unwritten {
		t.report.Unwritten = append(t.report.Unwritten, f.String())
	}
	if all := slices.Concat(t.report.Unwritten, t.report.Unchanged); len(all) > 0 {
		return fmt.Errorf("%s: %w: %s", t.name, ErrIncomplete, strings.Join(all, "; "))
	}
	return t.wait(ctx)
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
		Sums   etf.List
	}
	if err = t.send(ctx, etf.Atom("reset")); err == nil {
		err = t.answer(ctx, "reset", &got)
	}
	if err != nil {
		return err
	}
	t.report.Killed = append(t.report.Killed, ended...)
	t.report.Pushed, t.report.Deleted = 0, 0
	for i, ch := range t.plan.changes() {
		var want etf.Term = none
		if ch.Old != nil {
			want = ch.Old[:]
		}
		if i >= len(got.Sums) || !etf.Equal(got.Sums[i], want) {
			return fmt.Errorf("%s: %s cannot be restored: %s", t.name, ch.Module, etf.Format(got.Result))
		}
	}
	t.report.State = Old
	return t.wait(ctx)
}
