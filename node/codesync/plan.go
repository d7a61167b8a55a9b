package codesync

import "github.com/beamctl/beamctl/dist/etf"

// Purge says what happens to processes that still run the code before the one that runs now, which has to go before a
// module can be replaced again: a node holds two generations.
type Purge string

// The ways to purge.
const (
	Soft Purge = "soft" // none is ended: the push fails and names them (*LingeringError)
	Wait Purge = "wait" // they are waited for, until ctx ends
	Kill Purge = "kill" // they are killed, after all nodes have promised: a push that fails before kills none
)

// Options say how to compare and push. The zero Options are what one wants at first.
type Options struct {
	// Purge is Soft unless set.
	Purge Purge
	// Persist also writes the code to the files that the nodes have loaded it from, and removes those of deleted
	// modules, after all nodes run it; a module that runs already and has another file is pushed again. Otherwise a
	// node that is restarted has what its disk has.
	Persist bool
	// ChangeCode names modules whose processes (those that began in Module:init/1, and supervisors with that callback
	// module) are suspended before the code changes, told to convert their state (sys:change_code/4), and resumed,
	// whatever happens.
	ChangeCode []etf.Atom
	// RequireRollback refuses what could not be taken back: a module of which neither the node's disk nor Known has the
	// code that runs now. It is needed only where a node that had promised to load the code fails to, which takes
	// someone else who loads code at the same moment.
	RequireRollback bool
	// Known is code that has been pushed before, or may run for other reasons.
	Known []*Beam
	// LeaveOut pushes what can be, and leaves alone what is refused. Otherwise a refusal is one of the whole push.
	LeaveOut bool
	// Progress is called at every step of a push, from several goroutines, and holds it up.
	Progress func(Event)
}

// Plan is what a push would do: see Compare.
type Plan struct {
	Nodes []*NodePlan `json:"nodes"`

	set     map[etf.Atom]*Beam
	options Options
}

// NodePlan is what a push would do on one node.
type NodePlan struct {
	Node string `json:"node"`
	OTP  int    `json:"otp"`  // major release
	Mode string `json:"mode"` // interactive, or embedded: loads nothing by itself
	// Push are modules to load there, by name.
	Push []Change `json:"push"`
	// Delete are modules to delete there: they came from the set's folders and are gone.
	Delete []Change `json:"delete"`
	// Refuse are modules that cannot be pushed or deleted there.
	Refuse []Refusal `json:"refuse"`
	// Same counts modules that run as they shall; OnDisk those that are not loaded and which the node will load by
	// itself, when it needs them, from the very file that the set has.
	Same   int `json:"same"`
	OnDisk int `json:"on_disk"`

	creation int64
}

// changes are all of them: those to push, then those to delete.
func (p *NodePlan) changes() []*Change {
	all := make([]*Change, 0, len(p.Push)+len(p.Delete))
	for _, list := range [][]Change{p.Push, p.Delete} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// touched are the modules of all changes.
func (p *NodePlan) touched() []etf.Atom {
	var names []etf.Atom
	for _, ch := range p.changes() {
		names = append(names, ch.Module)
	}
	return names
}

// Change is a module that a push replaces, adds or deletes on a node.
type Change struct {
	Module etf.Atom `json:"module"`
	// Size is how many bytes would be sent.
	Size int `json:"size"`
	// Old is the sum of what runs, New of what shall: nil is none.
	Old *Sum `json:"old,omitempty"`
	New *Sum `json:"new,omitempty"`
	// File is the node's name for the file.
	File string `json:"file"`
	// OldCode: the node still holds the generation before, which is purged first.
	OldCode bool `json:"old_code,omitempty"`
	// Final: what runs is neither known nor on the node's disk, so that this step could not be taken back; see
	// Options.RequireRollback. That what is on disk has -on_load, and cannot be taken back either, is seen only when it
	// is pushed.
	Final bool `json:"final,omitempty"`
}

// Refusal is a module that cannot be pushed, and why.
type Refusal struct {
	Module etf.Atom `json:"module"`
	Why    Why      `json:"why"`
	Detail string   `json:"detail"`
}

// Why is a reason to refuse.
type Why string

// The reasons.
const (
	WhyNative  Why = "native"     // it has -on_load or loads a NIF, and could be neither staged nor taken back
	WhySticky  Why = "sticky"     // the node protects the folder: OTP's kernel, stdlib and compiler
	WhyPreload Why = "preload"    // it is part of the emulator
	WhyCover   Why = "cover"      // it is cover-compiled, and the push would end that
	WhyOTP     Why = "otp"        // it was compiled by a newer release than the node's
	WhyFinal   Why = "final"      // Options.RequireRollback, and there is no way back
	WhyInvalid Why = "badfile"    // the node's loader does not take it
	WhyWrite   Why = "unwritable" // Options.Persist, and the node cannot write it
)

// Empty says whether there is nothing to push or delete on any node.
func (p *Plan) Empty() bool {
	for _, n := range p.Nodes {
		if len(n.Push)+len(n.Delete) > 0 {
			return false
		}
	}
	return true
}

// Refused says whether anything is refused on any node.
func (p *Plan) Refused() bool {
	for _, n := range p.Nodes {
		if len(n.Refuse) > 0 {
			return true
		}
	}
	return false
}
