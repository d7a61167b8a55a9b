package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
)

// healthFlags say which nodes are examined, how, and how it is told.
type healthFlags struct {
	at         attachment
	attachFrom string
	config     string
	only, skip []string
	failOn     string
	watch      bool
	every      time.Duration
}

// How health can be told, beside as a table: each writes a whole report.
var healthForms = map[string]func(io.Writer, *health.Report, health.Status) error{
	"junit":      healthJUnit,
	"github":     healthGitHub,
	"prometheus": healthPrometheus,
}

func (a *app) healthCmd() *cobra.Command {
	var h healthFlags
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask every node, from inside the cluster, whether all is well",
		Long: `Health connects to every node as a hidden Erlang node and shows a matrix of nodes and checks. Every cell is something
that the node itself has said; below the matrix is everything that is wrong: what was seen, why, and what to do.

` + healthChecksHelp() + `
A cell that could not be asked because of another one's failure is "-", and one that has nothing to check (no mnesia, for example)
is empty. Thresholds and further checks of your own (probes) are under "health:" in beamctl.yaml.

If a cell is FAIL the exit code is 1; with --fail-on warn, also if one is WARN. A node that doesn't answer costs --timeout
(3s), and delays no other.`,
		Example: `  beamctl health
  beamctl health --only reach,memory --skip latency
  beamctl health --watch
  beamctl health -o github --fail-on warn       # annotations and a summary of the step; also: json, junit, prometheus
  beamctl health --attach rabbit@h1,rabbit@h2 --cookie-file /var/lib/rabbitmq/.erlang.cookie
  beamctl health --attach-from rabbit@h1        # and all the nodes that it sees`,
		Args:        noArgs,
		Annotations: map[string]string{annotationOutputs: "table json junit github prometheus"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.health(cmd.Context(), &h) },
	}
	f := cmd.Flags()
	h.at.attachFlag(f)
	attachFromFlag(f, &h.attachFrom)
	h.at.cookieFlag(f)
	f.StringVarP(&h.config, "config", "f", os.Getenv("BEAMCTL_CONFIG"), "file with thresholds and probes (default: the nearest beamctl.yaml; $BEAMCTL_CONFIG)")
	f.StringSliceVar(&h.only, "only", nil, "only these checks or groups of checks")
	f.StringSliceVar(&h.skip, "skip", nil, "not these checks or groups of checks")
	f.StringVar(&h.failOn, "fail-on", "fail", "what makes the exit code 1: fail, or warn also")
	f.BoolVarP(&h.watch, "watch", "w", false, "again and again, until Ctrl-C")
	f.DurationVar(&h.every, "every", 2*time.Second, "with --watch: how often")
	return cmd
}

// healthChecksHelp lists the checks by group.
func healthChecksHelp() string {
	var b strings.Builder
	for _, c := range health.All() {
		fmt.Fprintf(&b, "  %-10s %-14s %s\n", c.Group, c.Name, c.What)
	}
	return b.String()
}

func (a *app) health(parent context.Context, h *healthFlags) error {
	if err := oneOf("fail-on", h.failOn, "fail", "warn"); err != nil {
		return err
	}
	switch {
	case h.watch && h.every < minEvery:
		return usagef("--every %s: at least %s", h.every, minEvery)
	case h.watch && (a.output == "junit" || a.output == "github"):
		return usagef("--watch goes with -o table, json and prometheus: a CI system reads one %s report", a.output)
	case h.attachFrom != "" && len(h.at.nodes) > 0:
		return usagef("--attach names all nodes, --attach-from one that knows them: give one or the other")
	}
	opts, err := a.healthOptions(h)
	if err != nil {
		return err
	}
	perNode := health.DefaultPerNode
	if a.timeout > 0 {
		perNode = a.timeout
	}
	opts.PerNode = perNode
	whole := perNode + time.Second
	if h.watch {
		whole = 0
	}
	a.timeout = 0 // it is for each node
	ctx, cancel := a.context(parent, whole)
	defer cancel()
	n, err := node.Start(node.Config{})
	if err != nil {
		return err
	}
	defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
	if h.watch {
		return a.watchHealth(ctx, n, h, opts)
	}
	report, err := a.examine(ctx, n, h, opts)
	if err != nil {
		return err
	}
	if err := a.tellHealth(a.out, report, h, window{width: a.outWidth()}); err != nil {
		return err
	}
	if a.output == "table" {
		a.say("%s", a.verdict(report))
	}
	if report.Worst == health.Fail || report.Worst == health.Warn && h.failOn == "warn" {
		return errFailed
	}
	return nil
}

// healthOptions are the configuration's, and the checks that the flags name. The configuration is that of the cluster's project; for nodes
// that beamctl did not start that of this directory, if it has one.
func (a *app) healthOptions(h *healthFlags) (health.Options, error) {
	src := launcher.Sources{File: h.config, Env: os.Environ()}
	var opts health.Options
	if h.attachFrom == "" && len(h.at.nodes) == 0 {
		c, err := a.open()
		if err != nil {
			return health.Options{}, err
		}
		src.Dir = c.Dir()
		opts.Log = errorsLogged(c)
		opts.Explain = c.Explain
	}
	cfg, err := launcher.ResolveHealth(src)
	if err != nil {
		return health.Options{}, err
	}
	all := append(health.All(), health.ProbeChecks(cfg.Probes)...)
	opts.Limits = cfg.Limits
	if opts.Checks, err = health.Select(all, h.only, h.skip); err != nil {
		return opts, usageError{err}
	}
	return opts, nil
}

// examine finds out which nodes are meant, and examines them.
func (a *app) examine(ctx context.Context, n *node.Node, h *healthFlags, opts health.Options) (*health.Report, error) {
	var targets []checks.Target
	var err error
	switch {
	case h.attachFrom != "":
		targets, err = h.at.neighbours(ctx, n, h.attachFrom, opts.PerNode)
	case len(h.at.nodes) > 0:
		targets, err = h.at.targets()
	default:
		targets, err = a.explainedTargets(ctx)
	}
	if err != nil {
		return nil, err
	}
	report := health.Run(ctx, n, targets, opts)
	if errors.Is(ctx.Err(), context.Canceled) { // a deadline is no error: the report tells who has not answered
		return nil, context.Cause(ctx)
	}
	for _, row := range report.Rows {
		for i := range row.Cells {
			row.Cells[i].Fix = a.advise(row.Cells[i].Fix)
		}
	}
	return report, nil
}

// tellHealth writes a report in the form that the flags ask for.
func (a *app) tellHealth(w io.Writer, r *health.Report, h *healthFlags, win window) error {
	if form, ok := healthForms[a.output]; ok {
		return form(w, r, health.Status(h.failOn))
	}
	if a.output == "json" {
		return a.json(r)
	}
	return healthTable(w, r, a.color(a.outTTY), win)
}

// verdict says in one line how all is.
func (a *app) verdict(r *health.Report) string {
	counts := r.Count()
	word, color := "healthy", green
	if counts[health.Warn] > 0 {
		word, color = count(counts[health.Warn], "warning", "warnings"), yellow
	}
	if counts[health.Fail] > 0 {
		word, color = fmt.Sprintf("%d failed, %s", counts[health.Fail], count(counts[health.Warn], "warning", "warnings")), red
	}
	return fmt.Sprintf("%s: %s, %s in %.0f ms", paint(a.color(a.errTTY), color, word), count(len(r.Rows), "node", "nodes"),
		count(counts[health.OK]+counts[health.Warn]+counts[health.Fail], "check", "checks"), r.Millis)
}

// watchHealth shows one report after the other: on a terminal each in the place of the one before.
func (a *app) watchHealth(ctx context.Context, n *node.Node, h *healthFlags, opts health.Options) error {
	live := a.outTTY && a.output == "table"
	if live {
		fmt.Fprint(a.out, eraseAll)
	}
	for {
		began := time.Now()
		report, err := a.examine(ctx, n, h, opts)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // which is how one stops looking
		case errors.Is(err, launcher.ErrNotRunning):
			a.say("the cluster has ended")
			return nil
		case err != nil:
			return err
		}
		if err := a.showHealth(report, h, began, live); err != nil {
			return err
		}
		select {
		case <-time.After(max(0, h.every-time.Since(began))):
		case <-ctx.Done():
			return nil
		}
	}
}

// liveHead is how many lines stand above the table of a live view.
const liveHead = 2

// showHealth shows one of several reports: in the place of the one before, if it is live.
func (a *app) showHealth(r *health.Report, h *healthFlags, began time.Time, live bool) error {
	var b bytes.Buffer
	var win window
	switch a.output {
	case "json":
		return a.jsonLine(r)
	case "table":
		if live {
			win.width, win.height = a.outSize()
			win.height = max(1, win.height-liveHead-1) // the last line is the cursor's
		}
		fmt.Fprintf(&b, "%s  %s\n\n", began.Local().Format("15:04:05"), a.verdict(r))
	}
	if err := a.tellHealth(&b, r, h, win); err != nil {
		return err
	}
	if live {
		return a.live(b.String())
	}
	b.WriteByte('\n')
	_, err := a.out.Write(b.Bytes())
	return err
}
