package main

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/launcher"
)

// specFlags are the flags of every command that needs to know what cluster there shall be.
type specFlags struct {
	set      *pflag.FlagSet
	count    int
	name     string
	runtime  string
	mesh     string
	tls      string
	env      []string
	epmdPort int
	dir      string
	restart  string
	file     string
}

func (s *specFlags) register(f *pflag.FlagSet) {
	s.set = f
	f.IntVarP(&s.count, "count", "n", 0, "number of nodes (default 3)")
	f.StringVar(&s.name, "name", "", `template of the nodes' names; {{.Node}} is node1, node2… (default "`+launcher.DefaultName+`")`)
	f.StringVar(&s.runtime, "runtime", "", "what starts a node: mix, rebar3, release, erl or command (default: found out)")
	f.StringVar(&s.mesh, "mesh", "", "who connects the nodes: beamctl, app or none (default: app with libcluster, else beamctl)")
	f.StringVar(&s.tls, "tls", "", "TLS between the nodes: none, auto, or a file for -ssl_dist_optfile (default none)")
	f.StringArrayVarP(&s.env, "env", "e", nil, "KEY=VALUE in the environment of every node; VALUE may be a template")
	f.IntVar(&s.epmdPort, "epmd-port", 0, "fixed port for your own nodes to find the cluster at (default: any free one)")
	f.StringVar(&s.restart, "restart", "", "what becomes of a node that crashes: never or on-crash (default never)")
	f.StringVarP(&s.dir, "dir", "C", "", "the project's directory (default: that of beamctl.yaml, or the current one)")
	f.StringVarP(&s.file, "config", "f", os.Getenv("BEAMCTL_CONFIG"), "the configuration (default: beamctl.yaml here or above; $BEAMCTL_CONFIG)")
}

// flagOf are the flags that set a key of the configuration by another name.
var flagOf = map[string]string{"epmd_port": "--epmd-port", "ready.timeout": "--timeout"}

// resolve finds out what cluster the flags, the environment, the configuration and the directory ask for.
func (s *specFlags) resolve(a *app) (*launcher.Resolved, error) {
	flags := launcher.Config{
		Cluster: a.cluster, Name: s.name, Mesh: s.mesh, TLS: s.tls, EPMDPort: s.epmdPort, Launch: launcher.Launch{Runtime: s.runtime, Restart: launcher.Restart(s.restart)},
	}
	if s.set.Changed("count") {
		flags.Count = &s.count
	}
	var err error
	if flags.Env, err = parseEnv(s.env); err != nil {
		return nil, err
	}
	res, err := launcher.Resolve(launcher.Sources{
		Dir: s.dir, File: s.file, Env: os.Environ(), Flags: flags, FlagName: func(key string) string {
			if name, ok := flagOf[key]; ok {
				return name
			}
			name, _, _ := strings.Cut(key, ".")
			return "--" + name
		},
	})
	if err != nil {
		return nil, startError{err}
	}
	return res, nil
}

// spec is what resolve finds out.
func (s *specFlags) spec(a *app) (launcher.Spec, error) {
	res, err := s.resolve(a)
	if err != nil {
		return launcher.Spec{}, err
	}
	a.project = res.Spec.Dir
	return res.Spec, nil
}

func parseEnv(kvs []string) (map[string]string, error) {
	env := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usagef("--env %q is not KEY=VALUE", k)
		}
		env[k] = v
	}
	return env, nil
}
