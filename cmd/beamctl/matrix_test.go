//go:build matrix

package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node/nodetest"
)

var releasesFile = flag.String("releases", "", "what scripts/otp-releases.sh wrote")

// TestMixedReleases has nodes of several OTP releases in one cluster, for which nothing is needed but configuration.
func TestMixedReleases(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	var b strings.Builder
	b.WriteString("nodes:\n  - {name: mix}\n")
	want := map[string]string{}
	require.NotEmpty(t, *releasesFile, "make test-matrix")
	for _, r := range nodetest.Releases(t, *releasesFile) {
		if r.Major == 23 { // which 27 and later refuse (UNLINK_ID)
			continue
		}
		fmt.Fprintf(&b, "  - {name: otp%d, runtime: erl, ebin: [], apps: [], bin: [%q], env: {SUITE: %s}}\n", r.Major, r.Bin, r.Suite)
		want[fmt.Sprintf("otp%d@127.0.0.1", r.Major)] = strconv.Itoa(r.Major)
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
	w.well()
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
