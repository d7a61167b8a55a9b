package node

import (
	"context"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// services are the registered names of a node's own: what Erlang nodes expect to find on one. They run on the reader
// and must not wait.
var services = map[etf.Term]func(l *link, payload []byte) error{
	etf.Atom("net_kernel"): (*link).netKernel,
	etf.Atom("rex"):        (*link).rex,
	globalServer:           (*link).global,
}

const globalServer = etf.Atom("global_name_server")

// serves tells whether something that a peer monitors, and that is no process, is there: services, and the group
// leaders of calls (io:format monitors them). Their ends are not announced: they come with an answer to whatever was
// asked of them.
func (l *link) serves(to etf.Term) bool {
	switch to := to.(type) {
	case etf.Atom:
		return services[to] != nil && to != globalServer // which takes no calls: lockers are to find that it is not there
	case etf.Pid:
		n := pidNumber(to)
		return n < firstProcess && l.lookup(n) != nil
	}
	return false
}

// genCall takes apart {'$gen_call', {Pid, Tag}, Request}.
func genCall(msg etf.Tuple) (pid etf.Pid, tag, request etf.Term, ok bool) {
	if len(msg) != 3 || msg[0] != etf.Atom("$gen_call") {
		return pid, nil, nil, false
	}
	from, ok := msg[1].(etf.Tuple)
	if !ok || len(from) != 2 {
		return pid, nil, nil, false
	}
	pid, ok = from[0].(etf.Pid)
	return pid, from[1], msg[2], ok
}

// netKernel answers a ping: {is_auth, Node} → yes.
func (l *link) netKernel(payload []byte) error {
	msg, err := tuple(payload)
	if err != nil {
		return err
	}
	pid, tag, request, ok := genCall(msg)
	if req, is := request.(etf.Tuple); !ok || !is || len(req) != 2 || req[0] != etf.Atom("is_auth") {
		return nil
	}
	return l.reply(pid, tag, etf.Atom("yes"))
}

// rex is the rpc server: {call, M, F, Args, GroupLeader}, from peers that use it (rpc:call before OTP 23, erl_call,
// which wants {rex, Reply}), and the question of the others whether we take erpc (lib/kernel/src/rpc.erl).
func (l *link) rex(payload []byte) error {
	msg, err := tuple(payload)
	if err != nil {
		return err
	}
	pid, tag, request, ok := genCall(msg)
	if len(msg) == 2 {
		pid, ok = msg[0].(etf.Pid)
		tag, request = etf.Atom("rex"), msg[1]
	}
	if ok && request == etf.Atom("features_request") {
		node := etf.Atom(l.conn.Local().Name)
		return l.answer(dist.Control{Op: dist.OpSend, To: pid}, etf.Tuple{etf.Atom("features_reply"), node, etf.List{etf.Atom("erpc")}})
	}
	req, is := request.(etf.Tuple)
	if !ok || !is || len(req) != 5 || req[0] != etf.Atom("call") && req[0] != etf.Atom("block_call") {
		return nil
	}
	args, ok := req[3].(etf.List)
	if !ok {
		return l.reply(pid, tag, rexReply(nil, &ErlangError{Class: "error", Reason: etf.Atom("badarg")}))
	}
	if !l.reserve() {
		return l.reply(pid, tag, etf.Tuple{etf.Atom("badrpc"), etf.Tuple{etf.Atom("EXIT"), etf.Atom("system_limit")}})
	}
	if l.node.own(func() {
		defer l.unreserve()
		result := rexReply(l.node.rexApply(l.ctx, req[1], req[2], args))
		ctl, msg := replyTo(l.pid(0), pid, tag, result, l.conn.Peer().Flags)
		b, err := etf.Append(nil, msg)
		if err != nil { // the function's result is no term
			msg[1] = rexReply(nil, &ExitError{[]byte(err.Error())})
			b, err = etf.Append(nil, msg)
		}
		if err == nil {
			_ = l.send(l.ctx, &ctl, b)
		}
	}) != nil {
		l.unreserve()
	}
	return nil
}

// rexApply is apply, with what erpc has for its calls: another node like this one makes them by way of rex, too.
func (n *Node) rexApply(ctx context.Context, m, f etf.Term, args etf.List) (etf.Term, error) {
	if m == etf.Atom("erpc") && f == etf.Atom("execute_call") && len(args) == 4 {
		return nil, &ExitError{n.executeCall(ctx, args)}
	}
	return n.apply(ctx, m, f, args)
}

// rexReply is what rpc:call returns.
func rexReply(t etf.Term, err error) etf.Term {
	if err == nil {
		return t
	}
	ex := exception(err)
	switch ex.Class {
	case "throw":
		return ex.Reason
	case "exit":
		return etf.Tuple{etf.Atom("badrpc"), etf.Tuple{etf.Atom("EXIT"), ex.Reason}}
	}
	return etf.Tuple{etf.Atom("badrpc"), etf.Tuple{etf.Atom("EXIT"), etf.Tuple{ex.Reason, ex.Stack}}}
}

// global answers the global_name_server of a node that sees this one: there is nothing to agree on ({in_sync, …} is
// what a third node says that has done the work, lib/kernel/src/global.erl). Without an answer global:sync/0 would wait
// there for ever.
func (l *link) global(payload []byte) error {
	msg, err := tuple(payload)
	if err != nil || len(msg) != 2 || msg[0] != etf.Atom("$gen_cast") {
		return err
	}
	if cast, ok := msg[1].(etf.Tuple); !ok || len(cast) != 4 || cast[0] != etf.Atom("init_connect") {
		return nil
	}
	inSync := etf.Tuple{etf.Atom("in_sync"), etf.Atom(l.conn.Local().Name), etf.Atom("true")}
	return l.answer(dist.Control{Op: dist.OpRegSend, From: l.pid(0), To: globalServer}, etf.Tuple{etf.Atom("$gen_cast"), inSync})
}

// reply answers a gen call from the reader.
func (l *link) reply(to etf.Pid, tag, result etf.Term) error {
	ctl, msg := replyTo(l.pid(0), to, tag, result, l.conn.Peer().Flags)
	return l.answer(ctl, msg)
}

// replyTo is how gen:reply/2 sends: to the alias in the tag where there is one ([alias|Ref], or a list that begins with
// it), so that an answer that comes too late goes nowhere. The tag goes back as it came.
func replyTo(from, to etf.Pid, tag, result etf.Term, peer dist.Flags) (dist.Control, etf.Tuple) {
	ctl := dist.Control{Op: dist.OpSend, To: to}
	if alias, ok := aliasOf(tag); ok && peer.Has(dist.FlagAlias) {
		ctl = dist.Control{Op: dist.OpAliasSend, From: from, To: alias}
	}
	return ctl, etf.Tuple{tag, result}
}

func aliasOf(tag etf.Term) (etf.Ref, bool) {
	switch t := tag.(type) {
	case etf.ImproperList:
		if len(t.Elems) == 1 && t.Elems[0] == etf.Atom("alias") {
			ref, ok := t.Tail.(etf.Ref)
			return ref, ok
		}
		return aliasOf(t.Elems[0])
	case etf.List:
		if len(t) > 0 {
			return aliasOf(t[0])
		}
	}
	return etf.Ref{}, false
}
