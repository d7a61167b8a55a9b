package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/launcher"
)

func (a *app) startCmd() *cobra.Command {
	var (
		flags specFlags
		goOn  bool
		stale bool
	)
	cmd := &cobra.Command{
		Use:   "start [NODE...]",
		Short: "Start a cluster, or nodes of it, and wait until they are ready",
		Long: `Start reads beamctl.yaml, or finds the application of the current directory by itself (see "beamctl init"), builds it once,
starts its nodes, and returns when on every node the application runs and all nodes see each other.
The nodes go on running until "beamctl stop".

They have an EPMD and a random cookie of their own, listen on loopback only, and log to
.beamctl/CLUSTER/nodes/NODE/console.log.

When the project is built and a source is still newer than what was compiled from it, start refuses: it would start old code. That
is so where there is no build step, or where that overlooks something. --stale starts it all the same.

With names of nodes, start starts those of the running cluster that were stopped or have crashed.

A node that crashes stays down, unless --restart on-crash is given: then it is started again, after a pause that grows from 1 s
to 30 s as it crashes again and again.`,
		Example: `  beamctl start
  beamctl start --count 5 --cluster five
  beamctl start --env PORT=0 --timeout 30s -o json
  beamctl start node2`,
		RunE: func(cmd *cobra.Command, nodes []string) error {
			if len(nodes) > 0 {
				return a.changeNodes(cmd.Context(), nodes, unlessStale(&stale, (*launcher.Cluster).StartNodes), false)
			}
			spec, err := flags.spec(a)
			if err != nil {
				return err
			}
			if a.timeout > 0 {
				spec.Ready = a.timeout
			}
			return a.start(cmd, launcher.StartConfig{Spec: spec, GoOn: goOn, Stale: stale})
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVar(&goOn, "keep-going", false, "leave the other nodes running when some do not start")
	staleFlag(cmd.Flags(), &stale)
	return cmd
}

// staleFlag is that of commands that refuse to work with old code.
func staleFlag(f *pflag.FlagSet, stale *bool) {
	f.BoolVar(stale, "stale", false, "do it also with code that is older than the sources")
}

func (a *app) start(cmd *cobra.Command, cfg launcher.StartConfig) error {
	spec := cfg.Spec
	parent := cmd.Context()
	timeout := a.timeout
	a.timeout = 0 // the supervisor keeps it: it knows what was last seen
	ctx, cancel := a.context(parent, 0)
	defer cancel()
	a.timeout = timeout

	begin := time.Now()
	a.say("starting cluster %s: %d × %s", paint(a.color(a.errTTY), bold, spec.Cluster), len(spec.Nodes), spec.Runtime)
	cfg.StateDir, cfg.Progress = a.stateDir, a.newProgress(spec.Nodes).show
	c, err := launcher.Start(ctx, cfg)
	if partial, ok := errors.AsType[*launcher.PartialError](err); ok {
		if err := a.showStatus(ctx, c); err != nil {
			return err
		}
		return startError{partial}
	}
	if err != nil {
		return startError{err}
	}
	a.say("ready in %.2f s", time.Since(begin).Seconds())
	return a.showStatus(ctx, c)
}
