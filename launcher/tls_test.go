package launcher

import (
	"context"
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node"
)

// A path may have anything in it; erlexec has to take it for one word, and Erlang for one string.
func TestOddPaths(t *testing.T) {
	p := place(filepath.Join(t.TempDir(), `it's "a" dir\with	everything é`))
	a, err := newAuthority(p, "odd")
	require.NoError(t, err)
	require.NoError(t, a.issue("node1", "127.0.0.1", "::1", "localhost"))
	opt := p.tls("node1", "conf")

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl", "-noinput", "-eval",
		`{ok, [[F]]} = init:get_argument(ssl_dist_optfile), [{server, S}, {client, C}] = ssl_dist_sup:consult(F), `+
			`[{ok, _} = file:read_file(P) || O <- [S, C], {K, P} <- O, lists:member(K, [certfile, keyfile, cacertfile])], halt().`)
	cmd.Env = append(cmd.Environ(), "ERL_AFLAGS="+distFlags("127.0.0.1", opt))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	files, err := node.ReadOptFile(opt)
	require.NoError(t, err)
	cfg, err := files.Config()
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0])
	require.NoError(t, err)
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}})
		require.NoError(t, err, host)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: "elsewhere"})
	require.Error(t, err)
}

func TestDistFlags(t *testing.T) {
	assert.Empty(t, distFlags("127.0.0.1", ""))
	assert.Equal(t, "-proto_dist inet6_tcp", distFlags("::1", ""))
	assert.Equal(t, "-proto_dist inet_tls -ssl_dist_optfile /a/b.conf", distFlags("127.0.0.1", "/a/b.conf"))
	assert.Equal(t, `-proto_dist inet6_tls -ssl_dist_optfile /a\ b.conf`, distFlags("::1", "/a b.conf"))
}

// What a release's vm.args says of TLS would be said twice.
func TestVMArgsOfTLS(t *testing.T) {
	const args = "-name x@y\n  -proto_dist inet_tls\n## -proto_dist\n-ssl_dist_opt server_certfile /a\n-ssl_dist_optfile /b\n+S 1\n"
	assert.Equal(t, "-name x@y\n\n## -proto_dist\n\n\n+S 1\n", vmArgsTLS().ReplaceAllString(args, ""))
}

func TestTLSFaults(t *testing.T) {
	s := Spec{Dir: t.TempDir(), Nodes: []NodeSpec{{Name: "node1@127.0.0.1", Label: "node1"}}, TLS: "true"}
	require.Len(t, s.tlsFaults(), 1)
	assert.Contains(t, s.tlsFaults()[0].text, `"true" is neither none nor auto`)
	s.TLS = `{{.Port "dist"}}`
	require.Len(t, s.tlsFaults(), 1)
	for _, good := range []string{"", TLSNone, TLSAuto, "{{.Dir}}/dist.conf"} {
		s.TLS = good
		assert.Empty(t, s.tlsFaults(), good)
	}
}
