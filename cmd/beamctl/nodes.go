package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// change is what a verb does to nodes of a running cluster.
type change func(*launcher.Cluster, context.Context, launcher.ChangeConfig) error

// unlessStale is a change that lets nodes load code: not if that is older than its sources, unless told to.
func unlessStale(stale *bool, do change) change {
	return func(c *launcher.Cluster, ctx context.Context, cfg launcher.ChangeConfig) error {
		if !*stale {
			if err := c.Compiled(); err != nil {
				return err
			}
		}
		return do(c, ctx, cfg)
	}
}

// changeNodes performs a change, and shows the cluster as it is afterwards.
func (a *app) changeNodes(ctx context.Context, nodes []string, do change, atOnce bool) error {
	ready := a.timeout
	a.timeout = 0 // the supervisor keeps it: it knows what was last seen
	ctx, cancel := a.context(ctx, 0)
	defer cancel()
	c, err := a.open()
	if err != nil {
		return err
	}
	progress := a.newProgress(c.Record().Spec.Nodes)
	progress.lines = true
	err = do(c, ctx, launcher.ChangeConfig{Nodes: nodes, AtOnce: atOnce, Ready: ready, Progress: progress.show})
	if err != nil {
		return startError{err}
	}
	return a.showStatus(ctx, c)
}

func (a *app) restartCmd() *cobra.Command {
	var atOnce, stale bool
	cmd := &cobra.Command{
		Use:   "restart [NODE...]",
		Short: "Restart nodes, one after the other",
		Long: `Restart stops each of the nodes (all of them, if none is named) as stop does, starts it again, and waits until it is ready and
sees all others before it goes on to the next. The nodes keep their directories, names and EPMD ports.

Nothing is built. Where a source is newer than what was compiled from it, restart refuses; "beamctl sync --compile" builds.`,
		Example: "  beamctl restart\n  beamctl restart node2 node3\n  beamctl restart --all-at-once",
		RunE: func(cmd *cobra.Command, nodes []string) error {
			return a.changeNodes(cmd.Context(), nodes, unlessStale(&stale, (*launcher.Cluster).RestartNodes), atOnce)
		},
	}
	cmd.Flags().BoolVar(&atOnce, "all-at-once", false, "all together: the cluster is down for a moment")
	staleFlag(cmd.Flags(), &stale)
	return cmd
}

func (a *app) addCmd() *cobra.Command {
	var (
		count int
		stale bool
	)
	cmd := &cobra.Command{
		Use:   "add [NODE...]",
		Short: "Add nodes to a running cluster",
		Long: `Add starts further nodes, named as given or numbered on from the last (node4 after node3), and waits until they are ready and
see all others. A node that doesn't get ready is not added.`,
		Example: "  beamctl add\n  beamctl add -n 2\n  beamctl add spare",
		RunE: func(cmd *cobra.Command, nodes []string) error {
			if len(nodes) > 0 && cmd.Flags().Changed("count") {
				return usagef("name the new nodes, or say how many with --count")
			}
			if count < 1 {
				return usagef("--count %d: at least 1", count)
			}
			return a.changeNodes(cmd.Context(), nodes, unlessStale(&stale, func(c *launcher.Cluster, ctx context.Context, cfg launcher.ChangeConfig) error {
				if len(cfg.Nodes) == 0 {
					cfg.Nodes = c.NextNames(count)
				}
				return c.AddNodes(ctx, cfg)
			}), false)
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 1, "how many")
	staleFlag(cmd.Flags(), &stale)
	return cmd
}

func (a *app) removeCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "remove NODE...",
		Short:   "Stop nodes and take them out of the cluster",
		Long:    "Remove stops nodes as stop does, and removes them and their directories, with their logs, from the cluster.",
		Example: "  beamctl remove node4",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("remove needs a node")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, nodes []string) error {
			return a.changeNodes(cmd.Context(), nodes, (*launcher.Cluster).RemoveNodes, false)
		},
	}
}
