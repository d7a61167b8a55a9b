package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// statusTimeout leaves the supervisor the time that a node may take.
const statusTimeout = 5 * time.Second

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the nodes of a cluster as they are found to be now",
		Long: `Status looks at every node: is its process alive, is it registered with EPMD, does it answer, since when is it up,
which OTP release is it, how many nodes does it see, does the application run. A "!" marks an application that doesn't.`,
		Example: "  beamctl status\n  beamctl status --cluster five -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.context(cmd.Context(), statusTimeout)
			defer cancel()
			c, err := a.open()
			if err != nil {
				return err
			}
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(st)
			}
			a.say("cluster %s: %s for %s, EPMD %s, %s", paint(a.color(a.errTTY), bold, st.Cluster), st.State,
				ago(time.Since(st.Since)), st.EPMD, st.StateDir)
			return a.nodeTable(st)
		},
	}
}

// listed is one line of list.
type listed struct {
	Cluster  string         `json:"cluster"`
	ID       string         `json:"id"`
	State    launcher.State `json:"state"`
	Nodes    int            `json:"nodes"`
	Since    time.Time      `json:"since"`
	Dir      string         `json:"dir"`
	StateDir string         `json:"state_dir"`
}

func (a *app) listCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all of your clusters, wherever they were started",
		Long: `List shows all clusters of this user: starting, ready, dead (the supervisor was killed), failed or stopped with
--keep. All but the first two are only files, which "beamctl clean" removes.`,
		Example: "  beamctl list\n  beamctl list -o json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			out := []listed{}
			var rows [][]string
			for _, c := range launcher.All() {
				r := c.Record()
				out = append(out, listed{c.Name(), r.ID, r.State, len(r.Spec.Nodes), r.Since, c.Dir(), c.StateDir()})
				rows = append(rows, []string{c.Name(), string(r.State), fmt.Sprint(len(r.Spec.Nodes)), ago(time.Since(r.Since)), c.Dir()})
			}
			if a.output == "json" {
				return a.json(out)
			}
			if len(rows) == 0 {
				a.say("no clusters")
				return nil
			}
			return table(a.out, []string{"CLUSTER", "STATE", "NODES", "AGE", "DIRECTORY"}, rows)
		},
	}
}
