package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// statusTimeout leaves the supervisor the time that a node may take.
const statusTimeout = 10 * time.Second

func (a *app) statusCmd() *cobra.Command {
	var (
		watch bool
		every time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the nodes of a cluster as they are found to be now",
		Long: `Status looks at every node: is its process alive, is it registered with EPMD, does it answer, since when is it up,
which OTP release is it, how much memory and time does its process take, how many nodes does it see, does the application run. A "!"
marks an application that doesn't. DRIFT is how many modules it runs in another version than the disk has ("beamctl sync" brings it up to
date; -o json names them). Of nodes that are down it shows how they ended.

With -w it goes on until Ctrl-C or the end of the cluster: a live view on a terminal, one snapshot after the other elsewhere. CPU is then how
much of one a node has taken since the last look.`,
		Example: "  beamctl status\n  beamctl status -w\n  beamctl status --cluster five -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watchStatus(cmd.Context(), every)
			}
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
			a.say("%s", a.headline(st))
			return a.showNodes(a.out, st, nil)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on looking")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often -w looks")
	return cmd
}

func (a *app) headline(st *launcher.Status) string {
	up := 0
	for _, n := range st.Nodes {
		if n.State == launcher.NodeUp {
			up++
		}
	}
	down := ""
	if up < len(st.Nodes) {
		down = paint(a.color(a.errTTY), red, fmt.Sprintf(", %d of %d nodes up", up, len(st.Nodes)))
	}
	return fmt.Sprintf("cluster %s: %s for %s%s, EPMD %s, %s", paint(a.color(a.errTTY), bold, st.Cluster), st.State,
		ago(time.Since(st.Since)), down, st.EPMD, st.StateDir)
}

// showNodes shows a status as a table, and below it what is wrong.
func (a *app) showNodes(w io.Writer, st, before *launcher.Status) error {
	if err := a.statusTable(w, st, before); err != nil {
		return err
	}
	_, err := io.WriteString(w, a.troubleText(st))
	return err
}

// watchStatus shows one status after the other.
func (a *app) watchStatus(parent context.Context, every time.Duration) error {
	if every < minEvery {
		return usagef("--every %s: at least %s", every, minEvery)
	}
	ctx, cancel := a.context(parent, 0)
	defer cancel()
	c, err := a.open()
	if err != nil {
		return err
	}
	if a.outTTY && a.output != "json" {
		fmt.Fprint(a.out, eraseAll)
	}
	var before *launcher.Status
	for {
		one, cancel := context.WithTimeout(ctx, statusTimeout)
		st, err := c.Status(one)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil // which is how one stops looking
		case errors.Is(err, launcher.ErrNotRunning):
			a.say("the cluster has ended")
			return nil
		case errors.Is(err, launcher.ErrNoAnswer): // it may, at the next look
			a.say("%s", err)
			st, err = before, nil
		case err != nil:
			return err
		case a.output == "json":
			err = a.jsonLine(st)
		default:
			err = a.snapshot(st, before)
		}
		if err != nil {
			return err
		}
		before = st
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil
		}
	}
}

// minEvery keeps the looking from being the load that is looked at.
const minEvery = 100 * time.Millisecond

// snapshot shows a status: in the place of the last one, on a terminal.
func (a *app) snapshot(st, before *launcher.Status) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s\n", st.Time.Local().Format("15:04:05"), a.headline(st))
	if a.outTTY {
		st = a.fitting(st)
	}
	if err := a.showNodes(&b, st, before); err != nil {
		return err
	}
	if a.outTTY {
		return a.live(b.String())
	}
	b.WriteByte('\n')
	_, err := a.out.Write(b.Bytes())
	return err
}

// fitting returns a status with the nodes that are not up first if the terminal is too low for all.
func (a *app) fitting(st *launcher.Status) *launcher.Status {
	const around = 3 // the headline, the table's, and the cursor's line
	if _, height := a.outSize(); len(st.Nodes)+around <= height {
		return st
	}
	sorted := *st
	sorted.Nodes = slices.Clone(st.Nodes)
	slices.SortStableFunc(sorted.Nodes, func(a, b launcher.NodeStatus) int { return rankState(a.State) - rankState(b.State) })
	return &sorted
}

func rankState(state string) int {
	if state == launcher.NodeUp {
		return 1
	}
	return 0
}

// listed is one line of list.
type listed struct {
	Cluster  string         `json:"cluster"`
	ID       string         `json:"id"`
	State    launcher.State `json:"state"`
	Nodes    int            `json:"nodes"`
	Down     int            `json:"down"` // how many of them are not up, of a cluster that is ready
	Since    time.Time      `json:"since"`
	Dir      string         `json:"dir"`
	StateDir string         `json:"state_dir"`
}

func (a *app) listCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all of your clusters, wherever they were started",
		Long: `List shows all clusters of this user: starting, ready, skewed (another version of beamctl has started it), dead (its
supervisor or guardian was killed), failed, or stopped with --keep. Of a ready one it says how many nodes are up, unless all are.
All but the first three are only files, which "beamctl clean" removes.`,
		Example: "  beamctl list\n  beamctl list -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := []listed{}
			var rows [][]string
			clusters := launcher.All()
			downs := make([]int, len(clusters))
			var wg sync.WaitGroup
			for i, c := range clusters {
				if c.Record().State == launcher.Ready {
					wg.Go(func() { downs[i] = len(c.Fates(cmd.Context())) })
				}
			}
			wg.Wait()
			for i, c := range clusters {
				r, down := c.Record(), downs[i]
				nodes := len(r.Spec.Nodes)
				out = append(out, listed{c.Name(), r.ID, r.State, nodes, down, r.Since, c.Dir(), c.StateDir()})
				up := fmt.Sprint(nodes)
				if down > 0 {
					up = paint(a.color(a.outTTY), red, fmt.Sprintf("%d of %d up", nodes-down, nodes))
				}
				rows = append(rows, []string{c.Name(), string(r.State), up, ago(time.Since(r.Since)), c.Dir()})
			}
			if a.output == "json" {
				return a.json(out)
			}
			if len(rows) == 0 {
				a.say("no clusters")
				return nil
			}
			return table(a.out, 0, []string{"CLUSTER", "STATE", "NODES", "AGE", "DIRECTORY"}, rows)
		},
	}
}
