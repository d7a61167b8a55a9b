package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
)

// dial climbs the ladder to a node: resolve, EPMD, name, TCP, handshake. Each rung fails with its own error.
func (n *Node) dial(ctx context.Context, p Peer) (*link, error) {
	host := dist.Host(p.Name)
	addr, err := n.resolve(ctx, p, host)
	if err != nil {
		return nil, err
	}
	cookie := p.Cookie
	if cookie.IsZero() {
		cookie = n.cfg.Cookie
	}
	if cookie.IsZero() {
		return nil, dist.ErrNoCookie
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, dialError(ctx, err, addr, "its distribution port")
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
	}
	local := dist.Identity{Name: n.cfg.Name, Creation: n.creation, Flags: dist.Hidden}
	if local.Name == "" {
		local.Name = host // asks for a dynamic name
	}
	l := newLink(p.Name)
	conn, err := dist.Dial(ctx, nc, dist.Config{
		Local: local, Peer: p.Name, Cookie: cookie, Evict: n.cfg.Name != "", TickTime: n.cfg.TickTime, Receiver: l,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: the node accepts the connection and does not answer: %w", ErrTimeout, err)
		}
		return nil, err
	}
	l.up(conn)
	return l, nil
}

// resolve finds the address of the node's distribution listener.
func (n *Node) resolve(ctx context.Context, p Peer, host string) (string, error) {
	if p.Addr != "" {
		return p.Addr, nil
	}
	at := p.EPMD
	if at == "" {
		at = epmdAddr(host)
	}
	alive, _, _ := strings.Cut(p.Name, "@")
	reg, err := (&epmd.Client{Addr: at}).Lookup(ctx, alive)
	switch {
	case err == nil:
		return net.JoinHostPort(host, strconv.Itoa(int(reg.Port))), nil
	case errors.Is(err, epmd.ErrNotRegistered):
		return "", fmt.Errorf("%w with the EPMD at %s as %q", ErrNoSuchName, at, alive)
	}
	var opErr *net.OpError
	if errors.As(err, &opErr) && opErr.Op == "dial" {
		err = dialError(ctx, err, at, "its EPMD")
		if errors.Is(err, ErrRefused) {
			return "", fmt.Errorf("%w at %s (connection refused)", ErrNoEPMD, at)
		}
		return "", err
	}
	if ctx.Err() != nil {
		return "", timeout(ctx, "the EPMD at "+at)
	}
	return "", fmt.Errorf("%w at %s: %w", ErrNoEPMD, at, err)
}

func dialError(ctx context.Context, err error, addr, what string) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("%w: %s", ErrUnresolved, dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w by %s, %s", ErrRefused, addr, what)
	case ctx.Err() != nil:
		return timeout(ctx, what+" at "+addr)
	}
	return fmt.Errorf("%s: %w", what, err)
}
