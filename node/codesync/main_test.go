package codesync

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var releasesFile = flag.String("releases", "", "file with the output of scripts/otp-releases.sh: the releases to test (default: erl on PATH)")

func TestMain(m *testing.M) {
	if os.Getenv(pusherEnv) != "" {
		fmt.Fprintln(os.Stderr, pusher())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// release is one OTP under test; Bin is the folder of its programs, "" for PATH.
type release struct {
	Suite string
	Major int
	Bin   string
}

func (r release) String() string { return "OTP " + strconv.Itoa(r.Major) }

func (r release) program(name string) string {
	if r.Bin == "" {
		return name
	}
	return r.Bin + "/" + name
}

// elixir is the folder of the release's Elixir.
func (r release) elixir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), r.program("elixir"), "-e", "IO.write(:code.lib_dir(:elixir))").Output()
	require.NoError(t, err)
	return strings.TrimSuffix(strings.TrimSpace(string(out)), "/elixir")
}

func releases(t *testing.T) []release {
	t.Helper()
	if *releasesFile == "" {
		out, err := exec.CommandContext(t.Context(), "erl", "-noinput", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt().").Output()
		require.NoError(t, err, "an erl on PATH is needed")
		major, err := strconv.Atoi(string(out))
		require.NoError(t, err)
		return []release{{"PATH", major, ""}}
	}
	text, err := os.ReadFile(*releasesFile)
	require.NoError(t, err)
	var rs []release
	for line := range strings.Lines(string(text)) {
		var r release
		_, err := fmt.Sscanf(line, "%s %d %s", &r.Suite, &r.Major, &r.Bin)
		require.NoError(t, err, "%s: %q", *releasesFile, line)
		rs = append(rs, r)
	}
	require.Len(t, rs, 4, "the matrix is OTP 23, 25, 27 and 29 or newer")
	return rs
}
