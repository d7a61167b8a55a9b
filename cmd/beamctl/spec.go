package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/launcher"
)

// specFlags are the flags of every command that starts a cluster.
type specFlags struct {
	count    int
	name     string
	env      []string
	epmdPort int
	dir      string
}

func (s *specFlags) register(f *pflag.FlagSet) {
	f.IntVarP(&s.count, "count", "n", launcher.DefaultCount, "number of nodes")
	f.StringVar(&s.name, "name", launcher.DefaultName, "template of the nodes' names; {{.Node}} is node1, node2…")
	f.StringArrayVarP(&s.env, "env", "e", nil, "KEY=VALUE in the environment of every node")
	f.IntVar(&s.epmdPort, "epmd-port", 0, "fixed port for your own nodes to find the cluster at (default: any free one)")
	f.StringVarP(&s.dir, "dir", "C", ".", "the project's directory")
}

// spec makes the Spec that the flags and the directory ask for.
func (s *specFlags) spec(a *app) (launcher.Spec, error) {
	spec, err := launcher.Detect(s.dir)
	if err != nil {
		return spec, startError{err}
	}
	spec.Nodes = launcher.NodeNames(s.name, s.count)
	spec.Port = s.epmdPort
	if a.cluster != "" {
		spec.Cluster = a.cluster
	}
	spec.Env, err = parseEnv(s.env)
	return spec, err
}

func parseEnv(kvs []string) (map[string]string, error) {
	env := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--env %q is not KEY=VALUE", kv)
		}
		env[k] = v
	}
	return env, nil
}
