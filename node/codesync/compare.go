package codesync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Compare asks every node what it runs, and returns what would have to be done for all of them to run the set. It
// changes nothing on them. A node that cannot be asked is an error: those of all nodes are joined.
func Compare(ctx context.Context, n *node.Node, nodes []string, set Set, opts Options) (*Plan, error) {
	by, err := set.validate()
	if err != nil {
		return nil, err
	}
	switch opts.Purge {
	case "":
		opts.Purge = Soft
	case Soft, Wait, Kill:
	default:
		return nil, fmt.Errorf("codesync: purge %q: soft, wait or kill", opts.Purge)
	}
	plan := &Plan{Nodes: make([]*NodePlan, len(nodes)), set: by, options: opts}
	named := make([][]etf.Atom, len(nodes))
	err = each(nodes, func(i int, name string) error {
		if slices.Index(nodes, name) < i {
			return fmt.Errorf("codesync: node %s twice", name)
		}
		c := &comparison{remote: remote{n, name}, set: &set, by: by, opts: &opts, plan: &NodePlan{
			Node: name, Push: []Change{}, Delete: []Change{}, Refuse: []Refusal{}, // not null in JSON
		}}
		plan.Nodes[i] = c.plan
		err := c.run(ctx)
		named[i] = c.named
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, m := range opts.ChangeCode {
		if by[m] == nil && !slices.ContainsFunc(named, func(has []etf.Atom) bool { return slices.Contains(has, m) }) {
			return nil, fmt.Errorf("codesync: %w: %s, whose processes are to convert their state", ErrNoModule, m)
		}
	}
	return plan, nil
}

// each runs f for all nodes at once and joins their errors.
func each[T any](all []T, f func(i int, one T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = f(i, one) })
	}
	wg.Wait()
	return joined(errs)
}

// joined is all errors on one line.
func joined(errs []error) error {
	var all *multierror.Error
	for _, err := range errs {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	if all == nil {
		return nil
	}
	if len(all.Errors) == 1 {
		return all.Errors[0]
	}
	all.ErrorFormat = func(errs []error) string {
		texts := make([]string, len(errs))
		for i, err := range errs {
			texts[i] = err.Error()
		}
		return strings.Join(texts, "; ")
	}
	return all
}

// comparison is that of one node. What it asks of the disk there is in disk.go.
type comparison struct {
	remote
	set  *Set
	by   map[etf.Atom]*Beam
	opts *Options
	plan *NodePlan

	named   []etf.Atom // modules of Options.ChangeCode that are loaded there
	covered []etf.Atom // cover-compiled modules that the set has not
}

// coverCompiled is what code:all_loaded/0 says of a module that cover has compiled, in place of its file.
const coverCompiled = etf.Atom("cover_compiled")

// loaded is what a node says of a module: the file it came from, or a word (preloaded, cover_compiled).
type loaded struct {
	file string
	word etf.Atom
	sum  Sum
}

func (c *comparison) run(ctx context.Context) error {
	if err := c.n.Connect(ctx, c.name); err != nil { // once, and not by each of the questions
		return err
	}
	have, err := c.system(ctx)
	if err != nil {
		return err
	}
	var same, changed, absent []*Beam
	for name, b := range c.by {
		switch l, ok := have[name]; {
		case !ok:
			absent = append(absent, b)
		case l.sum == b.Sum:
			same = append(same, b)
		default:
			changed = append(changed, b)
		}
	}
	unwritten, err := c.unwritten(ctx, same, have)
	if err != nil {
		return err
	}
	c.plan.Same = len(same) - len(unwritten)
	changed = append(changed, unwritten...)
	if absent, err = c.notOnDisk(ctx, absent); err != nil {
		return err
	}
	for _, b := range changed {
		c.change(b, have[b.Module])
	}
	for _, b := range absent {
		c.change(b, nil)
	}
	if err := c.gone(ctx, have); err != nil {
		return err
	}
	if err := c.protection(ctx); err != nil {
		return err
	}
	if err := c.wayBack(ctx); err != nil {
		return err
	}
	byModule := func(a, b Change) int { return cmp.Compare(a.Module, b.Module) }
	slices.SortFunc(c.plan.Push, byModule)
	slices.SortFunc(c.plan.Delete, byModule)
	slices.SortFunc(c.plan.Refuse, func(a, b Refusal) int { return cmp.Compare(a.Module, b.Module) })
	return nil
}

// system asks what the node is and has loaded. Sums are asked for only where they count.
func (c *comparison) system(ctx context.Context) (map[etf.Atom]*loaded, error) {
	var otp string
	var mode etf.Atom
	var all []struct {
		Module etf.Atom
		File   etf.Term
	}
	err := each([]func() error{
		func() error { return c.into(ctx, &otp, "erlang", "system_info", etf.Atom("otp_release")) },
		func() error { return c.into(ctx, &mode, "code", "get_mode") },
		func() error { return c.into(ctx, &c.plan.creation, "erlang", "system_info", etf.Atom("creation")) },
		func() error { return c.into(ctx, &all, "code", "all_loaded") },
	}, func(_ int, f func() error) error { return f() })
	if err != nil {
		return nil, err
	}
	c.plan.OTP, _ = strconv.Atoi(otp)
	c.plan.Mode = string(mode)
	have := map[etf.Atom]*loaded{}
	var names []etf.Atom
	for _, m := range all {
		if slices.Contains(c.opts.ChangeCode, m.Module) {
			c.named = append(c.named, m.Module)
		}
		l := &loaded{}
		switch f := m.File.(type) {
		case etf.Atom:
			l.word = f
		default:
			_ = etf.Assign(f, &l.file) // [] and what is no text stay ""
		}
		if c.by[m.Module] != nil || l.file != "" && c.set.owns(l.file) {
			have[m.Module] = l
			names = append(names, m.Module)
		} else if l.word == coverCompiled {
			c.covered = append(c.covered, m.Module)
		}
	}
	var sums []Sum
	if err := zipped(ctx, c.remote, &sums, "erlang", "get_module_info", names, etf.Atom("md5")); err != nil {
		return nil, fmt.Errorf("%w (modules that are loaded and unloaded right now?)", err)
	}
	for i, name := range names {
		have[name].sum = sums[i]
	}
	return have, nil
}

// change plans to load a module, or refuses it.
func (c *comparison) change(b *Beam, l *loaded) {
	_, size := b.sent(c.opts)
	ch := Change{Module: b.Module, New: &b.Sum, Size: size, File: b.Path}
	if l != nil {
		sum := l.sum
		ch.Old = &sum
		if l.file != "" {
			ch.File = l.file
		}
	}
	switch made := b.release(); {
	case l != nil && l.word == "preloaded":
		c.refuse(b.Module, WhyPreload, "it is part of the emulator")
	case l != nil && l.word == coverCompiled:
		c.refuse(b.Module, WhyCover, "it is cover-compiled there, which the push would end: cover:stop() first")
	case b.Native == "on_load":
		c.refuse(b.Module, WhyNative, "it has -on_load, which can be neither staged nor taken back: restart the node")
	case b.Native != "":
		c.refuse(b.Module, WhyNative, "it loads a NIF, which can be neither staged nor taken back: restart the node")
	case made > c.plan.OTP:
		c.refuse(b.Module, WhyOTP, fmt.Sprintf("it was compiled by OTP %d and the node is OTP %d", made, c.plan.OTP))
	default:
		c.plan.Push = append(c.plan.Push, ch)
	}
}

func (c *comparison) refuse(m etf.Atom, why Why, detail string) {
	c.plan.Refuse = append(c.plan.Refuse, Refusal{m, why, detail})
}

// protection asks whether what would be changed is sticky, and holds old code.
func (c *comparison) protection(ctx context.Context) error {
	names := c.plan.touched()
	if len(names) == 0 {
		return nil
	}
	var sticky, old []bool
	if err := mapped(ctx, c.remote, &sticky, "code", "is_sticky", names); err != nil {
		return err
	}
	if err := mapped(ctx, c.remote, &old, "erlang", "check_old_code", names); err != nil {
		return err
	}
	for i, ch := range c.plan.changes() {
		ch.OldCode = old[i]
	}
	isSticky := map[etf.Atom]bool{}
	for i, name := range names {
		isSticky[name] = sticky[i]
	}
	c.refuseIf(func(ch Change) bool { return isSticky[ch.Module] }, WhySticky, "its folder is sticky there, as OTP's kernel, stdlib and compiler are")
	return nil
}

// refuseIf moves changes to the refusals.
func (c *comparison) refuseIf(bad func(Change) bool, why Why, detail string) {
	move := func(ch Change) bool {
		if bad(ch) {
			c.refuse(ch.Module, why, detail)
			return true
		}
		return false
	}
	c.plan.Push = slices.DeleteFunc(c.plan.Push, move)
	c.plan.Delete = slices.DeleteFunc(c.plan.Delete, move)
}

// wayBack asks of what runs now whether the node's disk has it.
func (c *comparison) wayBack(ctx context.Context) error {
	var asked []*Change
	var files []string
	for _, ch := range c.plan.changes() {
		if ch.Final = ch.Old != nil && c.opts.known(ch.Module, *ch.Old) == nil; ch.Final {
			asked, files = append(asked, ch), append(files, ch.File)
		}
	}
	sums, err := c.onDisk(ctx, files)
	if err != nil {
		return err
	}
	for i, ch := range asked {
		ch.Final = sums[i] != *ch.Old
	}
	if c.opts.RequireRollback {
		c.refuseIf(func(ch Change) bool { return ch.Final }, WhyFinal, "the code that runs there is neither known nor on its disk, and could not be restored")
	}
	return nil
}

// known is the code with that sum, if it was given.
func (o *Options) known(m etf.Atom, sum Sum) *Beam {
	for _, b := range o.Known {
		if b.Module == m && b.Sum == sum && b.Native != "on_load" { // which cannot be loaded together with others
			return b
		}
	}
	return nil
}
