package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// Server is a gen_server in Go: what to do with what Erlang sends it. Its functions run one at a time, in the order of
// the messages. An error ends the server, an *ExitError with its reason; what a caller should see as an error is a
// reply. A nil function ignores its messages.
type Server struct {
	// Call answers gen_server:call. It may return ErrNoReply and have from.Reply called later.
	Call func(ctx context.Context, from Caller, request etf.Term) (reply etf.Term, err error)
	// Cast takes gen_server:cast.
	Cast func(ctx context.Context, message etf.Term) error
	// Info takes all other messages: terms, Down and Exit.
	Info func(ctx context.Context, message any) error
}

// ErrNoReply, returned by Server.Call, says that the reply comes later.
var ErrNoReply = errors.New("the reply comes later")

// Caller is who waits for the reply of a call.
type Caller struct {
	Pid etf.Pid
	tag etf.Term // as it came
	p   *Process
}

// Reply answers the call. Only the first reply of a call counts. It does not connect to a node for that: a caller whose
// node has gone waits no longer, and the error is ErrNodeDown.
func (c Caller) Reply(ctx context.Context, reply etf.Term) error {
	d, err := c.destination()
	if err == nil {
		err = c.reply(ctx, d, reply)
	}
	return opError("reply", c.Pid.Node, err)
}

func (c Caller) destination() (destination, error) {
	n := c.p.node
	d := destination{node: c.Pid.Node, to: c.Pid}
	if n.isUs(string(d.node)) {
		d.to = n.ours(c.Pid)
		return d, nil
	}
	if d.via = n.linkTo(string(d.node)); d.via == nil {
		return d, ErrNodeDown
	}
	return d, nil
}

func (c Caller) reply(ctx context.Context, d destination, reply etf.Term) error {
	flags := dist.FlagAlias // this node's own
	if d.via != nil {
		flags = d.via.conn.Peer().Flags
	}
	ctl, msg := replyTo(c.p.pid(d.via), c.Pid, c.tag, reply, flags)
	payload, err := etf.Append(nil, msg)
	if err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	if d.via == nil {
		ctl.To = c.p.node.ours(ctl.To)
	}
	return c.p.send(ctx, d, ctl, payload)
}

// Serve makes the process a gen_server: it handles its messages until the process ends, a function of s returns an
// error, or ctx ends, and then ends the process. It returns why: nil for normal and shutdown, ctx's cause, or the
// error. A caller that does not read its replies costs the server its time until ctx ends: let such replies be sent by
// goroutines of their own (ErrNoReply).
func (p *Process) Serve(ctx context.Context, s Server) error {
	err := p.serve(ctx, s)
	switch {
	case ctx.Err() != nil && p.Err() == nil:
		p.end(shutdown)
		return context.Cause(ctx)
	case p.Err() == nil:
		p.end(exitReason(err))
	}
	var exit *ExitError
	if errors.As(err, &exit) && (exit.Reason == normal || exit.Reason == shutdown) {
		return nil
	}
	return err
}

// StartServer runs s as a process of its own, registered under name ("" for none), until it or the node ends.
func (n *Node) StartServer(name etf.Atom, s Server) (*Process, error) {
	p, err := n.NewProcess()
	if err != nil {
		return nil, err
	}
	if name != "" {
		if err := n.Register(name, p); err != nil {
			p.end(normal)
			return nil, err
		}
	}
	if err := p.run(func(ctx context.Context) etf.Term { return exitReason(p.serve(ctx, s)) }); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) serve(ctx context.Context, s Server) error {
	for {
		msg, err := p.Receive(ctx)
		if err == nil {
			err = p.handle(ctx, s, msg)
		}
		if err != nil {
			return err
		}
	}
}

func (p *Process) handle(ctx context.Context, s Server, msg any) error {
	t, _ := msg.(etf.Tuple)
	if pid, tag, request, ok := genCall(t); ok {
		from := Caller{pid, tag, p}
		if s.Call == nil {
			return nil
		}
		reply, err := s.Call(ctx, from, request)
		if errors.Is(err, ErrNoReply) {
			return nil
		}
		if err != nil {
			return err
		}
		return p.respond(ctx, from, reply)
	}
	if len(t) == 2 && t[0] == etf.Atom("$gen_cast") {
		if s.Cast == nil {
			return nil
		}
		return s.Cast(ctx, t[1])
	}
	if len(t) == 3 && t[0] == etf.Atom("system") {
		return p.system(ctx, t)
	}
	if s.Info == nil {
		return nil
	}
	return s.Info(ctx, msg)
}

// respond replies; that a caller has gone, or its node, does not concern the server.
func (p *Process) respond(ctx context.Context, to Caller, reply etf.Term) error {
	raw, err := etf.Append(nil, reply)
	if err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	if err = to.Reply(ctx, etf.Raw(raw)); ctx.Err() == nil && p.Err() == nil {
		return nil
	}
	return err
}

// system answers the messages of module sys: gen_server:stop ({terminate, Reason}) is obeyed, the others are not known
// here.
func (p *Process) system(ctx context.Context, msg etf.Tuple) error {
	from, _ := msg[1].(etf.Tuple)
	if len(from) != 2 {
		return nil
	}
	pid, ok := from[0].(etf.Pid)
	if !ok {
		return nil
	}
	caller := Caller{pid, from[1], p}
	if req, is := msg[2].(etf.Tuple); is && len(req) == 2 && req[0] == etf.Atom("terminate") {
		if err := p.respond(ctx, caller, etf.Atom("ok")); err != nil {
			return err
		}
		return &ExitError{req[1]}
	}
	return p.respond(ctx, caller, etf.Tuple{etf.Atom("error"), etf.Tuple{etf.Atom("unknown_system_msg"), msg[2]}})
}

// GenCall is gen_server:call to a pid, {name, node} or a name registered here, with ctx for the timeout. That the
// server does not exist, or ends before it has answered, is an *ExitError with the reason.
func (n *Node) GenCall(ctx context.Context, server, request etf.Term) (etf.Term, error) {
	p, err := n.NewProcess()
	if err != nil {
		return nil, &OpError{"gen_call", "", err}
	}
	defer p.Exit(normal) // takes the monitor back
	d, err := n.destination(ctx, server)
	if err != nil {
		return nil, opError("gen_call", d.node, err)
	}
	t, err := p.genCall(ctx, d, server, request)
	return t, opError("gen_call", d.node, err)
}

func (p *Process) genCall(ctx context.Context, d destination, server, request etf.Term) (etf.Term, error) {
	ref, err := p.Monitor(ctx, server)
	if err != nil {
		return nil, err
	}
	err = p.sendTo(ctx, d, etf.Tuple{etf.Atom("$gen_call"), etf.Tuple{p.pid(d.via), ref}, request})
	if err != nil {
		return nil, err
	}
	for {
		msg, err := p.Receive(ctx)
		if err != nil {
			return nil, err
		}
		switch m := msg.(type) {
		case Down:
			if m.Reason == noconnection {
				return nil, ErrNodeDown
			}
			return nil, &ExitError{m.Reason}
		case etf.Tuple:
			if len(m) == 2 && m[0] == ref {
				return m[1], nil
			}
		}
	}
}
