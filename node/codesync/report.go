package codesync

import (
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

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
	Took  Took          `json:"took"` // of each phase, on the slowest node, and in total
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
	Took    Took      `json:"took"`
	// Killed are processes that were killed because they ran old code (Kill, or a rollback): the first hundred.
	Killed []Lingering `json:"killed,omitempty"`
	// Unchanged are processes that did not convert their state, Unwritten files that could not be written; both with
	// the reason.
	Unchanged []string `json:"unchanged,omitempty"`
	Unwritten []string `json:"unwritten,omitempty"`
	// Unserved are modules of Options.ChangeCode that were replaced, and of which there was no process to convert its
	// state.
	Unserved []etf.Atom `json:"unserved,omitempty"`
	// Error is what went wrong on this node.
	Error string `json:"error,omitempty"`
}

// Took is how long the phases of a push took, in seconds. A node's do not include waiting for others.
type Took struct {
	Stage  float64 `json:"stage_seconds"`  // send the code, and prepare it there
	Gate   float64 `json:"gate_seconds"`   // purge old code
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
