package remsh

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

//go:embed keeper.term
var keeperTerm string

// keeperForms are the expressions of keeper.erl as erl_eval takes them.
var keeperForms = sync.OnceValues(func() (etf.Term, error) { return etf.Parse(keeperTerm) })

// The variables that the keeper finds bound: atoms that every node has, as those of all its variables are.
const (
	usName   = etf.Atom("user")
	whatName = etf.Atom("data")
)

// remote is a shell that runs, and our process that it talks to.
type remote struct {
	n      *node.Node
	name   string
	p      *node.Process
	us     etf.Pid // p's pid on the node
	keeper etf.Pid
	first  etf.Pid // the group, or without one the shell
	early  []any   // messages that came before the keeper had told its

	events      <-chan node.Event
	unsubscribe func()
}

// startTime is how long a shell may take to start: IEx loads some fifty modules for that.
const startTime = 30 * time.Second

// spawn starts a shell by function of module, with group options or (nil) without a group.
func spawn(ctx context.Context, n *node.Node, name string, start etf.Export, options etf.Term) (_ *remote, err error) {
	forms, err := keeperForms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	r := &remote{n: n, name: name}
	if r.p, err = n.NewProcess(); err != nil {
		return nil, err
	}
	r.events, r.unsubscribe = n.Events()
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.p.TrapExit(true)
	if r.us, err = r.p.Pid(ctx, name); err != nil {
		return nil, err
	}
	if options == nil {
		options = etf.Atom("none")
	}
	what := etf.Tuple{start.Module, start.Function, options}
	bindings := etf.List{etf.Tuple{usName, r.us}, etf.Tuple{whatName, what}}
	// exprs/3 and not /2, which would first load erl_lint and what it needs, and check what is checked already.
	args := etf.List{forms, bindings, etf.Atom("none")}
	if err := n.CallInto(ctx, name, &r.keeper, "erlang", "spawn", etf.Atom("erl_eval"), etf.Atom("exprs"), args); err != nil {
		return nil, err
	}
	if _, err := r.p.Monitor(ctx, r.keeper); err != nil {
		return nil, err
	}
	return r, r.started(ctx)
}

// maxEarly is how many messages may come before the keeper's: a shell begins with its banner, and each process of it
// waits for a reply.
const maxEarly = 64

// started waits for the keeper to say what it has started.
func (r *remote) started(ctx context.Context) error {
	for len(r.early) < maxEarly {
		msg, err := r.p.Receive(ctx)
		if err != nil {
			return r.failed(err)
		}
		switch msg := msg.(type) {
		case etf.Tuple:
			if len(msg) != 2 || msg[0] != r.keeper {
				break
			}
			pid, ok := msg[1].(etf.Pid)
			if !ok {
				return r.failed(fmt.Errorf("%w: the start of a shell returned %s", ErrProtocol, brief(msg[1])))
			}
			r.first = pid
			_, err := r.p.Monitor(ctx, pid)
			return err
		case node.Down:
			err := r.ended(msg.Reason)
			if errors.Is(err, errEnd) {
				err = r.failed(ErrNotStarted)
			}
			return err
		}
		r.early = append(r.early, msg) // one without a group may want to print before
	}
	return r.failed(ErrProtocol)
}

// receive waits for the next message to our process.
func (r *remote) receive(ctx context.Context) (any, error) {
	if len(r.early) > 0 {
		msg := r.early[0]
		r.early = r.early[1:]
		return msg, nil
	}
	msg, err := r.p.Receive(ctx)
	if err != nil {
		err = r.failed(err)
	}
	return msg, err
}

// messages passes on what comes to our process until ctx ends. An error, a panic too, cancels. The channel's goroutine
// has ended when wait returns.
func (r *remote) messages(ctx context.Context, cancel context.CancelCauseFunc) (ch <-chan any, wait func()) {
	out := make(chan any)
	var receiver sync.WaitGroup
	receiver.Go(func() {
		guarded(cancel, func() {
			for {
				msg, err := r.receive(ctx)
				if err != nil {
					cancel(err)
					return
				}
				select {
				case out <- msg:
				case <-ctx.Done():
					return
				}
			}
		})
	})
	return out, receiver.Wait
}

// guarded runs fn. A panic, which would end the program with its terminal as it is, cancels instead.
func guarded(cancel context.CancelCauseFunc, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			cancel(fmt.Errorf("a bug: %v\n%s", p, debug.Stack()))
		}
	}()
	fn()
}

// cause is why ctx ended, if it has: that is what err comes from.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

func (r *remote) failed(err error) error { return &node.OpError{Op: "shell", Node: r.name, Err: err} }

// ended makes an error of the reason with which the keeper, the group or the shell has ended: errEnd if it is a good one.
func (r *remote) ended(reason etf.Term) error {
	switch reason {
	case etf.Atom("noconnection"):
		return r.failed(r.lost())
	case etf.Atom("normal"), etf.Atom("shutdown"), etf.Atom("noproc"): // noproc: it was quicker than the monitor
		return errEnd
	}
	return r.failed(&node.ExitError{Reason: reason})
}

// lostTime is how long the reason of a lost connection, which our process is told of a moment before or after, is
// waited for.
const lostTime = time.Second

// lost says why the connection was lost.
func (r *remote) lost() error {
	timeout := time.After(lostTime)
	for {
		select {
		case e, ok := <-r.events:
			switch {
			case !ok:
				return node.ErrNodeDown
			case e.Node == r.name && !e.Up && e.Err != nil:
				return fmt.Errorf("%w: %w", node.ErrNodeDown, e.Err)
			}
		case <-timeout:
			return node.ErrNodeDown
		}
	}
}

// close ends our process, and with that the keeper, the group and the shell.
func (r *remote) close() {
	r.p.Exit(etf.Atom("shutdown"))
	r.unsubscribe()
}
