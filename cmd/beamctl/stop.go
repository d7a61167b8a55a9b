package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// stopTimeout is how long stop takes at most by itself: every step of it has a shorter deadline.
const stopTimeout = 60 * time.Second

func (a *app) stopCmd() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "stop [NODE...]",
		Short: "Stop a cluster, or nodes of it, and prove that nothing is left",
		Long: `Stop asks every node to stop (init:stop), and ends with SIGTERM and then SIGKILL what doesn't, also what the nodes
themselves have started. It then looks for processes, ports and files of the cluster, and succeeds only if there are none.

With names of nodes, stop ends only those, and what they have started. The cluster goes on; "beamctl start NODE" brings them back.`,
		Example: "  beamctl stop\n  beamctl stop node2\n  beamctl stop --cluster five --keep",
		RunE: func(cmd *cobra.Command, nodes []string) error {
			if len(nodes) > 0 {
				if keep {
					return usagef("--keep is for the end of the whole cluster")
				}
				return a.changeNodes(cmd.Context(), nodes, (*launcher.Cluster).StopNodes, false)
			}
			ctx, cancel := a.context(cmd.Context(), stopTimeout)
			defer cancel()
			c, err := launcher.Find(a.where())
			if err != nil {
				return err
			}
			rep, err := c.Stop(ctx, launcher.StopConfig{Keep: keep, Progress: a.newProgress(c.Record().Spec.Nodes).show})
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(rep)
			}
			if rep.Forced {
				a.say("its supervisor was gone, or did not answer; what it left was ended by its marker")
			}
			left := "nothing is left"
			if rep.Kept != "" {
				left = "only " + rep.Kept + " is left"
			}
			_, err = fmt.Fprintf(a.out, "stopped %s: %s in %.1f s; %s\n", rep.Cluster, count(rep.Nodes, "node", "nodes"), rep.Duration, left)
			return err
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the state directory with its logs")
	return cmd
}

func (a *app) cleanCmd() *cobra.Command {
	var all, look bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove everything that beamctl ever left, and only that",
		Long: `Clean ends the processes of clusters whose supervisor is gone and removes the files of clusters that don't run, wherever
they were started. Running clusters are left alone, unless --all is given: then they are stopped. With --dry-run it only says what
it would do.`,
		Example: "  beamctl clean --dry-run\n  beamctl clean\n  beamctl clean --all",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.context(cmd.Context(), stopTimeout)
			defer cancel()
			done, err := launcher.Clean(ctx, launcher.CleanConfig{Where: a.where(), All: all, Look: look})
			if a.output == "json" {
				if jerr := a.json(append([]launcher.Cleaned{}, done...)); jerr != nil {
					return jerr
				}
				return err
			}
			for _, d := range done {
				fmt.Fprintln(a.out, cleanedText(d, look))
			}
			switch {
			case len(done) == 0 && err == nil:
				a.say("there was nothing to clean")
			case look:
				a.say("nothing was done: it is only what clean would do")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "stop running clusters, too")
	cmd.Flags().BoolVar(&look, "dry-run", false, "only say what would be done")
	return cmd
}

// cleanedText says what was done with something that is left over, or would be.
func cleanedText(c launcher.Cleaned, look bool) string {
	did, would := "removed", "would remove"
	switch c.What {
	case "cluster":
		did, would = "stopped", "would stop"
	case "processes":
		did, would = "ended", "would end"
	}
	if look {
		did = would
	}
	return did + " " + c.String()
}
