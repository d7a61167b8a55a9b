package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

func (a *app) logsCmd() *cobra.Command {
	var (
		cfg   launcher.LogConfig
		since string
		grep  string
		times bool
	)
	cmd := &cobra.Command{
		Use:   "logs [NODE...]",
		Short: "Show what the nodes print",
		Long: `Logs shows the console output of the nodes, merged in the order of time, each line with its node's name in front. It works as
well for a cluster that could not start, until that is cleaned or started again.

A log is rotated when it has 8 MiB; the one before it is kept. With -o json each line is one JSON value.`,
		Example: `  beamctl logs -n 20
  beamctl logs -f node2
  beamctl logs --since 5m --grep 'error|crash'`,
		RunE: func(cmd *cobra.Command, nodes []string) error {
			var err error
			if cfg.Since, err = parseSince(since); err != nil {
				return err
			}
			if grep != "" {
				if cfg.Grep, err = regexp.Compile(grep); err != nil {
					return usagef("--grep: %w", err)
				}
			}
			if cfg.Last < 0 {
				return usagef("--lines %d: at least 1, or 0 for all", cfg.Last)
			}
			cfg.Nodes = nodes
			ctx, cancel := a.context(cmd.Context(), 0)
			defer cancel()
			c, err := launcher.Find(a.where())
			if err != nil {
				return err
			}
			lines := 0
			show := a.logPrinter(c, a.out, a.color(a.outTTY))
			switch {
			case a.output == "json":
				show = func(l launcher.LogLine) error { return a.jsonLine(l) }
			case times:
				plain := show
				show = func(l launcher.LogLine) error {
					l.Text = l.Time.Local().Format("15:04:05.000 ") + l.Text
					return plain(l)
				}
			}
			err = c.Logs(ctx, cfg, func(l launcher.LogLine) error {
				lines++
				return show(l)
			})
			if err == nil && lines == 0 && !cfg.Follow && a.output != "json" {
				a.say("%s", noLines(c, cfg))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&cfg.Follow, "follow", "f", false, "go on until Ctrl-C or the end of the cluster")
	f.IntVarP(&cfg.Last, "lines", "n", 0, "only the last lines of each node (default: all)")
	f.StringVar(&since, "since", "", "only lines since a time (2006-01-02T15:04:05Z) or for so long (5m)")
	f.StringVar(&grep, "grep", "", "only lines that match a regular expression")
	f.BoolVarP(&times, "times", "t", false, "show when each line was printed")
	return cmd
}

// noLines says why there is nothing to show of logs.
func noLines(c *launcher.Cluster, cfg launcher.LogConfig) string {
	switch build := c.BuildLog(); {
	case c.Record().State == launcher.Failed && build != "":
		return "no node was started; what the build said: " + build
	case cfg.Grep != nil || !cfg.Since.IsZero():
		return "no line matches"
	case c.Record().State == launcher.Ready || c.Record().State == launcher.Starting:
		return "no output yet"
	}
	return "there was no output"
}

// parseSince reads a duration before now, or a time.
func parseSince(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usagef("--since %q is neither a duration (5m) nor a time (2006-01-02T15:04:05Z)", s)
	}
	return t, nil
}

// logPrinter writes lines to w, each with its node in front, in the node's colour.
func (a *app) logPrinter(c *launcher.Cluster, w io.Writer, colored bool) func(launcher.LogLine) error {
	nodes := c.Record().Spec.Nodes
	width := 0
	for _, n := range nodes {
		width = max(width, len(n.Short()))
	}
	return func(l launcher.LogLine) error {
		i := slices.IndexFunc(nodes, func(n launcher.NodeSpec) bool { return n.Short() == l.Node })
		_, err := fmt.Fprintf(w, "%s %s\n", paint(colored, nodeColor(i), fmt.Sprintf("%-*s |", width, l.Node)), l.Text)
		return err
	}
}

// nodeColor returns the colour of the i-th node.
func nodeColor(i int) color { return nodeColors[max(i, 0)%len(nodeColors)] }

func (a *app) eventsCmd() *cobra.Command {
	var (
		cfg   launcher.EventConfig
		since string
	)
	cmd := &cobra.Command{
		Use:   "events [NODE...]",
		Short: "Show what has happened to the nodes",
		Long: `Events shows when nodes were started, registered with EPMD, connected, became ready, crashed (and why), and were stopped; what
a sync has changed on them, and why it failed if it did.
With -o json each event is one JSON value.`,
		Example: "  beamctl events\n  beamctl events -f -o json\n  beamctl events --since 1h node2",
		RunE: func(cmd *cobra.Command, nodes []string) error {
			var err error
			if cfg.Since, err = parseSince(since); err != nil {
				return err
			}
			cfg.Nodes = nodes
			ctx, cancel := a.context(cmd.Context(), 0)
			defer cancel()
			c, err := launcher.Find(a.where())
			if err != nil {
				return err
			}
			return c.Events(ctx, cfg, a.eventPrinter(c))
		},
	}
	cmd.Flags().BoolVarP(&cfg.Follow, "follow", "f", false, "go on until Ctrl-C or the end of the cluster")
	cmd.Flags().StringVar(&since, "since", "", "only events since a time (2006-01-02T15:04:05Z) or for so long (5m)")
	return cmd
}

// eventPrinter writes events to stdout.
func (a *app) eventPrinter(c *launcher.Cluster) func(launcher.Event) error {
	if a.output == "json" {
		return func(e launcher.Event) error { return a.jsonLine(e) }
	}
	nodes := c.Record().Spec.Nodes
	var full []string
	for _, n := range nodes {
		full = append(full, n.Name)
	}
	window := a.outWidth()
	shown := func(name string) string { return name }
	if window > 0 && window < fullNames {
		short := shortNames(full)
		shown = func(name string) string {
			alive, _, _ := strings.Cut(name, "@") // of one that was removed
			return cmp.Or(short[name], alive)
		}
	}
	width := 0
	for _, name := range full {
		width = max(width, len(shown(name)))
	}
	colored := a.color(a.outTTY)
	return func(e launcher.Event) error {
		i := slices.Index(full, e.Node)
		node := fmt.Sprintf("%-*s", width, shown(e.Node))
		if i >= 0 {
			node = paint(colored, nodeColor(i), node)
		}
		line := strings.TrimRight(fmt.Sprintf("%s  %s  %s", e.Time.Local().Format("15:04:05.000"), node, stageText(e, colored)), " ")
		_, err := fmt.Fprintln(a.out, wrap(line, window))
		return err
	}
}

// fullNames is the width of a window in which events have room for nodes' full names.
const fullNames = 80

// jsonLine writes one of a stream of JSON values, which takes one line.
func (a *app) jsonLine(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
