package node_test

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

func TestTLS(t *testing.T) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	ours := ca.Issue("go", "127.0.0.1")
	ca.Issue("erl", "127.0.0.1")
	client := func(certs ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: ca.Pool, Certificates: certs} }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a", ca.Args("erl")...)
			connect := func(cfg *tls.Config) (*node.Node, error) {
				n := c.Node()
				if cfg != nil {
					cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, version
				}
				require.NoError(t, n.AddPeer(node.Peer{Name: e.Name, EPMD: c.EPMD.Addr, TLS: cfg}))
				err := n.Connect(t.Context(), e.Name)
				for end := time.Now().Add(patience); errors.Is(err, node.ErrTimeout) && time.Now().Before(end); { // a handshake is slow where all is
					err = n.Connect(t.Context(), e.Name)
				}
				return n, err
			}
			var n *node.Node
			require.Eventually(t, func() bool { // it registers before it listens, and the first handshake loads the code
				var err error
				n, err = connect(client(ours))
				return err == nil
			}, patience, 20*time.Millisecond)
			require.NoError(t, n.Ping(t.Context(), e.Name))
			big := make([]byte, 4<<20)
			got, err := n.Call(t.Context(), e.Name, "erlang", "byte_size", big)
			require.NoError(t, err)
			assert.Equal(t, int64(len(big)), got)
			got, err = n.Call(t.Context(), e.Name, "binary", "copy", []byte("x"), 4<<20)
			require.NoError(t, err)
			assert.Len(t, got, 4<<20)

			// Who is not who they should be.
			_, err = connect(client())
			require.ErrorIs(t, err, node.ErrTLS, "no certificate")
			_, err = connect(client(other.Issue("go", "127.0.0.1")))
			require.ErrorIs(t, err, node.ErrTLS, "a stranger's certificate")
			_, err = connect(&tls.Config{RootCAs: other.Pool, Certificates: []tls.Certificate{ours}})
			require.ErrorIs(t, err, node.ErrTLS, "a server that we do not trust")
			_, err = connect(&tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{ours}, ServerName: "elsewhere"})
			require.ErrorIs(t, err, node.ErrTLS, "a server by another name")
			_, err = connect(nil)
			require.Error(t, err, "no TLS at all")
		})
	}
}

// A node that listens with TLS takes Erlang nodes whose certificates it trusts, in both directions of trust.
func TestListenTLS(t *testing.T) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	ours := ca.Issue("go", "127.0.0.1")
	ca.Issue("erl", "127.0.0.1")
	c := nodetest.New(t)
	n, err := node.Start(node.Config{Name: "go@127.0.0.1", Cookie: c.Cookie})
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Listen(t.Context(), node.ListenConfig{EPMD: c.EPMD.Addr, TLS: &tls.Config{
		Certificates: []tls.Certificate{ours}, ClientCAs: ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}})
	require.NoError(t, err)
	serve(t, n, nil)
	ping := func(args []string) string {
		return c.Run(append(args, "-name", "erl@127.0.0.1", "-hidden", "-kernel", "logger_level", "none",
			"-eval", `net_adm:ping('go@127.0.0.1'), % which loads the code, and on a busy machine takes longer than a handshake may
				P = net_adm:ping('go@127.0.0.1'), io:format("~p ~p", [P, catch gen_server:call({counter, 'go@127.0.0.1'}, get, 60000)]), halt().`)...)
	}
	assert.Equal(t, "pong 0", ping(ca.Args("erl")))
	other.Issue("erl", "127.0.0.1")
	assert.Contains(t, ping(other.Args("erl")), "pang", "a stranger's certificate")
	assert.Contains(t, ping(nil), "pang", "no TLS at all")

	// It stays, and its connection serves us.
	e := c.Erl("a", append(ca.Args("erl"), "-eval", `(fun Try() -> net_adm:ping('go@127.0.0.1') =:= pong orelse Try() end)()`)...)
	require.Eventually(t, func() bool { return len(n.Nodes()) == 1 }, patience, 5*time.Millisecond)
	got, err := n.Call(t.Context(), e.Name, "erlang", "node")
	require.NoError(t, err)
	assert.Equal(t, etf.Atom(e.Name), got)
}

func TestIPv6(t *testing.T) {
	c := nodetest.New(t)
	_, port, err := net.SplitHostPort(c.EPMD.Addr)
	require.NoError(t, err)
	_, err = c.EPMD.Server.Listen("[::1]:"+port, "")
	require.NoError(t, err)
	e := c.ErlAs("", "six@::1", "-proto_dist", "inet6_tcp", "-kernel", "inet_dist_use_interface", "{0,0,0,0,0,0,0,1}")
	n := c.Node() // by the name alone: its host is where its EPMD is
	t.Setenv("ERL_EPMD_PORT", port)
	require.Eventually(t, func() bool { return n.Ping(t.Context(), e.Name) == nil }, patience, 10*time.Millisecond)

	// And the other way round: it connects to us.
	g, err := node.Start(node.Config{Name: "go@::1", Cookie: c.Cookie})
	require.NoError(t, err)
	defer g.Close()
	_, err = g.Listen(t.Context(), node.ListenConfig{Addr: "[::1]:0"})
	require.NoError(t, err)
	got, err := n.Call(t.Context(), e.Name, "net_adm", "ping", etf.Atom("go@::1"))
	require.NoError(t, err)
	assert.Equal(t, etf.Atom("pong"), got)
	assert.Equal(t, []string{e.Name}, g.Nodes())
}
