package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// Request is a call in full.
type Request struct {
	Module, Function etf.Atom
	Args             []etf.Term
	// Stdout takes what the call prints, as UTF-8: it is the call's group leader. nil discards it.
	Stdout io.Writer

	mute bool // the call has no group leader: whatever prints fails
}

func (r *Request) String() string {
	return fmt.Sprintf("call %s:%s/%d", etf.Format(r.Module), etf.Format(r.Function), len(r.Args))
}

// Ping asks the node's net_kernel, as net_adm:ping/1 does, connecting first if need be.
func (n *Node) Ping(ctx context.Context, name string) error {
	l, err := n.connected(ctx, name)
	if err == nil {
		err = l.ping(ctx)
	}
	if err != nil {
		return &OpError{"ping", name, err}
	}
	return nil
}

// Call applies module:function to args on the node, connecting first if need be, and returns the result. Errors are
// *OpError around the sentinels of this package, or around *ErlangError when the function raised an exception. When ctx
// ends first, the process that runs the call on the node is killed. Calls are made as erpc makes them; of those that
// come one after the other, with no other beside them, all but the first few go by rex, the rpc server, which is
// quicker: if that is blocked one of them costs its caller its time, and is made later.
func (n *Node) Call(ctx context.Context, name string, module, function etf.Atom, args ...etf.Term) (etf.Term, error) {
	return n.Do(ctx, name, Request{Module: module, Function: function, Args: args})
}

// CallInto is Call with the result decoded into v, as etf.Unmarshal does.
func (n *Node) CallInto(ctx context.Context, name string, v any, module, function etf.Atom, args ...etf.Term) error {
	t, err := n.Call(ctx, name, module, function, args...)
	if err != nil {
		return err
	}
	if err := etf.Assign(t, v); err != nil {
		return &OpError{(&Request{Module: module, Function: function, Args: args}).String(), name, fmt.Errorf("result: %w", err)}
	}
	return nil
}

// Do performs a Request; see Call.
func (n *Node) Do(ctx context.Context, name string, r Request) (etf.Term, error) {
	l, err := n.connected(ctx, name)
	var t etf.Term
	if err == nil {
		t, err = l.call(ctx, &r)
	}
	if err != nil {
		return nil, &OpError{r.String(), name, err}
	}
	return t, nil
}

// smallCall is the room that most calls fit.
const smallCall = 256

// pending is a call that waits for its reply.
type pending struct {
	done   chan reply    // takes one
	prints chan struct{} // takes one: there is something in io; nil for what cannot print

	// Guarded by link.mu.
	io  []ioRequest // what the call's processes want to print
	pid etf.Term    // the process that runs it, once known
}

// reply is what ends a call: the raw reason of the process's exit, what the server says, or an error.
type reply struct {
	raw []byte
	err error
}

// deliver hands the reply over; the first one counts.
func (p *pending) deliver(r reply) {
	select {
	case p.done <- r:
	default:
	}
}

func (l *link) ping(ctx context.Context) error {
	p := &pending{done: make(chan reply, 1)}
	n, err := l.register(p)
	if err != nil {
		return err
	}
	defer l.forget(n)
	self := l.pid(n)
	msg, err := etf.Append(nil, etf.Tuple{etf.Atom("$gen_call"), etf.Tuple{self, l.ref(n)}, etf.Tuple{etf.Atom("is_auth"), self.Node}})
	if err != nil {
		return err
	}
	if err := l.send(ctx, &dist.Control{Op: dist.OpRegSend, From: self, To: etf.Atom("net_kernel")}, msg); err != nil {
		return err
	}
	select {
	case r := <-p.done:
		if r.err != nil {
			return r.err
		}
		if t, _, err := etf.Decode(r.raw); err != nil || t != etf.Atom("yes") {
			return fmt.Errorf("net_kernel answered %s", etf.Format(t))
		}
		return nil
	case <-ctx.Done():
		return timeout(ctx, "net_kernel to answer a ping")
	}
}

// call runs a request as erpc does (lib/kernel/src/erpc.erl): a monitored process applies erpc:execute_call/4 and its
// exit reason is the result, {Tag, return | throw | exit | error, …}. That needs no server on the node. (Where a server
// is quicker: byRex.)
func (l *link) call(ctx context.Context, r *Request) (etf.Term, error) {
	if !l.conn.Peer().Flags.Has(dist.FlagSpawn) {
		return nil, fmt.Errorf("%w: the node cannot spawn for others (OTP 23 or later can)", dist.ErrMissingFlags)
	}
	p := &pending{done: make(chan reply, 1)}
	if !r.mute {
		p.prints = make(chan struct{}, 1)
	}
	n, err := l.register(p)
	if err != nil {
		return nil, err
	}
	defer l.finish(n, p)
	self, ref := l.pid(n), l.ref(n)
	rex, request := l.byRex(), erpcRequest
	if rex {
		request = rexRequest
	}
	ctl, msg := request(self, ref, etf.List{int64(n), r.Module, r.Function, etf.List(r.Args)})
	payload, err := etf.Append(make([]byte, 0, smallCall), msg)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if err := l.send(ctx, &ctl, payload); err != nil {
		return nil, err
	}
	if rex {
		l.poll(p) //nolint:contextcheck // what it hands on is not the caller's
	}
	for {
		select {
		case rep := <-p.done:
			if rep.err != nil {
				return nil, rep.err
			}
			l.count()
			return outcome(rep.raw, int64(n), rex)
		case <-p.prints:
			if req, ok := l.takeIO(p); ok {
				if err := l.serveIO(ctx, req, r.Stdout); err != nil {
					return nil, err
				}
			}
		case <-ctx.Done():
			l.forget(n)
			if rex {
				l.abandonRex(self) //nolint:contextcheck // it goes on without the caller
			} else {
				l.abandon(p, ref)
			}
			return nil, timeout(ctx, "the result")
		}
	}
}

// erpcRequest has a process spawned that calls erpc:execute_call/4, and monitored.
func erpcRequest(self etf.Pid, ref etf.Ref, call etf.List) (dist.Control, etf.Term) {
	return dist.Control{
		Op: dist.OpSpawnRequest, Ref: ref, From: self, GroupLeader: self,
		MFA: dist.MFA{Module: "erpc", Function: "execute_call", Arity: 4}, Opts: etf.List{etf.Atom("monitor")},
	}, call
}

// finish forgets a call, and answers those who still wait to print.
func (l *link) finish(n uint32, p *pending) {
	l.forget(n)
	for req, ok := l.takeIO(p); ok; req, ok = l.takeIO(p) {
		_ = l.answerIO(req, ioTerminated)
	}
}

// manyCalls is the number of calls under way from which on requests are written together.
const manyCalls = 4

// send is conn.Send with this package's errors.
func (l *link) send(ctx context.Context, ctl *dist.Control, payload []byte) error {
	l.mu.Lock()
	many := len(l.calls) >= manyCalls
	l.mu.Unlock()
	var err error
	if many {
		err = l.conn.SendSoon(ctx, ctl, payload)
	} else {
		err = l.conn.Send(ctx, ctl, payload)
	}
	switch {
	case err == nil:
		return nil
	case l.conn.Err() != nil:
		return fmt.Errorf("%w: %w", ErrNodeDown, l.conn.Err())
	case ctx.Err() != nil:
		return timeout(ctx, "the node to read what it is sent")
	}
	return err
}

// abandon kills the process of a call that nobody waits for. Where its pid is not known yet, spawned does it.
func (l *link) abandon(p *pending, ref etf.Ref) {
	l.mu.Lock()
	pid, ok := p.pid.(etf.Pid)
	l.mu.Unlock()
	if !ok {
		return
	}
	_ = l.answer(dist.Control{Op: dist.OpDemonitor, From: l.pid(uint32(refNumber(ref))), To: pid, Ref: ref}, nil)
	_ = l.answer(l.killer(pid), killed)
}

// outcome reads the exit reason of a call's process, or what rex says.
func outcome(raw []byte, tag int64, rex bool) (etf.Term, error) {
	t, _, err := etf.DecodeOwned(raw)
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	if rex {
		var ok bool
		if t, ok = rexReason(t); !ok {
			return nil, errors.New("result: not one of rex: " + etf.Format(t))
		}
	}
	res, ok := t.(etf.Tuple)
	if !ok || len(res) < 3 || res[0] != tag {
		// The process was ended from outside before it had a result.
		return nil, &ErlangError{Class: "exit", Reason: t}
	}
	class, _ := res[1].(etf.Atom)
	switch class {
	case "return":
		return res[2], nil
	case "throw", "exit", "error":
		e := &ErlangError{Class: class, Reason: res[2]}
		if len(res) > 3 {
			e.Stack, _ = res[3].(etf.List)
		}
		return nil, e
	}
	return nil, errors.New("result: not one of erpc:execute_call/4: " + etf.Format(t))
}
