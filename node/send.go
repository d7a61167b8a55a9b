package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// ErrDestination: not what a message can be sent to, or a monitor set on.
var ErrDestination = errors.New("not a pid, an alias, {name, node} or a registered name")

// route returns the connection to the node, making it if need be; nil for this node itself.
func (n *Node) route(ctx context.Context, name etf.Atom) (*link, error) {
	if n.isUs(string(name)) {
		return nil, nil //nolint:nilnil // see above
	}
	return n.connected(ctx, string(name))
}

// isUs tells whether a node name is this node's own, or one that a peer has given it.
func (n *Node) isUs(name string) bool {
	return name == n.identity(nil).Name || n.cfg.Name == "" && n.namedHere(name)
}

// destination is where a signal goes.
type destination struct {
	via  *link
	node etf.Atom
	to   etf.Term // Pid, Ref or Atom
}

// destination understands what Erlang's send operator does.
func (n *Node) destination(ctx context.Context, to etf.Term) (d destination, err error) {
	switch to := to.(type) {
	case etf.Pid:
		d.node, d.to = to.Node, to
	case etf.Ref:
		d.node, d.to = to.Node, to
	case etf.Atom:
		if n.procs.named(to) == nil {
			return d, fmt.Errorf("%w: %s is not registered", ErrDestination, to)
		}
		d.node, d.to = etf.Atom(n.identity(nil).Name), to
		return d, nil
	case etf.Tuple:
		if len(to) != 2 {
			return d, ErrDestination
		}
		name, ok1 := to[0].(etf.Atom)
		node, ok2 := to[1].(etf.Atom)
		if !ok1 || !ok2 {
			return d, ErrDestination
		}
		d.node, d.to = node, name
	default:
		return d, ErrDestination
	}
	if d.via, err = n.route(ctx, d.node); err != nil || d.via != nil {
		return d, err
	}
	d.to = n.ours(d.to)
	return d, nil
}

// ours turns an identifier of ours as a peer writes it into what we write ourselves: messages carry the former.
func (n *Node) ours(to etf.Term) etf.Term {
	self := n.identity(nil)
	switch to := to.(type) {
	case etf.Pid:
		if p := n.procs.numbered(pidNumber(to)); p != nil && n.incarnation(string(to.Node), to.Creation) {
			return p.pid(nil)
		}
	case etf.Ref:
		if n.incarnation(string(to.Node), to.Creation) {
			to.Node, to.Creation = etf.Atom(self.Name), self.Creation
		}
		return to
	}
	return to
}

// send sends a signal of the process, waiting until the peer takes it or ctx ends.
func (p *Process) send(ctx context.Context, d destination, ctl dist.Control, payload []byte) error {
	if err := p.Err(); err != nil {
		return err
	}
	if d.via == nil {
		return p.node.signal(nil, &ctl, payload)
	}
	if err := d.via.out.settle(ctx, d.via.conn.Done()); err != nil {
		return err
	}
	ctl, payload = d.via.form(ctl, payload)
	return d.via.send(ctx, &ctl, payload)
}

// needs says that the peer must have certain capabilities.
func (d *destination) needs(flags dist.Flags) error {
	if d.via == nil {
		return nil
	}
	if missing := flags &^ d.via.conn.Peer().Flags; missing != 0 {
		return fmt.Errorf("%w: %s", dist.ErrMissingFlags, missing)
	}
	return nil
}

// Send sends a message to a pid, an alias (a Ref), {name, node} (a Tuple of two atoms) or a name registered here. It
// returns when the message is on its way, which is no promise that it arrives. A peer that does not read makes it wait
// until ctx ends; a large message that was begun then is still finished, before the process's next.
func (p *Process) Send(ctx context.Context, to, msg etf.Term) error {
	d, err := p.node.destination(ctx, to)
	if err == nil {
		err = p.sendTo(ctx, d, msg)
	}
	return opError("send", d.node, err)
}

func (p *Process) sendTo(ctx context.Context, d destination, msg etf.Term) error {
	payload, err := etf.Append(nil, msg)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	ctl := dist.Control{To: d.to, From: p.pid(d.via)}
	switch d.to.(type) {
	case etf.Atom:
		ctl.Op = dist.OpRegSend
	case etf.Ref:
		ctl.Op = dist.OpAliasSend
		if err := d.needs(dist.FlagAlias); err != nil {
			return err
		}
	default:
		ctl.Op = dist.OpSend
	}
	return p.send(ctx, d, ctl, payload)
}

func opError(op string, node etf.Atom, err error) error {
	if err == nil {
		return nil
	}
	return &OpError{op, string(node), err}
}

// Kill sends an exit signal, as exit/2 does: with the reason kill it cannot be trapped.
func (p *Process) Kill(ctx context.Context, pid etf.Pid, reason etf.Term) error {
	d, err := p.node.destination(ctx, pid)
	if err != nil {
		return opError("exit", pid.Node, err)
	}
	raw, err := etf.Append(nil, reason)
	if err == nil {
		err = p.send(ctx, d, dist.Control{Op: dist.OpPayloadExit2, From: p.pid(d.via), To: d.to}, raw)
	}
	return opError("exit", pid.Node, err)
}

// Monitor asks to be told of the end of a pid, {name, node} or a name registered here: Receive then returns a Down with
// the reference, at once if the process does not exist (noproc). A name that is not registered here is ErrDestination,
// as it is for Send.
func (p *Process) Monitor(ctx context.Context, target etf.Term) (etf.Ref, error) {
	d, err := p.node.destination(ctx, target)
	if _, alias := d.to.(etf.Ref); alias {
		err = ErrDestination
	}
	if err == nil {
		err = d.needs(dist.FlagDistMonitor | dist.FlagDistMonitorName)
	}
	if err != nil {
		return etf.Ref{}, opError("monitor", d.node, err)
	}
	ref := refOf(p.node.identity(d.via), p.node.procs.ref(), refOfMonitor)
	p.mu.Lock()
	if p.monitors != nil {
		p.monitors[ref] = monitor{d.via, d.to}
	}
	p.mu.Unlock()
	if err := p.send(ctx, d, dist.Control{Op: dist.OpMonitor, From: p.pid(d.via), To: d.to, Ref: ref}, nil); err != nil {
		p.mu.Lock()
		_, ours := p.monitors[ref]
		delete(p.monitors, ref)
		p.mu.Unlock()
		if ours || p.Err() != nil {
			return etf.Ref{}, opError("monitor", d.node, err)
		} // else the connection ended in between, and the Down is there
	}
	return ref, nil
}

// Demonitor takes a monitor back, also out of the mailbox when its Down is there already.
func (p *Process) Demonitor(ctx context.Context, ref etf.Ref) error {
	p.mu.Lock()
	m, ok := p.monitors[ref]
	delete(p.monitors, ref)
	if !ok {
		for i := range p.queue {
			if d, isDown := p.queue[i].msg.(Down); isDown && d.Ref == ref {
				p.queue = append(p.queue[:i:i], p.queue[i+1:]...)
				break
			}
		}
	}
	p.mu.Unlock()
	if !ok {
		return nil
	}
	d := destination{via: m.via, to: m.target}
	err := p.send(ctx, d, dist.Control{Op: dist.OpDemonitor, From: p.pid(d.via), To: d.to, Ref: ref}, nil)
	return opError("demonitor", d.peer(), err)
}

func (d *destination) peer() etf.Atom {
	if d.via == nil {
		return d.node
	}
	return etf.Atom(d.via.conn.Peer().Name)
}

// Link links the process with another: when one ends the other gets an exit signal with the reason.
func (p *Process) Link(ctx context.Context, pid etf.Pid) error {
	d, err := p.node.destination(ctx, pid)
	if err != nil {
		return opError("link", pid.Node, err)
	}
	other := remote{d.via, d.to.(etf.Pid)} //nolint:forcetypeassert // a pid's destination
	p.mu.Lock()
	unlinking, linked := p.links[other]
	if p.links != nil {
		p.links[other] = 0
	}
	p.mu.Unlock()
	if linked && unlinking == 0 {
		return nil
	}
	if err := p.send(ctx, d, dist.Control{Op: dist.OpLink, From: p.pid(d.via), To: d.to}, nil); err != nil {
		p.mu.Lock()
		_, ours := p.links[other]
		delete(p.links, other)
		p.mu.Unlock()
		if ours || p.Err() != nil {
			return opError("link", pid.Node, err)
		} // else the connection ended in between, and the exit signal has come
	}
	return nil
}

// Unlink ends a link. After it no exit signal of that link comes. The peer must know UNLINK_ID (OTP 24 or later; OTP 23
// is refused with dist.ErrMissingFlags): the older way to unlink does not say which of two links in a row it ends.
func (p *Process) Unlink(ctx context.Context, pid etf.Pid) error {
	d, err := p.node.destination(ctx, pid)
	if err == nil {
		err = d.needs(dist.FlagUnlinkID)
	}
	if err != nil {
		return opError("unlink", pid.Node, err)
	}
	other := remote{d.via, d.to.(etf.Pid)} //nolint:forcetypeassert // a pid's destination
	id := p.node.procs.ref()
	p.mu.Lock()
	unlinking, linked := p.links[other]
	if linked = linked && unlinking == 0; linked {
		p.links[other] = id
	}
	p.mu.Unlock()
	if !linked {
		return nil
	}
	err = p.send(ctx, d, dist.Control{Op: dist.OpUnlinkID, ID: id, From: p.pid(d.via), To: d.to}, nil)
	if err != nil {
		p.mu.Lock()
		if p.links[other] == id {
			p.links[other] = 0
		}
		p.mu.Unlock()
	}
	return opError("unlink", pid.Node, err)
}

// Alias makes a reference that messages to the process can be sent to, by the node with the given name and those it
// passes it on to, until Unalias. It lets an answer that comes too late go nowhere.
func (p *Process) Alias(ctx context.Context, name string) (etf.Ref, error) {
	via, err := p.node.route(ctx, etf.Atom(name))
	if err != nil {
		return etf.Ref{}, &OpError{"alias", name, err}
	}
	num := p.node.procs.ref()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != nil {
		return etf.Ref{}, &ExitError{p.reason}
	}
	p.aliases[num] = struct{}{}
	p.node.procs.alias(num, p)
	return refOf(p.node.identity(via), num, refOfAlias), nil
}

// Unalias makes an alias void.
func (p *Process) Unalias(alias etf.Ref) {
	num := refNumber(alias)
	p.mu.Lock()
	_, ok := p.aliases[num]
	delete(p.aliases, num)
	p.mu.Unlock()
	if ok {
		p.node.procs.unalias(num)
	}
}
