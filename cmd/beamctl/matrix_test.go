//go:build matrix

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// TestMixTLS: since Elixir 1.15 Mix takes what a project does not name, ssl among it, out of the code path, and a node's TLS needs it later.
func TestMixTLS(t *testing.T) {
	require.NotEmpty(t, *releasesFile, "make test-matrix")
	releases := nodetest.Releases(t, *releasesFile)
	newest := slices.MaxFunc(releases, func(a, b nodetest.Release) int { return a.Major - b.Major })
	w := newWorld(t, "elixir-counter")
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "_build"))) // of this machine's Elixir
	w.write("beamctl.yaml", fmt.Sprintf("count: 2\ntls: auto\nbin: [%q]\n", newest.Bin))
	st := w.started("counter")
	assert.Equal(t, strconv.Itoa(newest.Major), st.Nodes[0].OTP)
	assert.Regexp(t, `^<<"1\.(1[5-9]|[2-9]\d)\.`, w.ok("rpc", "node1", "'Elixir.System':version()"))
	w.ok("health")
	w.stopped()
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
