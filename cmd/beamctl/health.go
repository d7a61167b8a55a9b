package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/node"
)

func (a *app) healthCmd() *cobra.Command {
	var at attachment
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask every node, from inside the cluster, whether all is well",
		Long: `Health connects to every node as a hidden Erlang node and shows a matrix of nodes and checks. Every cell is something
that the node itself has said:

  ping    net_kernel answers; the median round trip
  rpc     a call is run and answered; the OTP release
  cookie  the node accepts the cluster's cookie (a handshake made for this check)
  apps    the application runs; its version
  mesh    how many of the other nodes it sees

A cell that could not be asked because of another one's failure is "-". If a cell is FAIL the exit code is 1.
A node that doesn't answer costs --timeout (3s), and delays no other.`,
		Example: `  beamctl health
  beamctl health -o json
  beamctl health --attach rabbit@h1,rabbit@h2 --cookie-file /var/lib/rabbitmq/.erlang.cookie`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var targets []checks.Target
			var err error
			if len(at.nodes) > 0 {
				targets, err = at.targets()
			} else {
				targets, err = a.clusterTargets()
			}
			if err != nil {
				return err
			}
			perNode := health.DefaultPerNode
			if a.timeout > 0 {
				perNode = a.timeout
			}
			ctx, cancel := a.context(cmd.Context(), perNode+time.Second)
			defer cancel()
			n, err := node.Start(node.Config{})
			if err != nil {
				return err
			}
			defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
			report := health.Run(ctx, n, targets, health.Options{PerNode: perNode})
			if a.output == "json" {
				err = a.json(report)
			} else {
				err = a.showHealth(report)
			}
			if err == nil && !report.Healthy {
				err = errFailed
			}
			return err
		},
	}
	at.attachFlag(cmd.Flags())
	at.cookieFlag(cmd.Flags())
	return cmd
}

// showHealth prints the matrix, and below it what is wrong.
func (a *app) showHealth(r *health.Report) error {
	on := a.color(a.outTTY)
	header := []string{"NODE"}
	for _, c := range r.Rows[0].Cells {
		header = append(header, strings.ToUpper(c.Check))
	}
	var rows [][]string
	var findings []string
	for _, row := range r.Rows {
		cells := []string{row.Node}
		for _, c := range row.Cells {
			color := red
			switch c.Status {
			case health.OK:
				cells = append(cells, paint(on, green, c.Saw))
				continue
			case health.Blocked, health.None:
				cells = append(cells, paint(on, dim, "-"))
				continue
			case health.Warn:
				color = yellow
			case health.Fail:
			}
			cells = append(cells, paint(on, color, strings.ToUpper(string(c.Status))))
			f := c.Finding(row.Node)
			f.What = paint(on, color, f.What)
			findings = append(findings, f.Error())
		}
		rows = append(rows, cells)
	}
	if err := table(a.out, header, rows); err != nil {
		return err
	}
	if len(findings) > 0 {
		if _, err := fmt.Fprintf(a.out, "\n%s\n", strings.Join(findings, "\n")); err != nil {
			return err
		}
	}
	if r.Healthy {
		a.say("%s: %d nodes in %.0f ms", paint(a.color(a.errTTY), green, "healthy"), len(r.Rows), r.Millis)
	}
	return nil
}
