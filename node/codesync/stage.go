package codesync

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// partBytes is about how much code is sent in one message: large enough that messages cost nothing, small enough that
// what is encoded and not yet sent is little.
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
	if _, err = t.p.Monitor(ctx, t.stager); err == nil && int64(t.stager.Creation) != t.plan.creation {
		err = fmt.Errorf("%s: %w: it has been restarted", t.name, ErrStale)
	}
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
		Now    running
	}
	if err := t.answer(ctx, "loaded", &got); err != nil {
		return err
	}
	if err := t.altered(got.Now); err != nil {
		return err
	}
	if got.Result != etf.Atom("ok") {
		return t.unstaged(got.Result)
	}
	if t.push.plan.options.RequireRollback && len(got.Final) > 0 {
		return t.refused(got.Final, WhyFinal, "the code that runs there is not on its disk, or has -on_load, and could not be restored")
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
	var peers, known, removed, files, obsolete etf.List
	var loaded, sums etf.List
	for _, other := range t.targets {
		if other != t {
			peers = append(peers, other.stager)
		}
	}
	for _, ch := range t.plan.changes() {
		if ch.Old == nil {
			continue
		}
		loaded, sums = append(loaded, ch.Module), append(sums, ch.Old[:])
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
	return etf.Tuple{peers, parts, t.plan.touched(), etf.Tuple{loaded, sums}, known, removed, files, obsolete}
}

// part is code to send, [{Module, File, Bin}], and about how many bytes that is.
type part struct {
	modules etf.List
	size    int
}

// AppendETF writes the list into memory that is asked for at once: bit by bit it would be copied over and over.
func (p part) AppendETF(dst []byte) ([]byte, error) {
	return etf.Append(slices.Grow(dst, p.size), p.modules)
}

// parts are the code to send.
func (t *target) parts() []part {
	const around = 64 // bytes of a tuple besides its texts
	var parts []part
	for _, ch := range t.plan.Push {
		if len(parts) == 0 || parts[len(parts)-1].size >= partBytes {
			parts = append(parts, part{})
		}
		code, n := t.push.plan.set[ch.Module].sent(&t.push.plan.options)
		t.report.Bytes += n
		last := &parts[len(parts)-1]
		last.size += n + len(ch.Module) + len(ch.File) + around
		last.modules = append(last.modules, etf.Tuple{ch.Module, etf.Charlist(ch.File), code})
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

// unstaged says why a stager could not prepare the code: {error, [{Module, Reason}]} of the loader, or files that it
// could not write, or whereis/1 of the stager of another push.
func (t *target) unstaged(result etf.Term) error {
	switch result.(type) {
	case etf.Pid, etf.Atom: // of the other stager, which may be gone by now
		return fmt.Errorf("%s: %w", t.name, ErrPushing)
	}
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
	var unwritten []fileError
	if err := etf.Assign(result, &unwritten); err != nil {
		return fmt.Errorf("%s: staging: %s", t.name, etf.Format(result))
	}
	e := &RefusedError{Node: t.name}
	for _, f := range unwritten {
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
