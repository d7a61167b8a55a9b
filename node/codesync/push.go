package codesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

const (
	// finishTime is how long nodes may take to do what they have promised: it is no longer in anybody's power to stop
	// it. Loading 1,000 modules that are prepared takes 0.3 s.
	finishTime = 30 * time.Second
	// abortTime is how long a node may take to give up: it may be at work on the last step.
	abortTime = 10 * time.Second
	// waitTick is how soon Wait looks again at first, maxWaitTick in the end: each look asks every process of the node.
	waitTick    = 50 * time.Millisecond
	maxWaitTick = time.Second
	// lookTime is how long it may take to find out for whom was waited in vain.
	lookTime = 5 * time.Second
	// maxLingering is how many processes with old code are described on a node: nobody reads more, and a pool may have
	// 100,000.
	maxLingering = 100
)

// Push makes the nodes of a plan run its code, all of them or none. See the package's documentation for what that means
// when nodes, the network or this program fail.
//
// The report is there also when there is an error, and says what each node runs. Before the decision an error has
// changed nothing: ErrRefused, ErrLingering, ErrStale, ErrPushing, ErrBusy, the end of ctx, a node that cannot be
// reached. After it, which ctx no longer stops: ErrLost, ErrRolledBack, ErrMixed, ErrIncomplete.
func Push(ctx context.Context, n *node.Node, plan *Plan) (*Report, error) {
	began := time.Now()
	p := &push{plan: plan, report: &Report{}}
	var refused []error
	for _, np := range plan.Nodes {
		t := &target{push: p, remote: remote{n, np.Node}, plan: np, report: &NodeReport{
			Node: np.Node, State: Old, Same: np.Same + np.OnDisk, Refused: np.Refuse,
		}}
		p.report.Nodes = append(p.report.Nodes, t.report)
		if len(np.Refuse) > 0 && !plan.options.LeaveOut {
			refused = append(refused, t.fail(&RefusedError{np.Node, np.Refuse}))
		}
		if len(np.Push)+len(np.Delete) > 0 {
			p.targets = append(p.targets, t)
		} else {
			t.report.State = New
		}
	}
	if len(refused) > 0 {
		return p.report, joined(refused)
	}
	err := p.run(ctx)
	took := &p.report.Took
	for _, nr := range p.report.Nodes {
		nr.Took.Total = nr.Took.Stage + nr.Took.Gate + nr.Took.Commit
		took.Stage, took.Gate, took.Commit = max(took.Stage, nr.Took.Stage), max(took.Gate, nr.Took.Gate), max(took.Commit, nr.Took.Commit)
	}
	took.Total = since(began)
	return p.report, err
}

// push is one under way.
type push struct {
	plan    *Plan
	report  *Report
	targets []*target
}

// target is a node that something is to be changed on.
type target struct {
	*push
	remote
	plan   *NodePlan
	report *NodeReport

	p      *node.Process // ours for this node
	us     etf.Pid       // its pid there
	stager etf.Pid
	ended  bool     // the stager has
	final  etf.Atom // a module that the node could not restore
	doomed []Lingering
}

func (t *target) fail(err error) error {
	if err != nil && t.report.Error == "" {
		t.report.Error = err.Error()
	}
	return err
}

func (t *target) at(p Phase) {
	if f := t.push.plan.options.Progress; f != nil {
		f(Event{t.name, p})
	}
}

// errOther ends a step on a node because it has failed on another.
var errOther = errors.New("it has failed on another node")

// all runs a step on all targets at once. An error ends it for the others, unless it is one of which it is good to know
// all.
func (p *push) all(ctx context.Context, step func(context.Context, *target) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return each(p.targets, func(_ int, t *target) error {
		err := step(ctx, t)
		if errors.Is(err, errOther) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrLingering) {
			cancel(errOther)
		}
		return t.fail(err)
	})
}

func (p *push) run(ctx context.Context) error {
	defer func() {
		for _, t := range p.targets {
			if t.p != nil {
				t.p.Exit(etf.Atom("shutdown"))
			}
		}
	}()
	if err := p.decide(ctx); err != nil {
		p.abort(ctx)
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	return p.finish(ctx)
}

// decide is everything before the decision.
func (p *push) decide(ctx context.Context) error {
	for _, step := range []func(context.Context, *target) error{
		timed(stageTook, start), timed(stageTook, stage), timed(gateTook, gate), timed(commitTook, prepare), timed(gateTook, doom), alive,
	} {
		if err := p.all(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// timed adds what a step takes on a node to what its report says of that phase.
func timed(phase func(*Took) *float64, step func(context.Context, *target) error) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		began := time.Now()
		defer func() { *phase(&t.report.Took) += since(began) }()
		return step(ctx, t)
	}
}

func stageTook(t *Took) *float64  { return &t.Stage }
func gateTook(t *Took) *float64   { return &t.Gate }
func commitTook(t *Took) *float64 { return &t.Commit }

// abort ends all stagers and waits until they have, so that nothing is left when Push returns.
func (p *push) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_ = each(p.targets, func(_ int, t *target) error {
		if t.stager == (etf.Pid{}) {
			return nil
		}
		err := t.look(ctx)
		if err != nil {
			return err // it has ended
		}
		err = t.send(ctx, etf.Atom("abort"))
		for err == nil && !t.ended {
			_, err = t.receive(ctx)
		}
		return err
	})
}

// finish is everything after the decision.
func (p *push) finish(ctx context.Context) error {
	var failed, lost []error
	errs := make([]error, len(p.targets))
	_ = each(p.targets, func(i int, t *target) error {
		errs[i] = timed(commitTook, finish)(ctx, t)
		return nil
	})
	for i, t := range p.targets {
		switch err := t.fail(errs[i]); {
		case errors.Is(err, ErrLost):
			lost = append(lost, err)
		case err != nil:
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return p.takeBack(ctx, joined(append(failed, lost...)))
	}
	errs = lost
	err := each(p.targets, func(_ int, t *target) error {
		if t.report.State != New {
			return nil
		}
		return t.fail(t.done(ctx))
	})
	return joined(append(errs, err))
}

// takeBack restores what ran before on the nodes that have finished, because others have not. If one cannot, none does.
func (p *push) takeBack(ctx context.Context, cause error) error {
	var final []error
	for _, t := range p.targets {
		if t.final != "" && t.report.State != Old {
			final = append(final, fmt.Errorf("%s: what ran before of %s is neither known nor on its disk", t.name, t.final))
		}
	}
	errs := make([]error, len(p.targets))
	_ = each(p.targets, func(i int, t *target) error {
		switch {
		case t.report.State == Old:
			_ = t.send(ctx, etf.Atom("abort"))
		case t.report.State == Lost:
			errs[i] = fmt.Errorf("%s: %w", t.name, ErrLost)
		case len(final) > 0:
			errs[i] = t.fail(t.done(ctx))
		default:
			errs[i] = t.fail(t.reset(ctx))
		}
		return nil
	})
	if err := joined(append(final, errs...)); err != nil {
		return fmt.Errorf("%w: %w, after %w", ErrMixed, err, cause)
	}
	return fmt.Errorf("%w: %w", ErrRolledBack, cause)
}

// send sends a message to the stager.
func (t *target) send(ctx context.Context, msg etf.Term) error { return t.p.Send(ctx, t.stager, msg) }

// receive waits for the stager's next message. Its end is an error.
func (t *target) receive(ctx context.Context) (etf.Tuple, error) {
	for {
		msg, err := t.p.Receive(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		switch m := msg.(type) {
		case node.Down:
			t.ended = true
			if m.Reason == etf.Atom("noconnection") {
				return nil, fmt.Errorf("%s: %w", t.name, node.ErrNodeDown)
			}
			return nil, fmt.Errorf("%s: the process that loads code ended: %s", t.name, etf.Format(m.Reason))
		case etf.Tuple:
			return m, nil
		}
	}
}

// look sees whether the stager has ended, without waiting.
func (t *target) look(ctx context.Context) error {
	now, cancel := context.WithCancel(ctx)
	cancel()
	for {
		if _, err := t.receive(now); t.ended {
			return err
		} else if err != nil {
			return nil //nolint:nilerr // nothing is there
		}
	}
}

// answer waits for the stager's message of that name and reads it into v, a struct whose first field is the name.
func (t *target) answer(ctx context.Context, name etf.Atom, v any) error {
	m, err := t.receive(ctx)
	if err != nil {
		return err
	}
	if len(m) == 0 || m[0] != name {
		return fmt.Errorf("%s: codesync: %s instead of %s", t.name, etf.Format(m), name)
	}
	if err := etf.Assign(m, v); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}
