package codesync

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// Purge says what happens to processes that still run the code before the one that runs now, which has to go before a module can be
// replaced again: a node holds two generations.
type Purge string

// The ways to purge.
const (
	Soft Purge = "soft" // none is ended: the push fails and names them (*LingeringError)
	Wait Purge = "wait" // they are waited for, until ctx ends
	Kill Purge = "kill" // they are killed
)

// Options say how to compare and push. The zero Options are what one wants at first.
type Options struct {
	// Purge is Soft unless set.
	Purge Purge
	// Persist also writes the code to the files that the nodes have loaded it from, and removes those of deleted modules, after all
	// nodes run it. Otherwise a node that is restarted has what its disk has.
	Persist bool
	// ChangeCode names modules whose processes (those that began in Module:init/1, and supervisors with that callback module) are
	// suspended before the code changes, told to convert their state (sys:change_code/4), and resumed, whatever happens.
	ChangeCode []etf.Atom
	// RequireRollback refuses what could not be taken back: a module of which neither the node's disk nor Known has the code that runs
	// now. It is needed only where a node that had promised to load the code fails to, which takes someone else who loads code
	// at the same moment.
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
	// Same counts modules that run as they shall; OnDisk those that are not loaded and which the node will load by itself, when it needs
	// them, from the very file that the set has.
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
	// Final: what runs is neither known nor on the node's disk, so that this step could not be taken back; see Options.RequireRollback.
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
	WhyChanged Why = "changed"    // something else has loaded it since the plan was made
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

// Errors of Push and Compare. Test with errors.Is; those of package node come through.
var (
	// ErrRefused: modules cannot be pushed; a *RefusedError says which.
	ErrRefused = errors.New("refused")
	// ErrLingering: processes run code that would have to be purged; a *LingeringError says which.
	ErrLingering = errors.New("processes run old code")
	// ErrStale: a node is not what it was when the plan was made.
	ErrStale = errors.New("the plan is stale")
	// ErrLost: a node was lost after the decision. All others run the new code, and so does it if it lives.
	ErrLost = errors.New("lost while the code was being changed")
	// ErrRolledBack: a node did not load what it had promised to, and the others have taken it back.
	ErrRolledBack = errors.New("rolled back")
	// ErrMixed: that could not be done everywhere.
	ErrMixed = errors.New("some nodes run new code and some old")
	// ErrIncomplete: the code runs everywhere; files could not be written or processes not convert their state.
	ErrIncomplete = errors.New("the code runs, but not all is done")
)

// RefusedError lists what is refused on one node.
type RefusedError struct {
	Node    string
	Modules []Refusal
}

func (e *RefusedError) Error() string {
	const shown = 5
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v:", e.Node, ErrRefused)
	for i, r := range e.Modules {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(e.Modules)-i)
			break
		}
		fmt.Fprintf(&b, " %s (%s)", r.Module, r.Detail)
	}
	return b.String()
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

// LingeringError lists processes that run old code on one node.
type LingeringError struct {
	Node      string
	Processes []Lingering
}

// Lingering is a process that runs old code.
type Lingering struct {
	Module etf.Atom `json:"module"`
	Pid    string   `json:"pid"`  // as the node prints it
	Name   string   `json:"name"` // registered, or ""
	// Function is where it is: "kv:loop/1".
	Function string `json:"function"`
}

func (e *LingeringError) Error() string {
	const shown = 5
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v:", e.Node, ErrLingering)
	for i, p := range e.Processes {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(e.Processes)-i)
			break
		}
		who := p.Pid
		if p.Name != "" {
			who += " (" + p.Name + ")"
		}
		fmt.Fprintf(&b, " %s of %s in %s;", who, p.Module, p.Function)
	}
	return strings.TrimSuffix(b.String(), ";")
}

func (e *LingeringError) Unwrap() error { return ErrLingering }

// State is which code a node runs after a push.
type State string

// The states.
const (
	Old  State = "old"  // as before
	New  State = "new"  // what the plan says
	Lost State = "lost" // it was lost; if it lives it runs what the others run
	Mix  State = "mix"  // both: ErrMixed
)

// Report is what a push did.
type Report struct {
	Nodes []*NodeReport `json:"nodes"`
	Took  Took          `json:"took"`
}

// NodeReport is what a push did on one node.
type NodeReport struct {
	Node    string    `json:"node"`
	State   State     `json:"state"`
	Pushed  int       `json:"pushed"`  // modules loaded
	Deleted int       `json:"deleted"` // modules deleted
	Same    int       `json:"same"`    // modules that ran already, or are on its disk
	Refused []Refusal `json:"refused"`
	Bytes   int       `json:"bytes"` // sent
	// Killed are processes that were killed because they ran old code (Kill, or a rollback).
	Killed []Lingering `json:"killed,omitempty"`
	// Unchanged are processes that did not convert their state, Unwritten files that could not be written; both with the reason.
	Unchanged []string `json:"unchanged,omitempty"`
	Unwritten []string `json:"unwritten,omitempty"`
	// Error is what went wrong on this node.
	Error string `json:"error,omitempty"`
}

// Took is how long the phases of a push took, in seconds.
type Took struct {
	Stage  float64 `json:"stage_seconds"`  // send and prepare
	Gate   float64 `json:"gate_seconds"`   // old code gone
	Commit float64 `json:"commit_seconds"` // promise, load, verify
	Total  float64 `json:"total_seconds"`
}

// Phase is a step of a push.
type Phase string

// The phases, in their order.
const (
	Starting   Phase = "start"   // a process is about to be started on the node
	Sending    Phase = "send"    // code is about to be sent
	Staged     Phase = "staged"  // the node has prepared the code
	Gating     Phase = "gate"    // old code is about to be purged
	Preparing  Phase = "prepare" // the node is about to be asked for its promise
	Promised   Phase = "promised"
	Committing Phase = "commit"    // the node is about to be told to load the code
	Committed  Phase = "committed" // it has, and its sums are right
	Ending     Phase = "end"
)

// Event says that a push has come to a phase on a node.
type Event struct {
	Node  string
	Phase Phase
}

func since(t time.Time) float64 { return time.Since(t).Seconds() }
