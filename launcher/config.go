package launcher

import (
	_ "embed" // beamctl.schema.json
	"errors"
	"time"
)

//go:generate go run ./internal/genschema beamctl.schema.json

// ConfigName is the file in a project's directory that says what cluster it wants.
const ConfigName = "beamctl.yaml"

// ConfigSchema is the JSON schema of beamctl.yaml.
//
//go:embed beamctl.schema.json
var ConfigSchema []byte

// ConfigValues are the values that keys with a choice may have.
var ConfigValues = map[string][]string{
	"names":        {"long", "short"},
	"mesh":         {MeshAuto, MeshBeamctl, MeshApp, MeshNone},
	"runtime":      {"mix", "rebar3", "release", "erl", "command"},
	"distribution": {distBoot, distOwn},
	"restart":      {string(RestartNever), string(RestartOnCrash)},
	"on":           {onEach, onOnce},
}

// Config is what beamctl.yaml can say, and flags, BEAMCTL_ variables and detection as well. What is left out is zero. The
// comments of its fields and those of the types below are the descriptions in the JSON schema.
type Config struct {
	// Name of the cluster and of its directory in .beamctl.
	Cluster string `yaml:"cluster"`
	// Number of nodes: node1, node2… Left out, they are those listed under nodes, or three.
	Count *int `yaml:"count"`
	// Template of the nodes' names, with .Node, .Index and .Cluster.
	Name string `yaml:"name"`
	// Whether the nodes have long or short names.
	Names string `yaml:"names"`
	// Who connects the nodes with each other: beamctl, app (ready waits until it has), none (nobody waits), or auto (app where the project configures libcluster, else beamctl).
	Mesh string `yaml:"mesh"`
	// Whether the nodes speak TLS with each other: none, auto (with an authority and certificates that beamctl makes for this cluster), or a file for erl's -ssl_dist_optfile (a template; relative to the project).
	TLS string `yaml:"tls"`
	// Fixed port for your own nodes to find the cluster at; 0 or left out: any free one.
	EPMDPort int `yaml:"epmd_port"`
	// When the cluster is ready.
	Ready ReadyConfig `yaml:"ready"`
	// How nodes end.
	Stop StopPolicy `yaml:"stop"`
	// What `beamctl health` finds too much, and what it asks beside its own checks.
	Health HealthConfig `yaml:"health"`

	Launch `yaml:",inline"`

	// What is different for single nodes.
	Nodes []NodeConfig `yaml:"nodes"`
}

// ReadyConfig says when the cluster is ready.
type ReadyConfig struct {
	// How long building and becoming ready may take: 2m, 90s.
	Timeout Duration `yaml:"timeout"`
	// How often a node that dies while it boots is started again.
	Retries int `yaml:"retries"`
}

// StopPolicy says how nodes end.
type StopPolicy struct {
	// How long a node may take to end by itself before it gets SIGTERM: 10s.
	Timeout Duration `yaml:"timeout"`
}

// NodeConfig is one node. What it says counts over what is said for all.
type NodeConfig struct {
	// Which node: node2; or a full name, name@host.
	Name string `yaml:"name"`

	Launch `yaml:",inline"`
}

// Duration is a time.Duration as 30s, 1m30s, 500ms.
type Duration time.Duration

var errDuration = errors.New("is no duration: 30s, 1m30s, 500ms")

// UnmarshalText reads a duration. Its error doesn't repeat the text.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return errDuration
	}
	*d = Duration(v)
	return nil
}

// MarshalText is its inverse.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }
