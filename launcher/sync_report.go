package launcher

import (
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/node/codesync"
)

// SyncReport is what a sync found and did.
type SyncReport struct {
	DryRun bool          `json:"dry_run"`
	Nodes  []*NodeSync   `json:"nodes"`
	Millis float64       `json:"ms"`    // all of it
	Took   codesync.Took `json:"took"`  // the push
	Stale  []StaleSource `json:"stale"` // sources that are not compiled, so that the nodes don't run what they say
	Error  string        `json:"error,omitempty"`

	beams []*codesync.Beam
}

// Changes lists the modules that were pushed to some node or deleted there; of a dry run, that would be.
func (r *SyncReport) Changes() []string {
	return sortedSet(append(r.Pushed(), r.Deleted()...))
}

// Pushed lists those that were pushed to some node.
func (r *SyncReport) Pushed() (modules []string) {
	for _, ns := range r.Nodes {
		modules = append(modules, ns.Pushed...)
	}
	return sortedSet(modules)
}

// Deleted lists those that were deleted on some node.
func (r *SyncReport) Deleted() (modules []string) {
	for _, ns := range r.Nodes {
		modules = append(modules, ns.Deleted...)
	}
	return sortedSet(modules)
}

func sortedSet(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// NodeSync is what a sync found and did on one node.
type NodeSync struct {
	Node    string             `json:"node"`
	State   SyncState          `json:"state"`
	Pushed  []string           `json:"pushed"`  // modules that were replaced or added; dry run: that would be; so for the others
	Deleted []string           `json:"deleted"` // modules that disk has no more
	Refused []codesync.Refusal `json:"refused"`
	Same    int                `json:"same"`  // modules that it ran already, or will load from the same disk when it needs them
	Bytes   int                `json:"bytes"` // of the code that it was sent and runs
	// Killed are processes that were killed because they ran old code.
	Killed    []codesync.Lingering `json:"killed,omitempty"`
	Unchanged []string             `json:"unchanged,omitempty"` // processes that did not convert their state, and why
	Unserved  []string             `json:"unserved,omitempty"`  // modules without a process to convert its state
	Unwritten []string             `json:"unwritten,omitempty"` // files that could not be written, and why
	Apps      []AppChange          `json:"apps"`                // what a push does not change
	Problem   string               `json:"problem,omitempty"`
}

func newNodeSync(name string) NodeSync {
	return NodeSync{Node: name, State: Unknown, Pushed: []string{}, Deleted: []string{}, Refused: []codesync.Refusal{}, Apps: []AppChange{}}
}

// SyncState is what a node runs.
type SyncState string

// The states of a NodeSync.
const (
	Synced      SyncState = "synced"      // all of the code, since before or since now
	AsBuilt     SyncState = "as built"    // so, but the sources say something else
	Outdated    SyncState = "old"         // what it ran before, which is not all of the code
	Mixed       SyncState = "mixed"       // some old and some new modules
	Lost        SyncState = "lost"        // it was lost while it changed
	Down        SyncState = "down"        // it does not run
	Unreachable SyncState = "unreachable" // it cannot be asked; whether it runs is not known
	Unknown     SyncState = "unknown"     // what it runs was not found out
	NoCode      SyncState = "no code"     // nothing of the project
)

// Notes are what there is to say of nodes besides what a table shows of them, a line each. Why a sync has failed is its error's to tell.
func (r *SyncReport) Notes() []string {
	var list said
	for _, n := range r.Nodes {
		if r.Error == "" {
			for _, ref := range n.Refused {
				list.add(n.Node, fmt.Sprintf("%s refused: %s", ref.Module, ref.Detail))
			}
		}
		for _, p := range n.Killed {
			list.add(n.Node, fmt.Sprintf("%s was killed: it ran old code of %s, in %s", p.Who(), p.Module, p.Function))
		}
		for _, text := range n.Unchanged {
			list.add(n.Node, "did not convert its state: "+text)
		}
		for _, m := range n.Unserved {
			list.add(n.Node, fmt.Sprintf("%s was replaced, and has no process there to convert its state", m))
		}
		for _, text := range n.Unwritten {
			list.add(n.Node, "not written: "+text)
		}
		for _, c := range n.Apps {
			list.add(n.Node, fmt.Sprintf("%s (takes a restart)", c))
		}
		if n.Problem != "" && r.Error == "" {
			list.add(n.Node, n.Problem)
		}
	}
	return list.lines(len(r.Nodes))
}

// said is what is said of nodes, each thing once.
type said struct {
	texts []string
	nodes map[string][]string // text → of whom
}

func (s *said) add(node, text string) {
	if s.nodes == nil {
		s.nodes = make(map[string][]string)
	}
	if s.nodes[text] == nil {
		s.texts = append(s.texts, text)
	}
	s.nodes[text] = append(s.nodes[text], node)
}

// lines shows each thing with those of whom it is said, of so many nodes.
func (s *said) lines(nodes int) []string {
	var lines []string
	for _, text := range s.texts {
		who := strings.Join(s.nodes[text], ", ")
		if len(s.nodes[text]) == nodes && nodes > 1 {
			who = "all"
		}
		lines = append(lines, who+": "+text)
	}
	return lines
}
