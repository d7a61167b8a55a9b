package codesync

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/node/nodetest"
)

var releasesFile = flag.String("releases", "", "file with the output of scripts/otp-releases.sh: the releases to test (default: erl on PATH)")

func TestMain(m *testing.M) {
	if os.Getenv(pusherEnv) != "" {
		fmt.Fprintln(os.Stderr, pusher())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// elixir is the folder of the release's Elixir.
func elixir(t *testing.T, r nodetest.Release) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), r.Program("elixir"), "-e", "IO.write(:code.lib_dir(:elixir))").Output()
	require.NoError(t, err)
	return strings.TrimSuffix(strings.TrimSpace(string(out)), "/elixir")
}

func releases(t *testing.T) []nodetest.Release {
	t.Helper()
	return nodetest.Releases(t, *releasesFile)
}

// onReleases runs a test on each release.
func onReleases(t *testing.T, test func(t *testing.T, r nodetest.Release)) {
	t.Helper()
	t.Parallel()
	for _, r := range releases(t) {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			test(t, r)
		})
	}
}
