package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

func (a *app) logsCmd() *cobra.Command {
	var (
		follow bool
		last   int
	)
	cmd := &cobra.Command{
		Use:   "logs [NODE...]",
		Short: "Show what the nodes print",
		Long: `Logs shows the console output of the nodes, each line with its node's name in front. It works as well for a cluster
that could not start, until that is cleaned or started again.`,
		Example: "  beamctl logs -n 20\n  beamctl logs -f node2",
		RunE: func(cmd *cobra.Command, nodes []string) error {
			ctx, cancel := a.context(cmd.Context(), 0)
			defer cancel()
			c, err := launcher.Find(a.where())
			if err != nil {
				return err
			}
			return c.Logs(ctx, launcher.LogConfig{Nodes: nodes, Last: last, Follow: follow}, a.logPrinter(c, a.out, a.color(a.outTTY)))
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until Ctrl-C or the end of the cluster")
	cmd.Flags().IntVarP(&last, "lines", "n", -1, "only the last lines of each node (default: all)")
	return cmd
}

// logPrinter writes lines of nodes to w, each with its node in front, in the node's colour.
func (a *app) logPrinter(c *launcher.Cluster, w io.Writer, colored bool) func(node, line string) error {
	width, colors := 0, make(map[string]color)
	for i, n := range c.Record().Spec.Nodes {
		width = max(width, len(n.Short()))
		colors[n.Short()] = nodeColors[i%len(nodeColors)]
	}
	return func(node, line string) error {
		_, err := fmt.Fprintf(w, "%s %s\n", paint(colored, colors[node], fmt.Sprintf("%-*s |", width, node)), line)
		return err
	}
}
