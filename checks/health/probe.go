package health

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Probes is the group of the checks that users write themselves.
const Probes Group = "probes"

// Probe is a check that a user has written: a call, or a chain of them, and what is expected of its result.
type Probe struct {
	Name    string
	Steps   []etf.Call // of all but the last the result has to be {ok, P}; P takes the place of each etf.Any in the next one's arguments
	Expect  []Expectation
	Elixir  bool          // it is written in Elixir's syntax, in which its result is shown, too
	Once    bool          // ask only the first node that can be asked
	Timeout time.Duration // of the chain; 0: what the run has
}

// Expectation is one thing that has to be true of a probe's result.
type Expectation struct {
	Text string // as the user wrote it: "length >0"
	Met  func(result etf.Term) bool
}

// maxShown is how much of a result is shown, in bytes.
const maxShown = 200

// ProbeChecks makes checks of probes.
func ProbeChecks(probes []Probe) []*Check {
	var all []*Check
	for _, p := range probes {
		all = append(all, &Check{
			Name: p.Name, Group: Probes,
			What: "a probe of the configuration", Asks: "what it says", Fails: "the result is not what it expects, or the call raises an exception",
			Fix: "see what the probe named " + p.Name + " asks, under health.probes in beamctl.yaml",
			run: p.judge,
		})
	}
	return all
}

func (p *Probe) judge(ctx context.Context, x *exam) (Cell, error) {
	if p.Once {
		if first := x.first(ctx); first == nil {
			return Cell{}, errUnasked
		} else if first != x {
			return none("asked on %s", first.t.Name)
		}
	}
	if p.Timeout > 0 {
		if err := x.reached(ctx); err != nil { // for which it is not the measure
			return Cell{}, err
		}
		timed, cancel := context.WithTimeout(ctx, p.Timeout)
		defer cancel()
		ctx = timed
	}
	result, err := p.ask(ctx, x)
	if err != nil {
		return Cell{}, err
	}
	c, _ := ok("%s", p.show(result))
	if v, isNumber := number(result); isNumber && !math.IsInf(v, 0) { // an integer may be as large as it likes
		c.Values = map[string]float64{"value": v}
	}
	for _, e := range p.Expect {
		if !e.Met(result) {
			c.Status, c.Cause = Fail, "expected: "+e.Text
			break
		}
	}
	return c, nil
}

// show writes a term in the probe's language.
func (p *Probe) show(t etf.Term) string {
	o := etf.FormatOptions{MaxBytes: maxShown}
	if p.Elixir {
		return o.FormatElixir(t)
	}
	return o.Format(t)
}

// function names the function of a step in the probe's language.
func (p *Probe) function(step etf.Call) string {
	between := ":"
	if p.Elixir {
		between = "."
	}
	return fmt.Sprintf("%s%s%s/%d", p.show(step.Module), between, etf.Format(step.Function), len(step.Args))
}

// ask makes the calls of the chain.
func (p *Probe) ask(ctx context.Context, x *exam) (etf.Term, error) {
	var fed, result etf.Term
	for i, step := range p.Steps {
		name := p.function(step)
		args := step.Args
		if i > 0 {
			args = etf.Fill(etf.List(step.Args), fed).(etf.List)
		}
		if err := x.call(ctx, &result, step.Module, step.Function, args...); err != nil {
			return nil, p.failed(x, err, name)
		}
		if i == len(p.Steps)-1 {
			break
		}
		ok, isTuple := result.(etf.Tuple)
		if !isTuple || len(ok) != 2 || ok[0] != etf.Atom("ok") {
			return nil, &checks.Finding{
				Saw:   name + " returned " + p.show(result),
				Cause: fmt.Sprintf("step %d of the chain has to return {ok, P}, of which P goes into the next", i+1),
			}
		}
		fed = ok[1]
	}
	return result, nil
}

// failed explains an error of a call.
func (p *Probe) failed(x *exam, err error, name string) error {
	if _, ok := errors.AsType[*node.ErlangError](err); ok || !errors.Is(err, node.ErrTimeout) {
		return x.failed(err, name, "the function raised an exception")
	}
	return &checks.Finding{Saw: name + " did not return in time", Cause: "the function, or a process that it asks, hangs", Err: err}
}

// first is the first member that calls can be made on.
func (x *exam) first(ctx context.Context) *exam {
	for _, m := range x.members {
		if _, err := release.of(ctx, m); err == nil {
			return m
		}
	}
	return nil
}
