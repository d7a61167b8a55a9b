package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// authority signs certificates for the nodes of one test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, "ca")
	a.pool.AddCert(a.cert)
	return a
}

// issue writes NAME.pem and NAME.key; without an authority yet it makes it.
func (a *authority) issue(c *x509.Certificate, name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(a.t, err)
	if a.cert == nil {
		a.key = key
		a.cert, err = x509.ParseCertificate(der)
		require.NoError(a.t, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, name+".pem"), certPEM, 0o600))
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, name+".key"), keyPEM, 0o600))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(a.t, err)
	return pair
}

// node issues a certificate for nodes on the hosts. OTP's client up to 25 looks for an address among the DNS names.
func (a *authority) node(name string, hosts ...string) tls.Certificate {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		}
	}
	return a.issue(c, name)
}

// args are for an erl that speaks TLS with the certificate NAME and verifies the other side's.
func (a *authority) args(name string) []string {
	a.t.Helper()
	opts := func(extra string) string {
		return fmt.Sprintf(`[{certfile,"%s/%s.pem"},{keyfile,"%s/%s.key"},{cacertfile,"%s/ca.pem"},{verify,verify_peer}%s]`,
			a.dir, name, a.dir, name, a.dir, extra)
	}
	file := filepath.Join(a.dir, name+".conf")
	text := fmt.Sprintf("[{server,%s},{client,%s}].\n", opts(",{fail_if_no_peer_cert,true}"), opts(""))
	require.NoError(a.t, os.WriteFile(file, []byte(text), 0o600))
	return []string{"-proto_dist", "inet_tls", "-ssl_dist_optfile", file}
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ours := ca.node("go", "127.0.0.1")
	ca.node("erl", "127.0.0.1")
	client := func(certs ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: ca.pool, Certificates: certs} }
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a", ca.args("erl")...)
			connect := func(cfg *tls.Config) (*node.Node, error) {
				n := c.Node()
				if cfg != nil {
					cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, version
				}
				require.NoError(t, n.AddPeer(node.Peer{Name: e.Name, EPMD: c.EPMD.Addr, TLS: cfg}))
				return n, n.Connect(t.Context(), e.Name)
			}
			var n *node.Node
			require.Eventually(t, func() bool { // it registers before it listens, and the first handshake loads the code
				var err error
				n, err = connect(client(ours))
				return err == nil
			}, 20*time.Second, 20*time.Millisecond)
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
			_, err = connect(client(other.node("go", "127.0.0.1")))
			require.ErrorIs(t, err, node.ErrTLS, "a stranger's certificate")
			_, err = connect(&tls.Config{RootCAs: other.pool, Certificates: []tls.Certificate{ours}})
			require.ErrorIs(t, err, node.ErrTLS, "a server that we do not trust")
			_, err = connect(&tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ours}, ServerName: "elsewhere"})
			require.ErrorIs(t, err, node.ErrTLS, "a server by another name")
			_, err = connect(nil)
			require.Error(t, err, "no TLS at all")
		})
	}
}

// A node that listens with TLS takes Erlang nodes whose certificates it trusts, in both directions of trust.
func TestListenTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ours := ca.node("go", "127.0.0.1")
	ca.node("erl", "127.0.0.1")
	c := nodetest.New(t)
	n, err := node.Start(node.Config{Name: "go@127.0.0.1", Cookie: c.Cookie})
	require.NoError(t, err)
	defer n.Close()
	_, err = n.Listen(t.Context(), node.ListenConfig{EPMD: c.EPMD.Addr, TLS: &tls.Config{
		Certificates: []tls.Certificate{ours}, ClientCAs: ca.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}})
	require.NoError(t, err)
	serve(t, n, nil)
	ping := func(args []string) string {
		return c.Run(append(args, "-name", "erl@127.0.0.1", "-hidden", "-kernel", "logger_level", "none",
			"-eval", `P = net_adm:ping('go@127.0.0.1'), io:format("~p ~p", [P, catch gen_server:call({counter, 'go@127.0.0.1'}, get, 5000)]), halt().`)...)
	}
	assert.Equal(t, "pong 0", ping(ca.args("erl")))
	other.node("erl", "127.0.0.1")
	assert.Contains(t, ping(other.args("erl")), "pang", "a stranger's certificate")
	assert.Contains(t, ping(nil), "pang", "no TLS at all")

	// It stays, and its connection serves us.
	e := c.Erl("a", append(ca.args("erl"), "-eval", `pong = net_adm:ping('go@127.0.0.1')`)...)
	require.Eventually(t, func() bool { return len(n.Nodes()) == 1 }, 20*time.Second, 5*time.Millisecond)
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
	require.Eventually(t, func() bool { return n.Ping(t.Context(), e.Name) == nil }, 10*time.Second, 10*time.Millisecond)

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
