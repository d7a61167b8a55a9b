package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/node"
)

// explain makes a finding of the error on which a rung broke: what package checks knows of it, with what this ladder
// has seen.
func (c *climber) explain(ctx context.Context, rung string, err error) *checks.Finding {
	if f, ok := errors.AsType[*checks.Finding](err); ok {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, node.ErrTimeout) {
		err = fmt.Errorf("%w after %v: %w", node.ErrTimeout, c.step, err)
	}
	if rung == "tcp" && errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w: %w", node.ErrRefused, err)
	}
	f := checks.Unreachable(c.t, err)
	if c.t.Down != nil {
		return f
	}
	switch rung {
	case "epmd":
		c.explainEPMD(ctx, f, err)
	case "tcp":
		c.explainTCP(f, err)
	case "handshake":
		c.explainHandshake(ctx, f, err)
	case "cookie":
		c.explainCookie(f, err)
	case "net_kernel", "apps":
		c.explainSilence(f, rung, err)
	}
	return f
}

// explainEPMD looks at what has the port instead.
func (c *climber) explainEPMD(ctx context.Context, f *checks.Finding, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		f.Saw = fmt.Sprintf("%s: connection refused", c.epmds)
		f.Fix += "; where EPMD cannot be reached, give the node's address: name@host=address:port"
		return
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		f.Cause = "packets to the EPMD are dropped (a firewall), or the host is down"
		f.Fix = "open port 4369 between the hosts, or give the node's address: name@host=address:port"
		return
	}
	f.Saw = fmt.Sprintf("%s accepts the connection, and is not an EPMD: %v", c.epmds, err)
	f.Cause = "something else has EPMD's port, or the EPMD hangs"
	f.Fix = "find out what listens there; ERL_EPMD_PORT says where the EPMD is"
	if a := probe(ctx, c.epmds); a != nil {
		f.Saw = fmt.Sprintf("%s accepts the connection, and is not an EPMD: %s", c.epmds, a.saw)
	}
	if h := c.local(c.epmds); h != nil {
		f.Saw += "; " + h.String()
	}
}

// explainTCP says which address was tried, and that there may be others.
func (c *climber) explainTCP(f *checks.Finding, err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Saw = c.addr + ": connection refused"
		if c.t.Addr != "" {
			f.Cause = "nothing listens at the address that was given"
			f.Fix = "give the address of the node's distribution listener, or none, so that EPMD is asked"
			return
		}
		f.Cause = "the node has died and its EPMD has not noticed, it listens on another address of the host, or a firewall rejects the port"
		f.Fix = "look whether the node's process lives, and on which address it listens (inet_dist_use_interface)"
	case errors.Is(err, node.ErrTimeout):
		f.Saw = fmt.Sprintf("%s: no answer to a connection attempt in %v", c.addr, c.step)
		f.Cause = "packets are dropped on the way (a firewall), or the host is down; EPMD's port being open does not mean that the node's is"
		f.Fix = "open the node's distribution port (inet_dist_listen_min, inet_dist_listen_max) between the hosts"
	}
}

// explainHandshake finds out what it is that does not answer, or not as a node does.
func (c *climber) explainHandshake(ctx context.Context, f *checks.Finding, err error) {
	if wrong, ok := errors.AsType[*dist.WrongNameError](err); ok {
		f.What = fmt.Sprintf("the node that answers for %s is called %s", c.t.Name, wrong.Got)
		f.Fix = "call it " + wrong.Got
		return
	}
	strange := errors.Is(err, dist.ErrProtocol) || errors.Is(err, dist.ErrClosedInHandshake)
	silent := errors.Is(err, node.ErrTimeout)
	if !strange && !silent {
		return
	}
	seen := c.rec.first()
	if c.t.TLS != nil { // what came are records of TLS; checks.Unreachable knows the rest
		if silent && len(seen) == 0 {
			f.What = c.t.Name + " does not answer a TLS hello"
			f.Saw = fmt.Sprintf("%s accepts the connection, and not a byte comes back in %v", c.addr, c.step)
			f.Cause = "the node has no TLS (-proto_dist inet_tls), and waits for the rest of what it takes for its own handshake; or it is stopped or hangs"
			f.Fix = "leave out the --tls flags"
			c.explainHolder(f, nil)
		}
		return
	}
	a := recognize(seen)
	if a == nil && (silent || len(seen) == 0) {
		a = probe(ctx, c.addr)
	}
	if a != nil {
		f.What = c.t.Name + " cannot be reached: what listens there does not speak the distribution protocol"
		if a.tls {
			f.What = c.t.Name + " cannot be reached: what listens there wants TLS"
		}
		f.Saw, f.Cause, f.Fix = c.addr+": "+a.saw, a.cause, a.fix
	} else if strange && len(seen) > 0 {
		f.Saw = fmt.Sprintf("%s: it says %s, %s", c.addr, hexBytes(seen), printable(seen))
		f.Cause, f.Fix = "something else than a node has the port", otherFix
	} else {
		f.Saw = fmt.Sprintf("%s accepts the connection, and not a byte comes back in %v", c.addr, c.step)
		f.Cause = "the node is stopped (SIGSTOP) or hangs, its net_kernel does not take connections, or packets are dropped on the way"
		f.Fix = "look at its process and its log; give it longer with --timeout"
		if errors.Is(err, dist.ErrClosedInHandshake) {
			f.Saw = c.addr + " accepts the connection and closes it without a word"
			f.Cause = "the node's own acceptor is not ready, its net_kernel has just restarted, a proxy has no node behind it, or something else has the port"
			f.Fix = otherFix
		}
	}
	c.explainHolder(f, a)
}

// explainHolder adds what this machine knows of the process behind the port, where it is one of its own.
func (c *climber) explainHolder(f *checks.Finding, a *answer) {
	h := c.local(c.addr)
	if h == nil {
		return
	}
	f.Saw += "; " + h.String()
	switch {
	case a != nil:
	case h.stopped():
		f.What = c.t.Name + " does not answer: its process is stopped"
		f.Cause = "somebody has sent it SIGSTOP, or a debugger holds it"
		f.Fix = fmt.Sprintf("let it go on: kill -CONT %d", h.pid)
	case h.beam() && c.t.TLS == nil:
		f.What = c.t.Name + " does not answer: its VM runs, and its net_kernel does not take connections"
		f.Cause = "net_kernel is suspended (sys:suspend) or waits for something; or the whole VM is overloaded"
		f.Fix = "look at net_kernel from a node that is connected already: erpc:call(Node, sys, get_status, [net_kernel]); sys:resume(net_kernel) ends a suspension"
	}
}

// explainCookie says which side has refused.
func (c *climber) explainCookie(f *checks.Finding, err error) {
	hs, ok := errors.AsType[*dist.HandshakeError](err)
	if !ok {
		return
	}
	f.Saw = fmt.Sprintf("%s gave its challenge, and closed the connection when it had our answer to it (%s)", c.t.Name, hs.Step)
	f.Cause += "; its own log then has: Connection attempt … rejected. Invalid challenge reply"
}

// explainSilence is for a node that has accepted us, and then does not do what it should.
func (c *climber) explainSilence(f *checks.Finding, rung string, err error) {
	if !errors.Is(err, node.ErrTimeout) {
		return
	}
	who, does := "net_kernel", "answer a ping"
	if rung == "apps" {
		who, does = "application_controller", "say which applications run"
	}
	f.What = fmt.Sprintf("%s: its %s does not answer", c.t.Name, who)
	f.Saw = fmt.Sprintf("the handshake is complete, and %s did not %s in %v", who, does, c.step)
	f.Cause = "the process is suspended, hangs in a call of its own, or has a long mailbox; while applications start, application_controller may wait for one"
	f.Fix = fmt.Sprintf("look what it does: process_info(whereis(%s))", who)
}

// local returns the process that listens at addr if that is an address of this machine, else nil.
func (c *climber) local(addr string) *holder {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil
	}
	ips := c.addrs
	if ip := net.ParseIP(host); ip != nil {
		ips = []string{host}
	}
	ours, err := net.InterfaceAddrs()
	if err != nil || !slices.ContainsFunc(ips, func(s string) bool {
		ip := net.ParseIP(s)
		return ip != nil && (ip.IsLoopback() || slices.ContainsFunc(ours, func(a net.Addr) bool { return strings.HasPrefix(a.String(), ip.String()+"/") }))
	}) {
		return nil
	}
	pid, cmd, ok := checks.PortHolder(number)
	if !ok {
		return nil
	}
	return &holder{pid: pid, cmd: cmd, state: processState(pid)}
}

// holder is the process that has a port of this machine.
type holder struct {
	pid   int
	cmd   string
	state byte // as /proc has it: R, S, D, T, Z; 0: not known
}

func (h *holder) stopped() bool { return h.state == 'T' || h.state == 't' }

// beam tells whether it is an Erlang VM: beam.smp, or beam. beamctl is none.
func (h *holder) beam() bool { return h.cmd == "beam" || strings.HasPrefix(h.cmd, "beam.") }

func (h *holder) String() string {
	s := fmt.Sprintf("%s (pid %d) listens there", h.cmd, h.pid)
	if h.stopped() {
		s += ", and is stopped (state T)"
	}
	return s
}
