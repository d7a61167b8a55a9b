package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// Function is a Go function that Erlang can call. A nil error returns its term; an *ErlangError raises that exception, an
// *ExitError exits, any other error raises an error with its text. ctx ends when the process that runs it is killed.
type Function func(ctx context.Context, args []etf.Term) (etf.Term, error)

type function struct{ module, name etf.Atom }

// maxSpawned bounds the processes that run at once for one peer: each is a goroutine with what its function needs.
const maxSpawned = 1024

// Handle lets other nodes call fn as module:name, with any number of arguments, by erpc, rpc and spawn. A node has no
// other functions.
func (n *Node) Handle(module, name etf.Atom, fn Function) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.functions[function{module, name}] = fn
}

func (n *Node) function(module, name etf.Atom) Function {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.functions[function{module, name}]
}

// apply calls a function; one that does not exist is undef, as in Erlang.
func (n *Node) apply(ctx context.Context, m, f etf.Term, args etf.List) (etf.Term, error) {
	module, ok1 := m.(etf.Atom)
	name, ok2 := f.(etf.Atom)
	if !ok1 || !ok2 {
		return nil, &ErlangError{Class: "error", Reason: etf.Atom("badarg")}
	}
	fn := n.function(module, name)
	if fn == nil {
		return nil, &ErlangError{Class: "error", Reason: etf.Atom("undef"), Stack: etf.List{etf.Tuple{module, name, args, etf.List{}}}}
	}
	return fn(ctx, args)
}

// exception is the Erlang exception that an error is.
func exception(err error) *ErlangError {
	var ex *ErlangError
	var exit *ExitError
	switch {
	case errors.As(err, &ex):
		return ex
	case errors.As(err, &exit):
		return &ErlangError{Class: "exit", Reason: exit.Reason}
	}
	return &ErlangError{Class: "error", Reason: []byte(err.Error())}
}

// body is what a spawned process runs: a registered function, or what erpc (lib/kernel/src/erpc.erl) spawns to call
// one. nil if it is nothing that this node has.
func (n *Node) body(mfa dist.MFA) func(ctx context.Context, args etf.List) etf.Term {
	switch {
	case mfa == dist.MFA{Module: "erpc", Function: "execute_call", Arity: 4}: // Tag, M, F, Args
		return func(ctx context.Context, args etf.List) etf.Term { return n.executeCall(ctx, args) }
	case mfa == dist.MFA{Module: "erpc", Function: "execute_cast", Arity: 3}: // M, F, Args
		return func(ctx context.Context, args etf.List) etf.Term {
			list, _ := args[2].(etf.List)
			return ending(n.apply(ctx, args[0], args[1], list))
		}
	case n.function(mfa.Module, mfa.Function) != nil:
		return func(ctx context.Context, args etf.List) etf.Term {
			return ending(n.apply(ctx, mfa.Module, mfa.Function, args))
		}
	}
	return nil
}

// executeCall is erpc:execute_call/4: the result of a call as an exit reason.
func (n *Node) executeCall(ctx context.Context, args etf.List) etf.Term {
	list, ok := args[3].(etf.List)
	if !ok {
		return etf.Atom("badarg")
	}
	t, err := n.apply(ctx, args[1], args[2], list)
	if err == nil {
		return etf.Tuple{args[0], etf.Atom("return"), t}
	}
	ex := exception(err)
	if ex.Class == "error" {
		return etf.Tuple{args[0], ex.Class, ex.Reason, ex.Stack}
	}
	return etf.Tuple{args[0], ex.Class, ex.Reason}
}

// ending is the exit reason of a process whose function has returned.
func ending(_ etf.Term, err error) etf.Term {
	if err == nil {
		return normal
	}
	ex := exception(err)
	switch ex.Class {
	case "exit":
		return ex.Reason
	case "throw":
		return etf.Tuple{etf.Tuple{etf.Atom("nocatch"), ex.Reason}, ex.Stack}
	}
	return etf.Tuple{ex.Reason, ex.Stack}
}

// The flags of a spawn reply.
const (
	spawnedLinked    = 1
	spawnedMonitored = 2
)

// spawnRequest starts a process for the peer. The answer is a pid or the atom badopt, notsup or system_limit.
func (l *link) spawnRequest(ctl *dist.Control, payload []byte) error {
	from, _ := ctl.From.(etf.Pid)
	reply := dist.Control{Op: dist.OpSpawnReply, Ref: ctl.Ref, To: from}
	refuse := func(why etf.Atom) error { reply.Result = why; return l.answer(reply, nil) }
	link, monitor, ok := spawnOptions(ctl.Opts)
	if !ok {
		return refuse("badopt")
	}
	body := l.node.body(ctl.MFA)
	if body == nil {
		return refuse("notsup")
	}
	if !l.reserve() {
		return refuse("system_limit")
	}
	p, err := l.node.NewProcess()
	if err != nil {
		l.unreserve()
		return refuse("system_limit")
	}
	p.client = l
	pid := p.pid(l)
	reply.Result = pid
	p.mu.Lock()
	p.leader = ctl.GroupLeader
	ended := p.reason != nil // the node closes
	if link && !ended {
		reply.Flags |= spawnedLinked
		p.links[remote{l, from}] = 0
	}
	if monitor && !ended {
		reply.Flags |= spawnedMonitored
		p.watchers[watching{l, ctl.Ref}] = watcher{from, pid}
	}
	p.mu.Unlock()
	if ended {
		l.unreserve()
		return refuse("system_limit")
	}
	if err := l.answer(reply, nil); err != nil {
		p.end(shutdown)
		l.unreserve()
		return err
	}
	raw, arity := keep(ctl, payload), int(ctl.MFA.Arity)
	_ = p.run(func(ctx context.Context) etf.Term {
		args, err := arguments(raw, arity)
		if err != nil {
			return etf.Tuple{etf.Atom("badarg"), []byte(err.Error())}
		}
		return body(ctx, args)
	})
	return nil
}

func arguments(raw []byte, arity int) (etf.List, error) {
	t, _, err := etf.Decode(raw)
	if err != nil {
		return nil, err
	}
	args, ok := t.(etf.List)
	if !ok || len(args) != arity {
		return nil, fmt.Errorf("not a list of %d arguments", arity)
	}
	return args, nil
}

// spawnOptions reads what spawn_request/5 sends; what only concerns a BEAM's memory is ignored.
func spawnOptions(opts etf.List) (link, monitor, ok bool) {
	for _, o := range opts {
		switch o := o.(type) {
		case etf.Atom:
			link, monitor = link || o == "link", monitor || o == "monitor"
			if o != "link" && o != "monitor" {
				return false, false, false
			}
		case etf.Tuple:
			if len(o) != 2 {
				return false, false, false
			}
			monitor = monitor || o[0] == etf.Atom("monitor")
		default:
			return false, false, false
		}
	}
	return link, monitor, true
}

func (l *link) reserve() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spawned >= maxSpawned {
		return false
	}
	l.spawned++
	return true
}

func (l *link) unreserve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spawned--
}
