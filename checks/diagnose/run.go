package diagnose

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Options say how deep to look. Zero fields have their defaults.
type Options struct {
	Step   time.Duration // what a rung of the ladder may take: DefaultStep
	Sample time.Duration // how long reductions and traffic are counted: DefaultSample
	Top    int           // how many processes of each kind: DefaultTop
	Logs   []Source
	Dumps  []Source
	Events []Event
	Known  []Finding       // what whoever runs the cluster knows to be wrong
	Since  time.Time       // what logs and events say of the time before does not count
	Health *health.Options // for the matrix; nil: the checks are not made
	Hide   *Redactor       // takes secrets out of what is quoted; nil: only what looks like one
}

// The defaults of Options.
const (
	DefaultStep   = 2 * time.Second        // DNS and a handshake over a bad line take less
	DefaultSample = 500 * time.Millisecond // long enough for a rate, short enough to wait for
	DefaultTop    = 10
)

// surveyTime is what a node has to answer in besides the sample: 200,000 processes take two seconds of a scheduler, which others use as well.
const surveyTime = 10 * time.Second

// Run diagnoses a cluster. It never fails: what cannot be found out is a finding.
func Run(ctx context.Context, n *node.Node, targets []checks.Target, opts Options) *Report {
	start := time.Now()
	opts = opts.withDefaults()
	r := &Report{
		Time: start.UTC(), Findings: append([]Finding{}, opts.Known...), Nodes: make([]NodeReport, len(targets)), Links: []Traffic{}, Parts: [][]string{},
		Dumps: []Dump{}, Events: []Event{},
	}
	r.recall(opts.Events)
	surveys := make([]*survey, len(targets))
	found := make([]*checks.Finding, len(targets))
	targets = hideFates(targets, opts.Hide)
	var wg sync.WaitGroup
	wg.Go(func() { r.Logs = r.scanLogs(opts.Logs, opts.Since, opts.Hide) })
	wg.Go(func() {
		for _, d := range opts.Dumps {
			r.Dumps = append(r.Dumps, readDump(d, opts.Hide))
		}
	})
	if opts.Health != nil { // first: what follows would show in what it measures
		r.Health = health.Run(ctx, n, targets, *opts.Health)
	}
	for i, t := range targets {
		wg.Go(func() { surveys[i], found[i] = r.Nodes[i].examine(ctx, n, t, opts) })
	}
	wg.Wait()
	r.witnesses(ctx, n, surveys, opts.Step)
	for i, f := range found {
		if f != nil {
			r.Nodes[i].testify(f)
			r.add(AreaReach, Fail, targets[i].Name, f)
		}
	}
	r.mesh(targets, surveys)
	r.traffic(surveys)
	r.mailboxes(surveys)
	r.matrix(opts.Hide)
	r.events(opts.Events, opts.Since, opts.Hide)
	r.dumps()
	r.logs()
	r.order()
	r.Millis = float64(time.Since(start).Microseconds()) / 1000
	return r
}

// hideFates takes the secrets out of what is known of nodes' ends, in which there may be their last words.
func hideFates(targets []checks.Target, hide *Redactor) []checks.Target {
	targets = slices.Clone(targets)
	for i, t := range targets {
		if t.Down != nil {
			down := *t.Down
			down.Saw, down.Cause = hide.Text(down.Saw), hide.Text(down.Cause)
			targets[i].Down = &down
		}
	}
	return targets
}

func (o Options) withDefaults() Options {
	if o.Step == 0 {
		o.Step = DefaultStep
	}
	if o.Sample == 0 {
		o.Sample = DefaultSample
	}
	if o.Top == 0 {
		o.Top = DefaultTop
	}
	if o.Hide == nil {
		o.Hide = NewRedactor()
	}
	return o
}

// examine climbs to a node and, from the top, looks around. The survey is nil if the node cannot be reached.
func (nr *NodeReport) examine(ctx context.Context, n *node.Node, t checks.Target, opts Options) (*survey, *checks.Finding) {
	nr.Node, nr.Sees = t.Name, []string{}
	var f *checks.Finding
	nr.Ladder, f = climb(ctx, n, t, opts.Step)
	nr.Reached = nr.Ladder[len(nr.Ladder)-2].Status == RungOK // applications are not needed for calls
	if !nr.Reached {
		if t.Down != nil {
			nr.Down = t.Down.Saw
		}
		return nil, f
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Sample+max(surveyTime, opts.Step))
	defer cancel()
	s, err := ask(ctx, n, t, opts.Top, opts.Sample)
	if err != nil {
		if f == nil {
			f = &checks.Finding{
				What: t.Name + " answers, and cannot say what its processes do", Saw: err.Error(),
				Cause: "its erl_eval is not there, or the node is overloaded", Fix: "look at its log and run queue", Err: err,
			}
		}
		return nil, f
	}
	nr.Release, nr.TickTime, nr.Sees, nr.Top = s.release, etf.Format(s.ticktime), s.visible, &s.top
	nr.Overlap = s.overlapping()
	return s, f
}

// overlapping tells what prevent_overlapping_partitions is: since OTP 25 true unless it is set, before there is none.
func (s *survey) overlapping() string {
	if set, ok := s.overlap.(etf.Tuple); ok && len(set) == 2 {
		return etf.Format(set[1])
	}
	if s.release < "25" {
		return ""
	}
	return "true"
}

// mailboxLimit is from which length on an unread mailbox is a finding, unless it has become shorter during the sample: a process that keeps
// up with its messages has a handful.
const mailboxLimit = 1000

// mailboxes finds processes that do not read their messages.
func (r *Report) mailboxes(surveys []*survey) {
	for i, s := range surveys {
		if s == nil {
			continue
		}
		for _, p := range s.top.Mailbox {
			if p.Mailbox < mailboxLimit || p.Mailbox < p.Before {
				continue
			}
			r.add(AreaProcess, Fail, r.Nodes[i].Node, &checks.Finding{
				What:  fmt.Sprintf("%s: %s does not read its messages", r.Nodes[i].Node, p.Who()),
				Saw:   fmt.Sprintf("%d messages in its mailbox, %d at the beginning of the sample; it is in %s", p.Mailbox, p.Before, p.Current),
				Cause: "it waits for something else, is slower than those who send to it, or receives selectively from a long mailbox",
				Fix:   fmt.Sprintf("look at it: erlang:process_info(%s, [current_stacktrace, messages]); limit those who send", p.handle()),
			})
		}
	}
}

// Who names the process for people: by its registered name, its initial call or its pid.
func (p *Process) Who() string {
	switch {
	case p.Name != "":
		return p.Name
	case p.Initial != "":
		return p.Initial + " " + p.Pid
	}
	return p.Pid
}

func (p *Process) handle() string {
	if p.Name != "" {
		return "whereis(" + etf.Format(etf.Atom(p.Name)) + ")"
	}
	return "list_to_pid(\"" + p.Pid + "\")"
}
