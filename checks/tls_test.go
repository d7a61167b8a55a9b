package checks_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Whatever two sides can disagree on about TLS is told apart.
func TestTLSFindings(t *testing.T) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	ours, stranger := ca.Issue("go", "127.0.0.1"), other.Issue("go", "127.0.0.1")
	ca.Issue("erl", "127.0.0.1")
	ca.Issue("elsewhere", "elsewhere.example")
	c := nodetest.New(t)
	secure, elsewhere, plain := c.Erl("secure", ca.Args("erl")...), c.Erl("elsewhere", ca.Args("elsewhere")...), c.Erl("plain", "-kernel", "net_setuptime", "1")
	target := func(name string, cfg *tls.Config) checks.Target {
		return checks.Target{Name: name, EPMD: c.EPMD.Addr, Cookie: c.Cookie, TLS: cfg}
	}
	good := &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	n := c.Node()
	require.NoError(t, checks.WaitReady(ctx, n, target(secure.Name, good), nil, func(string) {}))
	for name, tc := range map[string]struct {
		target checks.Target
		what   string
		fix    string
	}{
		"a server of another authority": {
			target(secure.Name, &tls.Config{RootCAs: other.Pool, Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12}),
			"signed by an authority that is not trusted here", "--tls-ca",
		},
		"our certificate is of another authority": {
			target(secure.Name, &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{stranger}, MinVersion: tls.VersionTLS12}),
			"does not accept our certificate", "--tls-cert",
		},
		"we have no certificate": {
			target(secure.Name, &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}), "does not accept our certificate", "--tls-cert",
		},
		"we have no TLS":  {target(secure.Name, nil), "it wants TLS", "--tls-optfile"},
		"another host's":  {target(elsewhere.Name, good), "its certificate is for another host", "127.0.0.1"},
		"it has no TLS":   {target(plain.Name, good), "does not speak TLS", "--tls"},
		"all is well now": {target: target(secure.Name, good)},
	} {
		t.Run(name, func(t *testing.T) {
			n := c.Node() //nolint:contextcheck // it closes with the test
			require.NoError(t, n.AddPeer(tc.target.Peer()))
			err := n.Connect(ctx, tc.target.Name)
			for errors.Is(err, node.ErrTimeout) && ctx.Err() == nil { // a handshake is slow where all is
				err = n.Connect(ctx, tc.target.Name)
			}
			if tc.what == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			f := checks.Unreachable(tc.target, err)
			assert.Contains(t, f.What, tc.what, err)
			assert.Contains(t, f.Fix, tc.fix, err)
		})
	}
}
