package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// exam is one node under examination.
type exam struct {
	n        *node.Node
	t        checks.Target
	members  []*exam // all nodes of the run, this one too, in the order of the report
	checks   []*Check
	limits   *Limits
	patience time.Duration // that the whole run has
	log      func(ctx context.Context, node string, since time.Time) (Log, error)

	own    known  // what this node said
	common *known // what all said together
	calm   *calm

	mu   sync.Mutex
	lost error // why the node could not be asked any more, after it had answered the pings
}

// calm is the time of the pings, in which nothing else is asked of any node: on one machine they would measure our own questions.
type calm struct {
	nodes   atomic.Int64 // whose pings are not over
	waiting sync.Once
	ending  sync.Once
	over    chan struct{}
}

// maxCalm is how long the first node that has answered waits for the others: a handshake and pings take a tenth of it.
const maxCalm = 200 * time.Millisecond

func newCalm(nodes int) *calm {
	c := &calm{over: make(chan struct{})}
	c.nodes.Store(int64(nodes))
	return c
}

func (c *calm) end() { c.ending.Do(func() { close(c.over) }) }

// leave says that one node's pings are over.
func (c *calm) leave() {
	if c.nodes.Add(-1) == 0 {
		c.end()
	}
}

// wait returns when all pings are over, or it has been long enough.
func (c *calm) wait(ctx context.Context) {
	c.waiting.Do(func() { time.AfterFunc(maxCalm, c.end) })
	select {
	case <-c.over:
	case <-ctx.Done():
	}
}

// others are the members that this node has to see, in the order of the report.
func (x *exam) others() []*exam {
	if x.t.Alone {
		return nil
	}
	var out []*exam
	for _, m := range x.members {
		if m != x && !m.t.Alone {
			out = append(out, m)
		}
	}
	return out
}

// known is what was asked for so far.
type known struct {
	mu      sync.Mutex
	answers map[any]*answer // by *fact
}

// answer is a fact that is being asked for or known.
type answer struct {
	done chan struct{}
	v    any
	err  error
}

// learn returns what is known under key. Who comes first asks, the others wait; all have the same deadline.
func learn[T any](k *known, key any, ask func() (T, error)) (T, error) {
	k.mu.Lock()
	a := k.answers[key]
	if a != nil {
		k.mu.Unlock()
		<-a.done
		v, _ := a.v.(T)
		return v, a.err
	}
	a = &answer{done: make(chan struct{})}
	k.answers[key] = a
	k.mu.Unlock()
	v, err := ask()
	a.v, a.err = v, err
	close(a.done)
	return v, err
}

// A fact is something that a node says, asked for at most once in a run.
type fact[T any] struct {
	ask func(ctx context.Context, x *exam) (T, error)
}

// of returns what x's node said.
func (f *fact[T]) of(ctx context.Context, x *exam) (T, error) {
	return learn(&x.own, f, func() (T, error) { return f.ask(ctx, x) })
}

// said is what one node said, or why it did not.
type said[T any] struct {
	x   *exam
	v   T
	err error
}

// everywhere returns what all members said, in their order. It takes until the last one has answered, which may be the deadline: a
// check has to have its own node's facts before it asks for everybody's, and to judge without those who were not heard.
func (f *fact[T]) everywhere(ctx context.Context, x *exam) []said[T] {
	all, _ := learn(x.common, f, func() ([]said[T], error) {
		all := make([]said[T], len(x.members))
		var wg sync.WaitGroup
		for i, m := range x.members {
			wg.Go(func() {
				v, err := f.of(ctx, m)
				all[i] = said[T]{m, v, err}
			})
		}
		wg.Wait()
		return all, nil
	})
	return all
}

// usual is what most of them said, the first of several that are as frequent; the zero value if nobody said anything.
func usual[T comparable](all []said[T]) T {
	var best T
	times := make(map[T]int)
	for _, s := range all {
		if s.err == nil {
			times[s.v]++
		}
	}
	for _, s := range all {
		if s.err == nil && times[s.v] > times[best] {
			best = s.v
		}
	}
	return best
}

// result is a fact that is one call's result, decoded as etf.Unmarshal does.
func result[T any](module, function etf.Atom, args ...etf.Term) *fact[T] {
	return &fact[T]{func(ctx context.Context, x *exam) (T, error) {
		var v T
		err := x.call(ctx, &v, module, function, args...)
		return v, err
	}}
}

// connected is the handshake that each examination makes: a cookie is proven by nothing else. The fact is how long it took.
var connected = &fact[time.Duration]{func(ctx context.Context, x *exam) (time.Duration, error) {
	if err := x.n.AddPeer(x.t.Peer()); err != nil {
		return 0, err
	}
	start := time.Now()
	x.n.Disconnect(x.t.Name) //nolint:contextcheck // it has a deadline of its own
	err := x.n.Connect(ctx, x.t.Name)
	return time.Since(start), err
}}

// errUnasked is a question that was not put, because the node cannot be reached; the ping and cookie checks say why.
var errUnasked = errors.New("not asked: the node cannot be reached")

// call asks the node, once there is a connection, and the pings are over.
func (x *exam) call(ctx context.Context, v any, module, function etf.Atom, args ...etf.Term) error {
	if err := x.reached(ctx); err != nil {
		return err
	}
	err := x.n.CallInto(ctx, x.t.Name, v, module, function, args...)
	if x.loses(err) {
		return errUnasked
	}
	if errors.Is(err, node.ErrTimeout) {
		if _, silent := breath.of(ctx, x); silent != nil {
			return errUnasked
		}
	}
	return err
}

// reached returns when the node may be asked; errUnasked if it cannot be.
func (x *exam) reached(ctx context.Context) error {
	if _, err := pinged.of(ctx, x); err != nil {
		return errUnasked
	}
	x.calm.wait(ctx)
	if x.ended() != nil {
		return errUnasked
	}
	return nil
}

// ended is why the node could not be asked any more in the middle of the examination; nil: it could.
func (x *exam) ended() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lost
}

// loses tells whether an error says that the node has gone, or the connection. Then it is not asked again: in its place there may be nothing, or
// a node that has just been started, and each question would have another answer.
func (x *exam) loses(err error) bool {
	for _, gone := range []error{node.ErrNodeDown, node.ErrNoSuchName, node.ErrNoEPMD, node.ErrRefused} {
		if errors.Is(err, gone) {
			x.lose(err)
			return true
		}
	}
	if _, refused := errors.AsType[*dist.HandshakeError](err); refused {
		x.lose(err)
		return true
	}
	return false
}

// lose notes why the node is not asked any more. The end of a connection says more than what one met that was tried after it.
func (x *exam) lose(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lost == nil || errors.Is(err, node.ErrNodeDown) {
		x.lost = err
	}
}

// failed explains an error of a call on a node that is connected: mfa is what was called, cause what an exception of it means.
func (x *exam) failed(err error, mfa, cause string) error {
	if errors.Is(err, errUnasked) {
		return err
	}
	if ex, ok := errors.AsType[*node.ErlangError](err); ok {
		return &checks.Finding{What: x.t.Name + ": " + mfa + " failed", Saw: mfa + ": " + ex.Error(), Cause: cause, Err: err}
	}
	if errors.Is(err, node.ErrTimeout) {
		return &checks.Finding{
			What: x.t.Name + ": " + mfa + " does not return", Saw: fmt.Sprintf("%s: no answer within %v", mfa, x.patience),
			Cause: "the node answers pings: the process that should answer hangs or is overloaded, or this was too short a time",
			Fix:   "look at the node's run queue and mailboxes; give it longer with --timeout", Err: err,
		}
	}
	return checks.Unreachable(x.t, err)
}
