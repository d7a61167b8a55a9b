package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"time"
)

// Subject is what is examined: this machine, as a user's environment shows it, and the project, if there is one.
type Subject struct {
	Env      map[string]string // of the user
	Project  *Plan             // nil: there is none here
	PlanErr  error             // what is wrong with the one that is here, and keeps it from being known
	Clusters Clusters
}

// Plan is what is to be started.
type Plan struct {
	Cluster string // its name
	Runtime string // what starts its nodes: mix, erl
	Dir     string // the project's directory
	State   string // where the cluster's state will live; need not exist; "": not known
	Short   bool   // the names are short ones, without a dot

	Nodes    []string  // full names
	Programs []Program // what the nodes are built and started with
	Ports    []Ports
	Releases []string // directories of releases that are started
	Build    Build
}

// Program is something that is run, and where it is looked for.
type Program struct {
	Name  string // erl, mix; with a slash in it, where that says
	Path  string // the PATH of the nodes
	Build string // the build step that runs it: mix compile; "": the nodes are started with it
}

// Ports is a range of TCP ports, both ends included, of which some are wanted.
type Ports struct {
	Name   string // what they are for, as beamctl.yaml calls it: epmd_port, ports.dist
	Lo, Hi int
	Need   int    // how many
	Host   string // the address at which they are listened on; "": all addresses
	Spare  bool   // others do as well
}

// Build is what is known of the project's compiled code.
type Build struct {
	Code  []string                 // directories with .beam files
	Stale func() ([]string, error) // compares sources with what was compiled of them, and says what is stale
	Step  string                   // the command that compiles, which start runs first; "": start runs none
}

// Clusters is what is known of the user's clusters.
type Clusters struct {
	Running []string                                    // "kv in /home/u/kv"
	Kept    []string                                    // those of which somebody wanted to keep files: they were stopped so, or failed
	Dead    []string                                    // what a cluster left that died: "kv: files in /home/u/kv/.beamctl/kv"
	Clean   func(ctx context.Context) ([]string, error) // clears away what is Dead, and says what it did; nil: cannot
	Owner   func(pid int) string                        // the running cluster that a process belongs to, or ""; nil: not known
	Sockets Dir                                         // where supervisors have their sockets
}

// Dir is a directory that has to be safe.
type Dir struct {
	Path  string       // "": not known
	Fault func() error // what is wrong with it now, perhaps a *checks.Finding; nil if nothing is, or it will be made
}

// checkTimeout bounds each check, but for what a user waits for anyhow; a resolver that is cut off takes longer.
const checkTimeout = 3 * time.Second

// bootTimeout bounds those that may have to run a program for it to tell what it is. Most boot a VM: a tenth of a second, and on a busy
// machine many.
const bootTimeout = 20 * time.Second

// env returns a variable of the user's.
func (s *Subject) env(name string) string { return s.Env[name] }

// paths returns the PATHs on which programs are looked for: those of the nodes, or the user's.
func (s *Subject) paths() []string {
	var out []string
	if s.Project != nil {
		for _, p := range s.Project.Programs {
			if !slices.Contains(out, p.Path) {
				out = append(out, p.Path)
			}
		}
	}
	if len(out) == 0 {
		out = []string{s.env("PATH")}
	}
	return out
}

// starts tells whether nodes that have that PATH are built or started with one of the programs.
func (s *Subject) starts(path string, programs ...string) bool {
	return s.Project != nil && slices.ContainsFunc(s.Project.Programs, func(p Program) bool {
		return p.Path == path && slices.Contains(programs, filepath.Base(p.Name)) && filepath.Base(p.Name) == p.Name
	})
}

// count is how many nodes there are to be: those of the project, or as many as a start makes of any.
func (s *Subject) count() int {
	if s.Project == nil {
		return usualNodes
	}
	return len(s.Project.Nodes)
}

// usualNodes is the number of nodes that the machine is measured against where there is no project.
const usualNodes = 3
