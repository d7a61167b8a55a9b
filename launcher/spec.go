package launcher

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// ErrSpec is what every fault in a Spec is.
var ErrSpec = errors.New("cannot be a cluster")

// A Spec says what cluster there shall be. [Detect] makes one of a project directory.
type Spec struct {
	Cluster string            `json:"cluster"`        // [a-zA-Z0-9_-], at most 64 characters; names the state directory
	Dir     string            `json:"dir"`            // of the project, absolute
	Runtime string            `json:"runtime"`        // a key of runtimes: "erl" or "mix"
	Paths   []string          `json:"paths"`          // ebin directories for the code path (runtime erl), absolute
	Build   []string          `json:"build"`          // command run once in Dir before the nodes; nil: none
	Apps    []string          `json:"apps"`           // started on every node, and awaited
	Env     map[string]string `json:"env,omitempty"`  // of every node
	Nodes   []NodeSpec        `json:"nodes"`          // at least one
	Ready   time.Duration     `json:"ready_timeout"`  // for building and becoming ready; 0: DefaultReady
	Stop    time.Duration     `json:"stop_timeout"`   // for a node to end after init:stop before it gets SIGTERM; 0: DefaultStop
	Port    int               `json:"epmd_port"`      // of the user's own door to the cluster's EPMD; 0: any free one
	Args    []string          `json:"args,omitempty"` // further arguments of the runtime's command
}

// NodeSpec is one node of a Spec.
type NodeSpec struct {
	Name string            `json:"name"`          // full: node1@127.0.0.1
	Env  map[string]string `json:"env,omitempty"` // over the cluster's
}

// Defaults of a Spec.
const (
	DefaultCount = 3
	DefaultName  = "{{.Node}}@127.0.0.1"
	DefaultReady = 2 * time.Minute
	DefaultStop  = 10 * time.Second
)

// maxNodes guards against a slipped digit: a hundred bare nodes take 4 GB.
const maxNodes = 200

// maxClusterName keeps paths and sockets short.
const maxClusterName = 64

var (
	clusterName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`)
	aliveName   = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`) // what OTP's net_kernel accepts before the @
	envName     = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// Short returns the part of the name before the @.
func (n *NodeSpec) Short() string {
	short, _, _ := strings.Cut(n.Name, "@")
	return short
}

// host returns the part of the name after the @.
func (n *NodeSpec) host() string {
	_, host, _ := strings.Cut(n.Name, "@")
	return host
}

// NodeNames makes count node names of a template in which {{.Node}} stands for node1, node2…
func NodeNames(template string, count int) []NodeSpec {
	nodes := make([]NodeSpec, 0, max(count, 0))
	for i := range count {
		name := strings.ReplaceAll(template, "{{.Node}}", fmt.Sprintf("node%d", i+1))
		nodes = append(nodes, NodeSpec{Name: name})
	}
	return nodes
}

// Validate returns every fault of the spec, each of which is an [ErrSpec].
func (s *Spec) Validate() error {
	var faults *multierror.Error
	fault := func(format string, args ...any) {
		faults = multierror.Append(faults, fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...))
	}
	if !clusterName.MatchString(s.Cluster) || len(s.Cluster) > maxClusterName {
		fault("cluster name %q: letters, digits, _ and -, at most %d", s.Cluster, maxClusterName)
	}
	if !filepath.IsAbs(s.Dir) {
		fault("project directory %q is not absolute", s.Dir)
	}
	if _, ok := runtimes[s.Runtime]; !ok {
		fault("runtime %q is none of erl, mix", s.Runtime)
	}
	if len(s.Nodes) < 1 || len(s.Nodes) > maxNodes {
		fault("%d nodes; 1 to %d can be had", len(s.Nodes), maxNodes)
	}
	if s.Port < 0 || s.Port > 65535 {
		fault("EPMD port %d is no port", s.Port)
	}
	for k := range s.Env {
		if !envName.MatchString(k) || strings.HasPrefix(k, "BEAMCTL_") {
			fault("environment variable %q: letters, digits and _, not BEAMCTL_…", k)
		}
	}
	seen := make(map[string]bool)
	for _, n := range s.Nodes {
		alive, host, ok := strings.Cut(n.Name, "@")
		switch {
		case !ok || !aliveName.MatchString(alive):
			fault("node name %q is not of the form name@host", n.Name)
		case host == "" || !strings.Contains(host, "."):
			fault("node name %q: the host of a long name has a dot", n.Name)
		case seen[alive]:
			fault("two nodes are called %s", alive)
		}
		seen[alive] = true
	}
	return faults.ErrorOrNil()
}

// withDefaults returns s with its zero durations filled in.
func (s Spec) withDefaults() Spec {
	if s.Ready == 0 {
		s.Ready = DefaultReady
	}
	if s.Stop == 0 {
		s.Stop = DefaultStop
	}
	return s
}
