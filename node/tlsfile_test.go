package node_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// optFile writes a file for -ssl_dist_optfile and reads it.
func optFile(t *testing.T, text string) (node.TLSFiles, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dist.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return node.ReadOptFile(path)
}

func TestReadOptFile(t *testing.T) {
	f, err := optFile(t, `%% our nodes, coding: utf-8
[{server, [{certfile, "/etc/ssl/node.pem"}, {keyfile, <<"/etc/ssl/node.key">>}, {cacertfile, "/etc/ssl/ca.pem"}, {password, "secret"},
           {secure_renegotiate, true}, {verify_fun, {inet_tls_dist, verify_client, []}}, inet6]},
 {client, [{certfile, "/etc/ssl/clé.pem"}, {verify, verify_none}]}].
`)
	require.NoError(t, err)
	assert.Equal(t, node.TLSFiles{Cert: "/etc/ssl/clé.pem", Key: "/etc/ssl/node.key", CA: "/etc/ssl/ca.pem"}, f)

	for name, text := range map[string]string{
		"no list":      `{server, []}.`,
		"no term":      `[{server, [{password, "secret"`,
		"no files":     `[{server, [{verify, verify_peer}]}].`,
		"a number":     `[{client, [{certfile, 17}]}].`,
		"not a string": `[{client, [{certfile, [secret]}]}].`,
		"too long":     "[" + strings.Repeat(" ", 5<<20) + "].",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := optFile(t, text)
			require.ErrorIs(t, err, node.ErrTLSFile)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	_, err = node.ReadOptFile(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTLSFiles(t *testing.T) {
	ca := nodetest.NewAuthority(t)
	ca.Issue("a", "127.0.0.1")
	ca.Issue("b", "127.0.0.1")
	files, err := node.ReadOptFile(ca.Args("a")[3])
	require.NoError(t, err)
	cfg, err := files.Config()
	require.NoError(t, err)
	assert.Len(t, cfg.Certificates, 1)
	assert.True(t, cfg.RootCAs.Equal(ca.Pool))
	assert.True(t, cfg.ClientCAs.Equal(ca.Pool))
	assert.Equal(t, tls.RequireAndVerifyClientCert, cfg.ClientAuth, "nobody comes in without one")

	both := filepath.Join(t.TempDir(), "both.pem") // as OTP has it: the key may be with the certificate
	cert, err := os.ReadFile(files.Cert)
	require.NoError(t, err)
	key, err := os.ReadFile(files.Key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(both, append(cert, key...), 0o600))
	cfg, err = node.TLSFiles{Cert: both}.Config()
	require.NoError(t, err)
	assert.Len(t, cfg.Certificates, 1)
	assert.Nil(t, cfg.RootCAs, "the system's")

	other, err := node.ReadOptFile(ca.Args("b")[3])
	require.NoError(t, err)
	for name, f := range map[string]node.TLSFiles{
		"another's key":        {Cert: files.Cert, Key: other.Key},
		"a certificate as key": {Cert: files.Cert},
		"a key as authority":   {CA: files.Key},
		"no such file":         {CA: files.CA + ".old"},
		"an endless file":      {CA: "/dev/zero"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Config()
			require.ErrorIs(t, err, node.ErrTLSFile)
		})
	}
}

// TestOptFileEncoding: a path is what ssl_dist_sup, which reads a file as Latin-1 unless it says otherwise, takes for one.
func TestOptFileEncoding(t *testing.T) {
	for text, want := range map[string]string{
		"%% coding: utf-8\n[{client, [{certfile, \"/é\"}]}].":            "/é",
		"%\n%% -*- coding: UTF-8 -*-\n[{client, [{certfile, \"/é\"}]}].": "/é",
		"[{client, [{certfile, \"/é\"}]}].":                              "/Ã©",
		"[{client, [{certfile, \"/\xe9\"}]}].":                           "/é",
		"[{client, [{certfile, <<\"/\\x{c3}\\x{a9}\">>}]}].":             "/é",
	} {
		files, err := optFile(t, text)
		require.NoError(t, err, text)
		assert.Equal(t, want, files.Cert, text)
	}
}
