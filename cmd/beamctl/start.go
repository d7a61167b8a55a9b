package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

func (a *app) startCmd() *cobra.Command {
	var flags specFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start a cluster and wait until it is ready",
		Long: `Start reads beamctl.yaml, or finds the application of the current directory by itself (see "beamctl init"), builds it once,
starts its nodes, and returns when on every node the application runs and all nodes see each other.
The nodes go on running until "beamctl stop".

They have an EPMD and a random cookie of their own, listen on loopback only, and log to
.beamctl/CLUSTER/nodes/NODE/console.log.`,
		Example: `  beamctl start
  beamctl start --count 5 --cluster five
  beamctl start --env PORT=0 --timeout 30s -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec, err := flags.spec(a)
			if err != nil {
				return err
			}
			if a.timeout > 0 {
				spec.Ready = a.timeout
			}
			return a.start(cmd, spec)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

func (a *app) start(cmd *cobra.Command, spec launcher.Spec) error {
	parent := cmd.Context()
	timeout := a.timeout
	a.timeout = 0 // the supervisor keeps it: it knows what was last seen
	ctx, cancel := a.context(parent, 0)
	defer cancel()
	a.timeout = timeout

	begin := time.Now()
	a.say("starting cluster %s: %d × %s", paint(a.color(a.errTTY), bold, spec.Cluster), len(spec.Nodes), spec.Runtime)
	c, err := launcher.Start(ctx, launcher.StartConfig{
		Spec: spec, StateDir: a.stateDir, Progress: a.newProgress(spec.Nodes).show,
	})
	if err != nil {
		return startError{err}
	}
	a.say("ready in %.2f s", time.Since(begin).Seconds())
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
func (a *app) nodeTable(st *launcher.Status) error {
	colored := a.color(a.outTTY)
	var rows [][]string
	for _, n := range st.Nodes {
		state := n.State
		switch n.State {
		case launcher.NodeUp:
			state = paint(colored, green, state)
		case launcher.NodeStarting:
			state = paint(colored, yellow, state)
		default:
			state = paint(colored, red, state)
		}
		apps := strings.Join(n.Apps, " ")
		for _, m := range n.Missing {
			apps = strings.TrimSpace(apps + " " + paint(colored, red, "!"+m))
		}
		note := n.Problem
		if n.State == launcher.NodeExited {
			note = n.Exit
		}
		ping, uptime := "", ""
		if n.State == launcher.NodeUp {
			ping, uptime = fmt.Sprintf("%.2fms", n.Ping), ago(time.Duration(n.Uptime)*time.Second)
		}
		rows = append(rows, []string{
			n.Name, state, orDash(fmt.Sprint(n.Pid)), orDash(fmt.Sprint(n.Port)), orDash(n.OTP), orDash(ping), orDash(uptime),
			fmt.Sprint(len(n.Peers)), orDash(apps), note,
		})
	}
	return table(a.out, []string{"NODE", "STATE", "PID", "PORT", "OTP", "PING", "UPTIME", "PEERS", "APPS", ""}, rows)
}
