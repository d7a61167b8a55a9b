package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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

// showStatus shows a cluster as it is now.
func (a *app) showStatus(ctx context.Context, c *launcher.Cluster) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(st)
	}
	return a.nodeTable(st)
}

// nodeTable shows a status as a table, a row for each node.
func (a *app) nodeTable(st *launcher.Status) error { return a.statusTable(a.out, st, nil) }

// statusTable is nodeTable on w. With an earlier status of the same cluster, it shows how busy the nodes were since then.
func (a *app) statusTable(w io.Writer, st, before *launcher.Status) error {
	colored := a.color(a.outTTY)
	var rows [][]string
	for _, n := range st.Nodes {
		state := n.State
		switch n.State {
		case launcher.NodeUp:
			state = paint(colored, green, state)
		case launcher.NodeStarting, launcher.NodeStopped, launcher.NodeExited:
			state = paint(colored, yellow, state)
		default:
			state = paint(colored, red, state)
		}
		apps := strings.Join(n.Apps, " ")
		for _, m := range n.Missing {
			apps = strings.TrimSpace(apps + " " + paint(colored, red, "!"+m))
		}
		note := n.Problem
		switch n.State {
		case launcher.NodeCrashed, launcher.NodeExited:
			note = n.Exit
			if n.Cause != "" {
				note += ": " + n.Cause
			}
		case launcher.NodeUp:
			if n.Restart > 0 && note == "" {
				note = fmt.Sprintf("restarted %d×", n.Restart)
			}
		}
		ping, uptime, mem, cpu := "", "", "", ""
		if n.State == launcher.NodeUp {
			ping, uptime = fmt.Sprintf("%.2fms", n.Ping), ago(time.Duration(n.Uptime)*time.Second)
			mem, cpu = megabytes(n.Memory), cpuText(n, st, before)
		}
		drift := orDash(fmt.Sprint(len(n.Drift)))
		if len(n.Drift) > 0 {
			drift = paint(colored, yellow, drift)
		}
		rows = append(rows, []string{
			n.Name, state, orDash(fmt.Sprint(n.Pid)), orDash(fmt.Sprint(n.Port)), orDash(n.OTP), orDash(ping), orDash(uptime), orDash(mem), orDash(cpu),
			fmt.Sprint(len(n.Peers)), drift, orDash(apps), note,
		})
	}
	return table(w, []string{"NODE", "STATE", "PID", "PORT", "OTP", "PING", "UPTIME", "MEM", "CPU", "PEERS", "DRIFT", "APPS", ""}, rows)
}

func megabytes(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%dM", n>>20)
}

// cpuText is the time that a node has had of a CPU, or how much of one it has taken since before.
func cpuText(n launcher.NodeStatus, st, before *launcher.Status) string {
	if before != nil {
		for _, b := range before.Nodes {
			if elapsed := st.Time.Sub(before.Time).Seconds(); b.Name == n.Name && b.OSPid == n.OSPid && elapsed > 0 {
				return fmt.Sprintf("%.0f%%", 100*(n.CPU-b.CPU)/elapsed)
			}
		}
	}
	if n.CPU == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fs", n.CPU)
}
