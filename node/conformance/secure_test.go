package conformance

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

var secureCases = []Case{
	{"TLS to the node, both certificates verified", tlsOut},
	{"TLS from the node, both certificates verified", tlsIn},
	{"IPv6, both ways", ipv6},
}

func tlsOut(t *testing.T, e *Env) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	ours := ca.Issue("go", "127.0.0.1")
	ca.Issue("erl", "127.0.0.1")
	erl := e.Erl("a", ca.Args("erl")...)
	connect := func(cfg *tls.Config) (*node.Node, error) {
		n := e.Start(node.Config{})
		p := e.Cluster().Peer(erl)
		p.TLS = cfg
		require.NoError(t, n.AddPeer(p))
		err := n.Connect(t.Context(), erl.Name)
		for end := time.Now().Add(caseTime / 4); errors.Is(err, node.ErrTimeout) && time.Now().Before(end); { // a handshake is slow where all is
			err = n.Connect(t.Context(), erl.Name)
		}
		return n, err
	}
	trusting := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool, Certificates: certs, MinVersion: tls.VersionTLS12}
	}
	var n *node.Node
	require.Eventually(t, func() bool { // it listens a moment after it has registered
		var err error
		n, err = connect(trusting(ours))
		return err == nil
	}, caseTime/2, 20*time.Millisecond)
	e.overTLS(&Peer{erl, n, t})

	_, err := connect(trusting())
	require.ErrorIs(t, err, node.ErrTLS, "no certificate")
	_, err = connect(trusting(other.Issue("go", "127.0.0.1")))
	require.ErrorIs(t, err, node.ErrTLS, "a stranger's certificate")
	_, err = connect(&tls.Config{RootCAs: other.Pool, Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12})
	require.ErrorIs(t, err, node.ErrTLS, "a server that we do not trust")
	_, err = connect(nil)
	require.Error(t, err, "no TLS at all")
}

// overTLS uses a connection: small and large terms, both ways.
func (e *Env) overTLS(p *Peer) {
	t := e.t
	require.NoError(t, p.Node.Ping(t.Context(), p.Name))
	data := blob(4 << 20)
	assert.Equal(t, int64(len(data)), p.Call("erlang", "byte_size", data))
	got, ok := p.Call("binary", "copy", []byte("0123456789abcdef"), 4<<16).([]byte)
	assert.True(t, ok && len(got) == len(data))
	assert.Equal(t, etf.Atom("pong"), p.Call("net_adm", "ping", p.Us()))
}

func tlsIn(t *testing.T, e *Env) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	n, _ := e.Open(node.Config{Name: goName}, node.ListenConfig{TLS: &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("go", "127.0.0.1")}, MinVersion: tls.VersionTLS12,
		ClientCAs: ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	events, stop := n.Events()
	defer stop()
	ca.Issue("erl", "127.0.0.1")
	erl := e.Erl("a", append(ca.Args("erl"), "-eval", `F = fun F() -> net_adm:ping('go@127.0.0.1') =:= pong orelse F() end, F()`)...)
	assert.Equal(t, node.Event{Node: erl.Name, Up: true, Inbound: true}, next(t, events))
	e.overTLS(&Peer{erl, n, t})

	ping := func(args []string) string {
		return e.Script(`io:format("~p", [net_adm:ping('go@127.0.0.1')])`,
			append(args, "-name", "b@127.0.0.1", "-hidden", "-kernel", "logger_level", "none")...)
	}
	other.Issue("erl", "127.0.0.1")
	assert.Contains(t, ping(other.Args("erl")), "pang", "a stranger's certificate")
	assert.Contains(t, ping(nil), "pang", "no TLS at all")
	assert.Equal(t, []string{erl.Name}, n.Nodes())
}

func ipv6(t *testing.T, e *Env) {
	epmd := e.Cluster().EPMD
	_, port, err := net.SplitHostPort(epmd.Addr)
	require.NoError(t, err)
	at, err := epmd.Server.Listen("[::1]:"+port, "")
	require.NoError(t, err)
	erl := e.Cluster().ErlAs(e.Bin, "six@::1", "-proto_dist", "inet6_tcp", "-kernel", "inet_dist_use_interface", "{0,0,0,0,0,0,0,1}")
	n := e.Start(node.Config{})
	how := e.Cluster().Peer(erl)
	how.EPMD = at.String()
	require.NoError(t, n.AddPeer(how))
	require.Eventually(t, func() bool { return n.Ping(t.Context(), erl.Name) == nil }, caseTime/2, tick)

	open, addr := e.Open(node.Config{Name: "go@::1"}, node.ListenConfig{Addr: "[::1]:0", EPMD: at.String()})
	assert.Contains(t, addr, "[::1]:")
	p := &Peer{erl, n, t}
	assert.Equal(t, etf.Atom("pong"), p.Call("net_adm", "ping", etf.Atom("go@::1")))
	assert.Equal(t, []string{erl.Name}, open.Nodes())
	assert.Equal(t, etf.Atom(erl.Name), (&Peer{erl, open, t}).Call("erlang", "node"))
}
