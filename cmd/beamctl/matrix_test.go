//go:build matrix

package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

var releasesFile = flag.String("releases", "", "what scripts/otp-releases.sh wrote")

// TestMixedReleases has nodes of several OTP releases in one cluster, for which nothing is needed but configuration.
func TestMixedReleases(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	var b strings.Builder
	b.WriteString("nodes:\n  - {name: mix}\n")
	want := map[string]string{}
	for _, r := range otpReleases(t) {
		suite, major, bin := r[0], r[1], r[2]
		if major == "23" { // which 27 and later refuse (UNLINK_ID)
			continue
		}
		fmt.Fprintf(&b, "  - {name: otp%s, runtime: erl, ebin: [], apps: [], bin: [%q], env: {SUITE: %s}}\n", major, bin, suite)
		want["otp"+major+"@127.0.0.1"] = major
	}
	w.write("beamctl.yaml", b.String())
	for _, secure := range []string{launcher.TLSNone, launcher.TLSAuto} {
		t.Run("tls "+secure, func(t *testing.T) { mixed(t, w, want, secure) })
	}
}

// mixed starts the cluster and looks at it.
func mixed(t *testing.T, w *world, want map[string]string, secure string) {
	t.Helper()
	w.ok("start", "--tls", secure)
	w.ok("health")
	st := w.status()
	require.Len(t, st.Nodes, len(want)+1)
	for _, n := range st.Nodes {
		assert.Equal(t, launcher.NodeUp, n.State, n.Problem)
		assert.Len(t, n.Peers, len(want))
		if n.Name == "mix@127.0.0.1" {
			assert.Equal(t, []string{"counter"}, n.Apps)
		} else {
			assert.Equal(t, want[n.Name], n.OTP)
		}
	}
	w.stopped()
}

// otpReleases reads what scripts/otp-releases.sh says there is: suite, release, directory.
func otpReleases(t *testing.T) [][3]string {
	t.Helper()
	f, err := os.Open(*releasesFile)
	require.NoError(t, err, "make test-matrix")
	defer f.Close()
	var out [][3]string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		words := strings.Fields(sc.Text())
		require.Len(t, words, 3)
		out = append(out, [3]string(words))
	}
	require.GreaterOrEqual(t, len(out), 3)
	return out
}
