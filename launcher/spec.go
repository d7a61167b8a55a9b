package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// ErrSpec is what every fault in a Spec is.
var ErrSpec = errors.New("cannot be a cluster")

// A Spec says what cluster there shall be. [Resolve] makes one of flags, environment, beamctl.yaml and what a directory holds;
// [Detect] of the latter alone.
type Spec struct {
	Cluster string `json:"cluster"` // [a-zA-Z0-9_-], at most 64 characters; names the state directory
	Dir     string `json:"dir"`     // of the project, absolute
	Launch
	Mesh       string        `json:"mesh,omitempty"`        // who connects the nodes: MeshBeamctl, MeshApp or MeshNone; "": MeshBeamctl
	ShortNames bool          `json:"short_names,omitempty"` // hosts without a dot, as erl -sname
	TLS        string        `json:"tls,omitempty"`         // between the nodes: TLSNone, TLSAuto, or a file for -ssl_dist_optfile (a template); "": TLSNone
	Nodes      []NodeSpec    `json:"nodes"`                 // at least one
	Ready      time.Duration `json:"ready_timeout"`         // for building and becoming ready; 0: DefaultReady
	Retries    int           `json:"retries,omitempty"`     // how often a node that dies while it boots is started again
	Stop       time.Duration `json:"stop_timeout"`          // for a node to end after init:stop before it gets SIGTERM; 0: DefaultStop
	Port       int           `json:"epmd_port"`             // of the user's own door to the cluster's EPMD; 0: any free one
}

// NodeSpec is one node of a Spec.
type NodeSpec struct {
	Name   string `json:"name"`            // full: test_node1@127.0.0.1
	Label  string `json:"label,omitempty"` // what templates call .Node: node1; "": what is before the @
	Launch        // over the cluster's
}

// Who connects the nodes of a cluster with each other.
const (
	MeshAuto    = "auto"    // only for Config: MeshApp where the project uses a clustering library, else MeshBeamctl
	MeshBeamctl = "beamctl" // each dials those before it
	MeshApp     = "app"     // the application; ready waits until all see all
	MeshNone    = "none"    // nobody, and nobody waits for it
)

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
	clusterName = lazy(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`)
	aliveName   = lazy(`^[a-zA-Z0-9_-]+$`) // what OTP's net_kernel accepts before the @
	envName     = lazy(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	portName    = lazy(`^[a-z][a-z0-9_]*$`)
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

// label returns what templates call .Node.
func (n *NodeSpec) label() string { return cmp.Or(n.Label, n.Short()) }

// launch returns how n is started.
func (s *Spec) launch(n *NodeSpec) Launch { return n.over(s.Launch) }

// AppsOf returns the applications that have to run on n.
func (s *Spec) AppsOf(n *NodeSpec) []string { return firstList(n.Apps, s.Apps) }

// fault is one thing that is wrong with a Spec; key is where, as in beamctl.yaml: nodes[1].env.PORT.
type fault struct{ key, text string }

// Validate returns every fault of the spec, each of which is an [ErrSpec].
func (s *Spec) Validate() error {
	var errs *multierror.Error
	for _, f := range s.faults() {
		errs = multierror.Append(errs, fmt.Errorf("%w: %s: %s", ErrSpec, f.key, f.text))
	}
	return errs.ErrorOrNil()
}

func (s *Spec) faults() []fault {
	var faults []fault
	add := func(key, format string, args ...any) {
		faults = append(faults, fault{key, fmt.Sprintf(format, args...)})
	}
	if !clusterName().MatchString(s.Cluster) || len(s.Cluster) > maxClusterName {
		add("cluster", "cluster name %q: letters, digits, _ and -, at most %d", s.Cluster, maxClusterName)
	}
	if !filepath.IsAbs(s.Dir) {
		add("dir", "project directory %q is not absolute", s.Dir)
	}
	if s.Mesh != "" && !slices.Contains([]string{MeshBeamctl, MeshApp, MeshNone}, s.Mesh) {
		add("mesh", "%q is none of auto, beamctl, app, none", s.Mesh)
	}
	if len(s.Nodes) < 1 || len(s.Nodes) > maxNodes {
		add("count", "%s", countFault(len(s.Nodes)))
	}
	if s.Port < 0 || s.Port > 65535 {
		add("epmd_port", "EPMD port %d is no port", s.Port)
	}
	if s.Ready < 0 {
		add("ready.timeout", "is negative")
	}
	if s.Retries < 0 {
		add("ready.retries", "is negative")
	}
	if s.Stop < 0 {
		add("stop.timeout", "is negative")
	}
	faults = append(faults, s.Launch.faults("")...)
	if len(s.Nodes) > 0 {
		faults = append(faults, s.tlsFaults()...)
	}
	seen, labels := make(map[string]bool), make(map[string]bool)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		key := fmt.Sprintf("nodes[%d]", i)
		if text := s.nameFault(n); text != "" {
			add(key+".name", "node name %q %s", n.Name, text)
		} else if seen[n.Short()] || labels[n.label()] {
			add(key+".name", "two nodes are called %s", n.Short())
		}
		seen[n.Short()], labels[n.label()] = true, true
		faults = append(faults, n.faults(key+".")...)
		faults = append(faults, s.runtimeFaults(n, key+".")...)
	}
	seenFaults := make(map[fault]bool)
	return slices.DeleteFunc(faults, func(f fault) bool { // what all nodes share would be told for each
		again := seenFaults[f]
		seenFaults[f] = true
		return again
	})
}

func countFault(n int) string { return fmt.Sprintf("%d nodes; 1 to %d can be had", n, maxNodes) }

// maxNodeName is how long an atom may be (erts: MAX_ATOM_CHARACTERS), which a node's name is.
const maxNodeName = 255

// nameFault says what is wrong with a node's name.
func (s *Spec) nameFault(n *NodeSpec) string {
	alive, host, ok := strings.Cut(n.Name, "@")
	dotted := strings.ContainsAny(host, ".:")
	switch {
	case !ok || alive == "" || host == "":
		return "is not of the form name@host"
	case !aliveName().MatchString(alive):
		return "is none that OTP takes: before the @ it has letters, digits, _ and -"
	case len(n.Name) > maxNodeName:
		return fmt.Sprintf("is too long: it is an atom, of at most %d characters", maxNodeName)
	case s.ShortNames && dotted:
		return "is not short: the host of a short name has no dot"
	case !s.ShortNames && !dotted:
		return "is not long: the host of a long name has a dot (or use `names: short`)"
	}
	return ""
}

// faults of what one Launch says by itself.
func (l *Launch) faults(prefix string) []fault {
	var faults []fault
	add := func(key, format string, args ...any) {
		faults = append(faults, fault{prefix + key, fmt.Sprintf(format, args...)})
	}
	if l.Runtime != "" && runtimes[l.Runtime] == nil {
		add("runtime", "runtime %q is none of %s", l.Runtime, strings.Join(slices.Sorted(maps.Keys(runtimes)), ", "))
	}
	l.Restart.validate(func(format string, args ...any) { add("restart", format, args...) })
	if !slices.Contains([]string{"", distBoot, distOwn}, l.Distribution) {
		add("distribution", "%q is neither boot nor own", l.Distribution)
	}
	for _, k := range slices.Sorted(maps.Keys(l.Env)) {
		if !envName().MatchString(k) || strings.HasPrefix(k, "BEAMCTL_") {
			add("env."+k, "environment variable %q: letters, digits and _, not BEAMCTL_…", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.Ports)) {
		if !portName().MatchString(k) {
			add("ports."+k, "port name %q: lower-case letters, digits and _", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(l.Files)) {
		if !filepath.IsLocal(k) || k == "." {
			add("files."+k, "%q is no path inside the node's directory", k)
		}
	}
	for _, a := range l.VMArgs {
		if strings.ContainsAny(a, "'\n") {
			add("vm_args", "an argument has a quote or a newline, which ERL_AFLAGS cannot carry")
		}
	}
	for _, f := range l.protoFaults() {
		add(f.key, "%s", f.text)
	}
	return faults
}

// runtimeFaults are those of everything that counts for n together. They are told of the cluster where n says nothing of its own.
func (s *Spec) runtimeFaults(n *NodeSpec, prefix string) []fault {
	l := s.launch(n)
	rt := runtimes[l.Runtime]
	if rt == nil {
		if l.Runtime == "" {
			return []fault{{"runtime", "no runtime is set, and none could be found out"}}
		}
		return nil
	}
	var faults []fault
	if key, text := rt.fault(&l); text != "" {
		if n.Runtime == "" {
			prefix = ""
		}
		faults = append(faults, fault{prefix + key, text})
	}
	return append(faults, s.templateFaults(n, &l, prefix)...)
}

// withDefaults returns s with what it leaves open filled in.
func (s Spec) withDefaults() Spec {
	if s.Ready == 0 {
		s.Ready = DefaultReady
	}
	if s.Stop == 0 {
		s.Stop = DefaultStop
	}
	if s.Mesh == "" {
		s.Mesh = MeshBeamctl
	}
	s.Ports = merged(defaultPorts, s.Ports)
	return s
}
