package diagnose

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// TestTrafficTLS: what goes over TLS is counted by the sockets below it, in every release.
func TestTrafficTLS(t *testing.T) {
	t.Parallel()
	releases, err := os.ReadFile("../../.cache/otp/releases")
	require.NoError(t, err, "make otp-releases")
	ca := nodetest.NewAuthority(t)
	ours := ca.Issue("go", "127.0.0.1")
	ca.Issue("erl", "127.0.0.1")
	args := ca.Args("erl")
	c := nodetest.New(t)
	hub := c.Erl("hub", args...)
	n, err := node.Start(node.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	target := func(e *nodetest.Erl) checks.Target {
		return checks.Target{
			Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie,
			TLS: &tls.Config{RootCAs: ca.Pool, Certificates: []tls.Certificate{ours}, MinVersion: tls.VersionTLS12},
		}
	}
	for line := range strings.Lines(string(releases)) {
		f := strings.Fields(line)
		require.Len(t, f, 3)
		t.Run("OTP "+f[1], func(t *testing.T) {
			e := c.ErlOf(f[2], "otp"+f[1], append(args, "-eval",
				"(fun Try() -> case net_adm:ping('hub@127.0.0.1') of pong -> ok; pang -> timer:sleep(50), Try() end end)(),"+
					"B = binary:copy(<<0>>, 10000), spawn(fun F() -> {init, 'hub@127.0.0.1'} ! B, timer:sleep(5), F() end)")...)
			one := target(e)
			require.NoError(t, n.AddPeer(one.Peer()))
			var link Traffic
			require.Eventually(t, func() bool {
				s, err := ask(t.Context(), n, one, 1, 100*time.Millisecond)
				if err != nil { // it has not booted
					return false
				}
				for _, l := range s.traffic {
					if l.To == hub.Name {
						link = l
					}
				}
				return link.Out > 10_000
			}, 2*time.Minute, 50*time.Millisecond, "%+v", &link)
			assert.True(t, link.Counted)
			assert.Greater(t, link.OutAll, link.InAll)
			assert.Positive(t, link.InAll)
		})
	}
}
