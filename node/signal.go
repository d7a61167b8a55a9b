package node

import (
	"fmt"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// maxRelations bounds how many links, and how many monitors, others may have with one process: they are what a peer can
// make us remember.
const maxRelations = 1 << 16

var errRelations = fmt.Errorf("%w: more than %d links or monitors with one process", dist.ErrProtocol, maxRelations)

// identity is who this node is on a connection, or (nil) to itself.
func (n *Node) identity(via *link) dist.Identity {
	if via != nil {
		return via.conn.Local()
	}
	id := dist.Identity{Name: n.cfg.Name, Creation: n.creation}
	if id.Name == "" {
		id.Name = "nonode@nohost" // as erlang:node() says it
	}
	return id
}

// find returns the process that to stands for on a connection, nil if there is none.
func (n *Node) find(via *link, to etf.Term) *Process {
	switch to := to.(type) {
	case etf.Atom:
		return n.procs.named(to)
	case etf.Pid:
		if p := n.procs.numbered(pidNumber(to)); p != nil && p.pid(via) == to { // not one of an earlier connection
			return p
		}
	case etf.Ref:
		if num := refNumber(to); to == refOf(n.identity(via), num, refOfAlias) {
			return n.procs.aliased(num)
		}
	}
	return nil
}

// emit sends a signal that nobody waits for: to a peer by way of its outbox, to this node at once.
func (n *Node) emit(via *link, ctl dist.Control, payload []byte) {
	if via == nil {
		_ = n.signal(nil, &ctl, payload)
		return
	}
	ctl, payload = via.form(ctl, payload)
	via.out.put(outgoing{ctl: ctl, payload: payload}, false)
}

// signal hands a signal to the process that it is for. via is where it came from, nil for this node itself. An error
// ends the connection.
func (n *Node) signal(via *link, ctl *dist.Control, payload []byte) error {
	switch ctl.Op { //nolint:exhaustive // what nobody sends to processes is ignored, as Erlang does
	case dist.OpSend, dist.OpSendSender, dist.OpRegSend, dist.OpAliasSend:
		if p := n.find(via, ctl.To); p != nil {
			p.deliver(mail{via: via, raw: keep(ctl, payload)})
		}
	case dist.OpMonitor:
		return n.monitored(via, ctl)
	case dist.OpDemonitor:
		if p := n.find(via, ctl.To); p != nil {
			p.mu.Lock()
			delete(p.watchers, watching{via, ctl.Ref})
			p.mu.Unlock()
		}
	case dist.OpLink:
		return n.linked(via, ctl)
	case dist.OpUnlink, dist.OpUnlinkID:
		return n.unlinked(via, ctl)
	case dist.OpUnlinkIDAck:
		if from, p := n.pair(via, ctl); p != nil {
			p.mu.Lock()
			if id := p.links[from]; id != 0 && id == ctl.ID {
				delete(p.links, from)
			}
			p.mu.Unlock()
		}
	case dist.OpGroupLeader:
		if p := n.find(via, ctl.To); p != nil {
			p.mu.Lock()
			p.leader = ctl.From
			p.mu.Unlock()
		}
	case dist.OpExit, dist.OpExit2, dist.OpMonitorExit:
		n.ended(via, ctl, ctl.Reason)
	case dist.OpPayloadExit, dist.OpPayloadExit2, dist.OpPayloadMonitorExit:
		reason, _, err := etf.Decode(payload)
		if err != nil {
			return fmt.Errorf("%w: exit reason: %w", dist.ErrProtocol, err)
		}
		n.ended(via, ctl, reason)
	}
	return nil
}

// pair returns the two processes of a link signal: theirs, and ours if it is alive.
func (n *Node) pair(via *link, ctl *dist.Control) (remote, *Process) {
	from, _ := ctl.From.(etf.Pid)
	return remote{via, from}, n.find(via, ctl.To)
}

func (n *Node) monitored(via *link, ctl *dist.Control) error {
	from, p := n.pair(via, ctl)
	if p == nil && via != nil && via.serves(ctl.To) {
		return nil
	}
	alive, full := p.relate(func() int { p.watchers[watching{via, ctl.Ref}] = watcher{from.pid, ctl.To}; return len(p.watchers) })
	if !alive {
		return n.owe(via, dist.Control{Op: dist.OpPayloadMonitorExit, From: ctl.To, To: ctl.From, Ref: ctl.Ref}, noproc)
	}
	return full
}

func (n *Node) linked(via *link, ctl *dist.Control) error {
	from, p := n.pair(via, ctl)
	alive, full := p.relate(func() int {
		if _, ok := p.links[from]; !ok { // also one that we are unlinking stays what it is
			p.links[from] = 0
		}
		return len(p.links)
	})
	if !alive {
		return n.owe(via, dist.Control{Op: dist.OpPayloadExit, From: ctl.To, To: ctl.From}, noproc)
	}
	return full
}

// relate adds a relation to a process that is alive; add returns how many there are then.
func (p *Process) relate(add func() int) (alive bool, full error) {
	if p == nil {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != nil {
		return false, nil
	}
	if add() > maxRelations {
		full = errRelations
	}
	return true, full
}

// unlinked ends a link from the other side. A link that we are ending ourselves stays until the other side has
// acknowledged that.
func (n *Node) unlinked(via *link, ctl *dist.Control) error {
	from, p := n.pair(via, ctl)
	ack := dist.Control{Op: dist.OpUnlinkIDAck, ID: ctl.ID, From: ctl.To, To: ctl.From}
	if p != nil {
		p.mu.Lock()
		if id, ok := p.links[from]; ok && id == 0 {
			delete(p.links, from)
		}
		if via != nil && ctl.Op == dist.OpUnlinkID {
			defer p.mu.Unlock() // later: a new link, made when the old one is gone, must come behind the acknowledgement
			return via.answer(ack, nil)
		}
		p.mu.Unlock()
	}
	if ctl.Op == dist.OpUnlink {
		return nil // has no answer
	}
	return n.owe(via, ack, nil)
}

// owe answers a signal. The caller holds no lock: an answer to this node is taken at once.
func (n *Node) owe(via *link, ctl dist.Control, reason etf.Term) error {
	if via != nil {
		return via.answer(ctl, reason)
	}
	ctl.Reason = reason
	switch ctl.Op { //nolint:exhaustive // the answers there are
	case dist.OpPayloadMonitorExit:
		ctl.Op = dist.OpMonitorExit
	case dist.OpPayloadExit:
		ctl.Op = dist.OpExit
	}
	return n.signal(nil, &ctl, nil)
}

// ended takes an exit signal (of a link, or by exit/2), or the end of a monitored process.
func (n *Node) ended(via *link, ctl *dist.Control, reason etf.Term) {
	from, p := n.pair(via, ctl)
	if p == nil {
		return
	}
	if ctl.Op == dist.OpMonitorExit || ctl.Op == dist.OpPayloadMonitorExit {
		p.down(via, ctl.Ref, reason)
		return
	}
	if ctl.Op == dist.OpExit || ctl.Op == dist.OpPayloadExit {
		p.mu.Lock()
		unlinking, ok := p.links[from]
		if ok && unlinking == 0 {
			delete(p.links, from)
		}
		p.mu.Unlock()
		if !ok || unlinking != 0 {
			return // of a link that is no more
		}
	} else if reason == killed {
		p.end(etf.Atom("killed"))
		return
	}
	p.exit(from.pid, reason)
}

// exit applies an exit signal.
func (p *Process) exit(from etf.Pid, reason etf.Term) {
	p.mu.Lock()
	trap := p.trap
	p.mu.Unlock()
	switch {
	case trap:
		p.deliver(mail{msg: Exit{from, reason}})
	case reason != normal:
		p.end(reason)
	}
}

// down delivers the end of a monitored process, once.
func (p *Process) down(via *link, ref etf.Ref, reason etf.Term) {
	p.mu.Lock()
	m, ok := p.monitors[ref]
	ok = ok && m.via == via
	if ok {
		delete(p.monitors, ref)
	}
	p.mu.Unlock()
	if !ok {
		return
	}
	from := m.target
	if name, named := from.(etf.Atom); named {
		node := etf.Atom(p.node.identity(nil).Name)
		if via != nil {
			node = etf.Atom(via.conn.Peer().Name)
		}
		from = etf.Tuple{name, node}
	}
	p.deliver(mail{msg: Down{ref, from, reason}})
}

// lost tells a process that a connection is gone, and with it all that was linked or monitored over it.
func (p *Process) lost(via *link) {
	var linked []etf.Pid
	var down []etf.Ref
	p.mu.Lock()
	for r, unlinking := range p.links {
		if r.via == via {
			delete(p.links, r)
			if unlinking == 0 {
				linked = append(linked, r.pid)
			}
		}
	}
	for ref, m := range p.monitors {
		if m.via == via {
			down = append(down, ref)
		}
	}
	for m := range p.watchers {
		if m.via == via {
			delete(p.watchers, m)
		}
	}
	p.mu.Unlock()
	for _, ref := range down {
		p.down(via, ref, noconnection)
	}
	for _, pid := range linked {
		p.exit(pid, noconnection)
	}
}
