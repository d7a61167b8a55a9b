package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

func (a *app) runCmd() *cobra.Command {
	var (
		flags specFlags
		guest guestFlags
		keep  bool
		stale bool
	)
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Start a cluster, run a command against it, and clear it away",
		Long: `Run starts a cluster as start does, runs a command in it as exec does, and ends the cluster, whatever happens: also when the
command fails, when the time is up, when run itself is interrupted or killed (even by SIGKILL), or when the cluster
doesn't get ready. What the command itself has left running is ended, too. As start, it refuses to begin with old code.

It returns the command's own exit code. When that is not 0 it shows the last lines of the nodes' logs; with
--keep-on-failure the logs stay. Where the command has no exit code, run's is
  124    the time given by --timeout was up, before or while the command ran
  125    beamctl failed before the command ran, or the cluster ended under it
  126    the command cannot be executed
  127    there is no such command
  128+n  signal n ended the command, or run before it

` + guestHelp + "\n\n" + joinHelp,
		Example: `  beamctl run --timeout 300s -- mix test --only real_nodes
  beamctl run --as-node tests -- rebar3 ct
  beamctl run -n 5 --keep-on-failure -- escript test/cluster_test.escript
  beamctl run -- sh -c 'make system-test'`,
		Args:        needCommand,
		Annotations: map[string]string{annotationOutputs: "table"}, // what there is to read is the command's
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := guest.check(); err != nil {
				return err
			}
			spec, err := flags.spec(a)
			if err != nil {
				return &statusError{launcher.ExecFailed, err}
			}
			return a.run(cmd.Context(), launcher.StartConfig{Spec: spec, Stale: stale}, a.execConfig(guest, args), keep)
		},
	}
	flags.register(cmd.Flags())
	guest.register(cmd.Flags())
	cmd.Flags().BoolVar(&keep, "keep-on-failure", false, "keep the logs if the command fails or doesn't get to run")
	staleFlag(cmd.Flags(), &stale)
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

func needCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s needs a command: beamctl %[1]s -- COMMAND", cmd.Name())
	}
	return nil
}

// runLogLines is how much of each node's log a failed run shows: a crash report, not the whole life.
const runLogLines = 20

func (a *app) run(ctx context.Context, start launcher.StartConfig, command launcher.ExecConfig, keep bool) error {
	begin, spec := time.Now(), start.Spec
	a.say("starting cluster %s: %d × %s", paint(a.color(a.errTTY), bold, spec.Cluster), len(spec.Nodes), spec.Runtime)
	progress := a.newProgress(spec.Nodes)
	var running atomic.Bool // the terminal is the command's
	start.StateDir, start.Progress = a.stateDir, func(e launcher.Event) {
		if !running.Load() {
			progress.show(e)
		}
	}
	status, err := launcher.Run(ctx, launcher.RunConfig{
		Start:   start,
		Exec:    command,
		Timeout: a.timeout,
		Keep:    keep,
		Ready: func(*launcher.Cluster) {
			running.Store(true)
			a.say("ready in %.2f s", time.Since(begin).Seconds())
		},
		Ended: func(c *launcher.Cluster, status int) { //nolint:contextcheck // ctx may be what has ended
			if c == nil || status == 0 {
				return
			}
			if keep {
				fmt.Fprintf(a.err, "the nodes' logs are kept in %s (%s)\n", c.StateDir(), a.advise("beamctl logs shows them, beamctl clean removes them"))
			}
			a.lastLogs(c)
		},
	})
	if status == 0 && err == nil {
		return nil
	}
	return &statusError{status, err}
}

// lastLogs shows the end of every node's log on stderr.
func (a *app) lastLogs(c *launcher.Cluster) {
	printLine := a.logPrinter(c, a.err, a.color(a.errTTY))
	first := true
	err := c.Logs(context.Background(), launcher.LogConfig{Last: runLogLines}, func(l launcher.LogLine) error {
		if first {
			fmt.Fprintf(a.err, "the last lines of the nodes' logs:\n")
			first = false
		}
		return printLine(l)
	})
	if err != nil {
		fmt.Fprintln(a.err, err)
	}
}
