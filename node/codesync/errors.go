package codesync

import (
	"errors"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

// Errors of Push and Compare. Test with errors.Is; those of package node come through.
var (
	// ErrRefused: modules cannot be pushed; a *RefusedError says which.
	ErrRefused = errors.New("refused")
	// ErrLingering: processes run code that would have to be purged; a *LingeringError says which.
	ErrLingering = errors.New("processes run old code")
	// ErrStale: a node is not what it was when the plan was made.
	ErrStale = errors.New("the plan is stale")
	// ErrNoModule: Options.ChangeCode names a module that neither the set nor any of the nodes has.
	ErrNoModule = errors.New("there is no such module")
	// ErrPushing: another push is under way on a node.
	ErrPushing = errors.New("another push is under way")
	// ErrBusy: a process whose state is to be converted cannot be suspended; a *BusyError says which.
	ErrBusy = errors.New("a process cannot be suspended")
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

// Who is its pid, and its name in brackets if it has one.
func (l Lingering) Who() string { return who(l.Pid, l.Name) }

func who(pid, name string) string {
	if name == "" {
		return pid
	}
	return pid + " (" + name + ")"
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
		fmt.Fprintf(&b, " %s of %s in %s;", p.Who(), p.Module, p.Function)
	}
	return strings.TrimSuffix(b.String(), ";")
}

func (e *LingeringError) Unwrap() error { return ErrLingering }

// BusyError is a process that did not let itself be suspended within a second. It and those before it go on.
type BusyError struct {
	Node   string
	Pid    string // as the node prints it
	Name   string // registered, or ""
	Reason string // of sys:suspend/2
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s: %v: %s: %s", e.Node, ErrBusy, who(e.Pid, e.Name), e.Reason)
}

func (e *BusyError) Unwrap() error { return ErrBusy }
