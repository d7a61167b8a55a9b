package codesync

import (
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// proxy passes connections on to a node, until it is cut: then they end, or freeze.
type proxy struct {
	addr string

	ln     net.Listener
	over   sync.WaitGroup
	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{}
}

func newProxy(t *testing.T, epmdAddr, name string) *proxy {
	t.Helper()
	alive, _, _ := strings.Cut(name, "@")
	reg, err := (&epmd.Client{Addr: epmdAddr}).Lookup(t.Context(), alive)
	require.NoError(t, err)
	target := "127.0.0.1:" + strconv.Itoa(int(reg.Port))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{addr: ln.Addr().String(), ln: ln, frozen: make(chan struct{})}
	p.over.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			p.over.Go(func() { p.pass(in, out) })
			p.over.Go(func() { p.pass(out, in) })
		}
	})
	t.Cleanup(func() { p.cut(); p.over.Wait() })
	return p
}

func (p *proxy) pass(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-p.frozen:
			_, _ = io.Copy(io.Discard, from) // until it is cut
			return
		default:
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

// cut ends all connections, and lets no new ones in.
func (p *proxy) cut() {
	_ = p.ln.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// freeze lets nothing through any more, and says so to nobody.
func (p *proxy) freeze() { close(p.frozen) }
