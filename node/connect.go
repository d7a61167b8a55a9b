package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	if p.TLS != nil {
		if nc, err = secure(ctx, nc, p.TLS, host); err != nil {
			return nil, err
		}
	}
	local := dist.Identity{Name: n.cfg.Name, Creation: n.creation, Flags: n.flags()}
	if local.Name == "" {
		local.Name = host // asks for a dynamic name
	}
	l := newLink(n)
	l.conn, err = dist.Dial(ctx, nc, dist.Config{
		Local: local, Peer: p.Name, Cookie: cookie, Evict: n.cfg.Name != "", TickTime: n.cfg.TickTime, Receiver: l, TLS: p.TLS != nil,
	})
	if err == nil {
		return l, nil
	}
	var remote *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: the node accepts the connection and does not answer: %w", ErrTimeout, err)
	case errors.As(err, &remote) && remote.Op == "remote error": // TLS 1.3: how a server refuses our certificate
		return nil, fmt.Errorf("%w: %w", ErrTLS, err)
	}
	return nil, err
}

// flags are what this node offers: to be called by Erlang, and with Config.Visible to be seen.
func (n *Node) flags() dist.Flags {
	flags := dist.Hidden | dist.FlagSpawn | dist.FlagAlias
	if n.cfg.Visible {
		flags |= dist.FlagPublished
	}
	return flags
}

// secure is the client's side of TLS with the node on host.
func secure(ctx context.Context, nc net.Conn, cfg *tls.Config, host string) (net.Conn, error) {
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			return nil, timeout(ctx, "the node's TLS handshake")
		}
		return nil, fmt.Errorf("%w: %w", ErrTLS, err)
	}
	return tc, nil
}

// resolve finds the address of the node's distribution listener.
func (n *Node) resolve(ctx context.Context, p Peer, host string) (string, error) {
	if p.Addr != "" {
		return p.Addr, nil
	}
	at := p.EPMD
	if at == "" {
		at = EPMDAddr(host)
	}
	alive, _, _ := strings.Cut(p.Name, "@")
	client := epmd.Client{Addr: at}
	reg, err := client.Lookup(ctx, alive)
	switch {
	case err == nil:
		return net.JoinHostPort(host, strconv.Itoa(int(reg.Port))), nil
	case errors.Is(err, epmd.ErrNotRegistered):
		missing := &NameError{EPMD: at, Alive: alive}
		if known, err := client.Names(ctx); err == nil { // else what is asked for is known all the same
			missing.Known = make([]string, 0, len(known))
			for _, k := range known {
				missing.Known = append(missing.Known, k.Name)
			}
		}
		return "", missing
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
	var slow net.Error
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		<-ctx.Done() // the dialler has a clock of its own, and it may be the first
	}
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("%w: %s", ErrUnresolved, dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w by %s, %s", ErrRefused, addr, what)
	case ctx.Err() != nil:
		return timeout(ctx, what+" at "+addr)
	case errors.As(err, &slow) && slow.Timeout(): // the system's own
		return fmt.Errorf("%w waiting for %s at %s: %w", ErrTimeout, what, addr, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
