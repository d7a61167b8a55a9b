package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/diagnose"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
)

// diagnosis is what is to be diagnosed, and how.
type diagnosis struct {
	at     attachment
	from   string // of which nodes to attach: those that this one sees
	logs   []string
	dumps  []string
	since  string
	bundle string
	opts   diagnose.Options

	targets []checks.Target
	files   []diagnose.File // for the bundle, besides what is found out
	secrets []string
}

func (a *app) diagnoseCmd() *cobra.Command {
	var p diagnosis
	cmd := &cobra.Command{
		Use:   "diagnose",
		Short: "Find out what is wrong, and collect it for a bug report",
		Long: `Diagnose goes up the ladder to every node and says on which rung it breaks, and what was seen there:

  resolve     the host of its name has an address
  epmd        the EPMD there answers, and which names it knows
  name        the node's name is registered
  tcp         its distribution port accepts a connection
  handshake   what listens there is the node of that name
  cookie      both sides have the same
  flags       the node can do what is needed
  net_kernel  it answers a ping
  apps        its applications run

Of the nodes that it reaches it tells which processes cost most (memory, reductions over a sample, unread messages), which pairs
of nodes do not see each other and why, and which links are busy. In logs (of OTP, Elixir, lager, RabbitMQ) it groups and counts what
they complain of; of crash dumps it tells the slogan and what was large. And it makes all the checks of health, and tells what they
found unless it has told that already. Nothing is loaded on a node.

What is wrong now is told first, then what may become worse, then what was recovered from: a crash after which the node was started again. What
follows from restarts and guests is left out.

The nodes are those of the cluster, with its logs, crash dumps and events; or those of --attach. With --log and --dump alone it only reads these
files. The exit code is 0 if nothing was found that is wrong now, else 1. --timeout is what one rung may take (2s).`,
		Example: `  beamctl diagnose
  beamctl diagnose -o html > report.html
  beamctl diagnose --bundle incident.tar.gz
  beamctl diagnose --attach rabbit@h1,rabbit@h2 --cookie-file /var/lib/rabbitmq/.erlang.cookie
  beamctl diagnose --attach-from rabbit@h1      # and all the nodes that it sees
  beamctl diagnose --attach ejabberd@h1=10.0.0.5:25672 --log /var/log/ejabberd/ejabberd.log --since 1h
  beamctl diagnose --dump erl_crash.dump`,
		Args:        noArgs,
		Annotations: map[string]string{annotationOutputs: "table json html"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.opts.Step, a.timeout = a.timeout, 0 // it is not for the whole
			ctx, cancel := a.context(cmd.Context(), 0)
			defer cancel()
			n, err := node.Start(node.Config{})
			if err != nil {
				return err
			}
			defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
			if err := p.prepare(ctx, a, n); err != nil {
				return err
			}
			return a.diagnose(ctx, n, &p)
		},
	}
	p.at.attachFlag(cmd.Flags())
	attachFromFlag(cmd.Flags(), &p.from)
	p.at.cookieFlag(cmd.Flags())
	f := cmd.Flags()
	f.StringArrayVar(&p.logs, "log", nil, "a log to read, of nodes that beamctl did not start; may be given again")
	f.StringArrayVar(&p.dumps, "dump", nil, "a crash dump to read; may be given again")
	f.StringVar(&p.since, "since", "", "only what logs and events say since a time (2006-01-02T15:04:05Z) or for so long (5m)")
	f.DurationVar(&p.opts.Sample, "sample", diagnose.DefaultSample, "how long reductions and traffic are counted")
	f.IntVar(&p.opts.Top, "top", diagnose.DefaultTop, "how many processes of each kind are told of each node")
	f.StringVar(&p.bundle, "bundle", "", "write all of it, with logs, crash dumps and configuration but without secrets, into this file (.tar.gz)")
	return cmd
}

// limits of what can be asked for.
const (
	maxTop    = 1000        // what a node has to tell of each process is some hundred bytes
	maxSample = time.Minute // longer ones say nothing else
)

// prepare finds out what the flags mean.
func (p *diagnosis) prepare(ctx context.Context, a *app, n *node.Node) error {
	var err error
	if p.opts.Since, err = parseSince(p.since); err != nil {
		return err
	}
	if p.opts.Top < 1 || p.opts.Top > maxTop {
		return usagef("--top %d: 1 to %d", p.opts.Top, maxTop)
	}
	if p.opts.Sample < time.Millisecond || p.opts.Sample > maxSample {
		return usagef("--sample %v: 1ms to %v", p.opts.Sample, maxSample)
	}
	switch {
	case p.from != "" && len(p.at.nodes) > 0:
		return usagef("--attach names all nodes, --attach-from one that knows them: give one or the other")
	case p.from != "":
		p.targets, err = p.at.neighbours(ctx, n, p.from, cmp.Or(p.opts.Step, diagnose.DefaultStep))
	case len(p.at.nodes) > 0:
		p.targets, err = p.at.targets()
	case len(p.logs)+len(p.dumps) == 0:
		err = p.cluster(ctx, a)
	}
	if err == nil && len(p.targets) > 0 {
		p.health(a)
	}
	if err != nil {
		return err
	}
	for i, path := range p.logs {
		p.log("", fmt.Sprintf("logs/%d-%s", i+1, filepath.Base(path)), path) // two may be called the same
	}
	for i, path := range p.dumps {
		p.dump("", fmt.Sprintf("dumps/%d-%s", i+1, filepath.Base(path)), path)
	}
	for _, t := range p.targets {
		p.secrets = append(p.secrets, t.Cookie.Secret())
	}
	for _, kv := range os.Environ() { // nodes may have inherited it
		if name, value, _ := strings.Cut(kv, "="); checks.SecretName(name) && len(value) >= minInherited {
			p.secrets = append(p.secrets, value)
		}
	}
	p.opts.Hide = diagnose.NewRedactor(p.secrets...)
	return nil
}

// minInherited is the least length of a variable's value, in the environment of everything, for it to be taken for a secret; shorter ones are words.
const minInherited = 8

// errNoFile is what a directory is, and a pipe: to open one may take for ever, and it can be read once.
var errNoFile = errors.New("is no regular file")

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		if st, err := os.Stat(path); err != nil {
			return nil, err
		} else if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s %w", path, errNoFile)
		}
		return os.Open(path)
	}
}

func (p *diagnosis) log(node, name, path string) {
	p.opts.Logs = append(p.opts.Logs, diagnose.Source{Node: node, Name: name, Open: opener(path)})
	p.files = append(p.files, diagnose.File{Name: name, Form: diagnose.Text, Open: opener(path)})
}

func (p *diagnosis) dump(node, name, path string) {
	p.opts.Dumps = append(p.opts.Dumps, diagnose.Source{Node: node, Name: name, Open: opener(path)})
	p.files = append(p.files, diagnose.File{Name: name, Form: diagnose.DumpOf, Open: opener(path)})
}

// cluster takes all that there is of the cluster that the flags mean, whether it runs or not.
func (p *diagnosis) cluster(ctx context.Context, a *app) error {
	c, err := launcher.Find(a.where())
	if err != nil {
		return err
	}
	r := c.Record()
	switch r.State {
	case launcher.Ready, launcher.Starting:
		if p.targets, err = c.Targets(); err != nil {
			return err
		}
		c.Explain(ctx, p.targets)
	case launcher.Skewed: // its nodes are not known
		_, err = launcher.Open(a.where())
		return err
	case launcher.Dead, launcher.Failed, launcher.Stopped: // there are no nodes to ask
	}
	p.opts.Known = stateFindings(&r)
	for _, f := range c.Files() {
		switch f.Kind {
		case launcher.FileLog:
			p.log(f.Node, f.Name, f.Path)
		case launcher.FileDump:
			p.dump(f.Node, f.Name, f.Path)
		case launcher.FileEvents, launcher.FileOutput, launcher.FileRecord:
			p.files = append(p.files, diagnose.File{Name: f.Name, Form: diagnose.Text, Open: opener(f.Path)})
		}
	}
	if config := filepath.Join(c.Dir(), launcher.ConfigName); exists(config) {
		p.files = append(p.files, diagnose.File{Name: launcher.ConfigName, Form: diagnose.Text, Open: opener(config)})
	}
	p.secrets = c.Secrets()
	return c.Events(ctx, launcher.EventConfig{}, func(e launcher.Event) error {
		p.opts.Events = append(p.opts.Events, diagnose.Event{
			Time: e.Time, Node: e.Node, What: string(e.Stage), Detail: e.Detail, Cause: e.Cause, Bad: e.Stage == launcher.StageCrashed, Change: changes[e.Stage],
		})
		return nil
	})
}

// changes are the stages at which a node comes or goes.
var changes = map[launcher.Stage]diagnose.Change{
	launcher.StageStarted: diagnose.Started, launcher.StageReady: diagnose.Ready,
	launcher.StageLeft: diagnose.Left, launcher.StageExited: diagnose.Left, launcher.StageCrashed: diagnose.Left, launcher.StageStopped: diagnose.Left,
}

// health has the checks of health made, too. A configuration that cannot be read may be what is wrong: then they are made without it.
func (p *diagnosis) health(a *app) {
	opts, err := a.healthOptions(&healthFlags{at: p.at, attachFrom: p.from, config: os.Getenv("BEAMCTL_CONFIG")})
	if err != nil && !errors.Is(err, launcher.ErrNotRunning) {
		p.opts.Known = append(p.opts.Known, diagnose.Finding{Area: diagnose.AreaHealth, Level: diagnose.Warn, Finding: checks.Finding{
			What: "the configuration of health cannot be used", Saw: err.Error(), Cause: "its limits and probes are not known", Fix: "beamctl health says the same; correct the file", Err: err,
		}})
		opts = health.Options{}
	}
	opts.Log = nil // the logs are read whole
	opts.PerNode = p.opts.Step
	p.opts.Health = &opts
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stateFindings says what is wrong with the cluster as a whole.
func stateFindings(r *launcher.Record) []diagnose.Finding {
	f := checks.Finding{What: fmt.Sprintf("cluster %s does not run", r.Spec.Cluster), Saw: r.Failure, Cause: "it could not start, or was ended", Fix: "start it again; what it has left is read here"}
	switch r.State {
	case launcher.Ready, launcher.Starting, launcher.Skewed:
		return nil
	case launcher.Stopped:
		f.Saw, f.Cause = "it was stopped, and its files were kept", "somebody has stopped it"
	case launcher.Dead:
		f.Saw = "its supervisor is gone, and its EPMD with it"
		f.Cause, f.Fix = cmp.Or(r.Failure, "the supervisor was killed"), "clear away what it left: beamctl stop, or beamctl clean"
	case launcher.Failed:
	}
	return []diagnose.Finding{{Area: diagnose.AreaCluster, Level: diagnose.Fail, Finding: f}}
}

// diagnose finds out what is wrong, shows it, and bundles it.
func (a *app) diagnose(ctx context.Context, n *node.Node, p *diagnosis) error {
	r := diagnose.Run(ctx, n, p.targets, p.opts)
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for i := range r.Findings {
		r.Findings[i].Fix = a.advise(r.Findings[i].Fix)
	}
	var err error
	switch a.output {
	case "json":
		err = a.json(r)
	case "html":
		err = r.HTML(a.out)
	default:
		err = a.showDiagnosis(r)
	}
	if err == nil && p.bundle != "" {
		err = a.writeBundle(p, r)
	}
	if err == nil && !r.OK {
		err = errFailed
	}
	return err
}

// writeBundle writes the archive, which appears under its name when it is complete.
func (a *app) writeBundle(p *diagnosis, r *diagnose.Report) error {
	matrix, err := json.MarshalIndent(r.Health, "", "  ")
	if err != nil {
		return err
	}
	report, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var page strings.Builder
	if err := r.HTML(&page); err != nil {
		return err
	}
	files := append([]diagnose.File{
		diagnose.Bytes("report.json", report), diagnose.Bytes("report.html", []byte(page.String())), diagnose.Bytes("matrix.json", matrix),
	}, p.files...)
	out, err := os.CreateTemp(filepath.Dir(p.bundle), ".beamctl-bundle-*") // mode 0600
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(p.bundle), ".gz"), ".tar")
	err = errors.Join(diagnose.Bundle(out, name, files, p.opts.Hide, r.Time), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), p.bundle)
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return err
	}
	a.say("wrote %s: please look through it before you publish it", p.bundle)
	return nil
}
