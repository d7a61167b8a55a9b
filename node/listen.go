package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
)

const (
	// handshakeTime is how long the handshake of a node that connects to us may take: OTP's default net_setuptime.
	handshakeTime = 7 * time.Second
	// setupTime bounds an attempt of ours to connect, from EPMD on. The node, which has its own net_setuptime, is to
	// have the last word.
	setupTime = handshakeTime + time.Second
	// maxHandshakes bounds the connections that have not yet proven the cookie: all nodes of a large cluster coming
	// back at once.
	maxHandshakes = 256
	// acceptPause is how long a listener rests when the system has no descriptor to give.
	acceptPause = 100 * time.Millisecond
)

// ListenConfig says where other nodes may connect to this one.
type ListenConfig struct {
	Addr string // host:port; port 0 for a free one. Default: 127.0.0.1:0
	// EPMD is the host:port of the EPMD to register with. Default: as for a Peer of this node's name.
	EPMD string
	// Unregistered asks no EPMD: peers must know the address.
	Unregistered bool
	// TLS makes it a listener for nodes with -proto_dist inet_tls. Its ClientAuth should be tls.RequireAndVerifyClientCert.
	TLS *tls.Config
}

type listener struct {
	net.Listener
	kept *epmd.Kept
	tls  *tls.Config
	slot chan struct{} // one for each handshake
}

// Listen opens this node, which must have a Config.Name, to connections from others, until Close. Who has the cookie
// may connect, may ask for a dynamic name, and can then be called over that connection. The name is kept registered
// when the EPMD restarts.
func (n *Node) Listen(ctx context.Context, cfg ListenConfig) (net.Addr, error) {
	switch {
	case n.cfg.Name == "":
		return nil, &OpError{"listen", "", ErrNoName}
	case n.cfg.Cookie.IsZero():
		return nil, &OpError{"listen", n.cfg.Name, dist.ErrNoCookie}
	case cfg.Addr == "":
		cfg.Addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	nl, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, &OpError{"listen", n.cfg.Name, err}
	}
	ln := &listener{Listener: nl, tls: cfg.TLS, slot: make(chan struct{}, maxHandshakes)}
	if err := n.publish(ctx, ln, cfg); err != nil {
		ln.close()
		return nil, &OpError{"listen", n.cfg.Name, err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		err = ErrClosed
	case n.listener != nil:
		err = errors.New("it listens already")
	}
	if err != nil {
		ln.close()
		return nil, &OpError{"listen", n.cfg.Name, err}
	}
	n.listener = ln
	n.owned.Go(func() { n.acceptLoop(ln) }) //nolint:contextcheck // it lives as long as the node, not as this call
	return nl.Addr(), nil
}

// publish registers the listener with the EPMD.
func (n *Node) publish(ctx context.Context, ln *listener, cfg ListenConfig) error {
	if cfg.Unregistered {
		return nil
	}
	alive, host, _ := strings.Cut(n.cfg.Name, "@")
	if cfg.EPMD == "" {
		cfg.EPMD = EPMDAddr(host)
	}
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("no port in %s", ln.Addr())
	}
	reg := epmd.Node{Name: alive, Port: uint16(tcp.Port), Type: epmd.TypeHidden, HighestVersion: 6, LowestVersion: 5} //nolint:gosec // a port
	if n.cfg.Visible {
		reg.Type = epmd.TypeNormal
	}
	var err error
	ln.kept, err = (&epmd.Client{Addr: cfg.EPMD}).Keep(ctx, reg, nil)
	return err
}

func (ln *listener) close() {
	_ = ln.Close()
	if ln.kept != nil {
		_ = ln.kept.Close()
	}
}

func (n *Node) listening() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listener != nil
}

func (n *Node) acceptLoop(ln *listener) {
	for {
		nc, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-n.ctx.Done():
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		select {
		case ln.slot <- struct{}{}:
		default: // a flood: whoever means it tries again
			_ = nc.Close()
			continue
		}
		if n.own(func() { n.accept(ln, nc); <-ln.slot }) != nil {
			_ = nc.Close()
		}
	}
}

// accept performs the handshake with a node that has connected. What goes wrong there is the other side's to report.
func (n *Node) accept(ln *listener, nc net.Conn) {
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTime)
	defer cancel()
	if ln.tls != nil {
		tc := tls.Server(nc, ln.tls)
		if tc.HandshakeContext(ctx) != nil {
			_ = nc.Close()
			return
		}
		nc = tc
	}
	l := newLink(n)
	var given dist.Identity // by us
	conn, err := dist.Accept(ctx, nc, dist.Config{
		Local:  dist.Identity{Name: n.cfg.Name, Creation: n.creation, Flags: n.flags()},
		Cookie: n.cfg.Cookie, TickTime: n.cfg.TickTime, Receiver: l, TLS: ln.tls != nil,
	}, func(peer dist.Identity) dist.Admission {
		a := n.admit(peer)
		given = dist.Identity{Name: a.Name, Creation: a.Creation}
		return a
	})
	if err != nil {
		n.names.release(given)
		return
	}
	n.names.prove(given.Name)
	l.conn = conn
	_ = n.install(l, true)
}

// admit decides about a node that wants to connect (dist_util:mark_pending, net_kernel's accept_pending): if we are
// connecting to it at this moment, the attempt of the node with the greater name goes on, the other's is given up.
func (n *Node) admit(peer dist.Identity) dist.Admission {
	if peer.Flags.Has(dist.FlagNameMe) {
		name, creation, err := n.names.grant(peer.Name)
		if err != nil {
			return dist.Admission{Status: dist.StatusNotAllowed}
		}
		return dist.Admission{Name: name, Creation: creation}
	}
	if peer.Name == n.cfg.Name {
		return dist.Admission{Status: dist.StatusNotAllowed}
	}
	n.mu.Lock()
	p := n.peers[peer.Name]
	n.mu.Unlock()
	if p == nil {
		return dist.Admission{Status: dist.StatusOK}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a := dist.Admission{Status: dist.StatusOK, Cookie: p.how.Cookie}
	switch {
	case p.link != nil:
		a.Status = dist.StatusAlive
	case p.dialing != nil && n.cfg.Name > peer.Name:
		a.Status = dist.StatusNotOK
	case p.dialing != nil:
		a.Status = dist.StatusSimultaneous
	}
	return a
}
