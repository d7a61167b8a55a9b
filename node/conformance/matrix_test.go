package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	releasesFile = flag.String("releases", "", "file with the output of scripts/otp-releases.sh: the releases to test (default: erl on PATH)")
	update       = flag.Bool("update", false, "write docs/compatibility.md")
	long         = flag.Duration("long", 0, "how long connections stay idle in the cases that wait (default: a few seconds)")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Case is one row of the table: what has to hold with every release.
type Case struct {
	Name string
	Run  func(t *testing.T, e *Env)
}

// Group is a part of the table.
type Group struct {
	Title string
	Cases []Case
}

var groups = []Group{
	{"The release", releaseCases},
	{"Handshake", handshakeCases},
	{"Calls", callCases},
	{"Terms, both ways and through every encoding the node makes", termCases},
	{"Large terms", largeCases},
	{"Connections", connectionCases},
	{"Processes of ours", processCases},
	{"gen_servers and functions of ours", serverCases},
	{"Connections from the node", listenCases},
	{"TLS (`-proto_dist inet_tls`) and IPv6 (`inet6_tcp`)", secureCases},
	{"Other releases in the same cluster", mixedCases},
	{"EPMD", epmdCases},
}

// Release is one OTP under test.
type Release struct {
	Suite string // Debian's
	Major int
	Bin   string // folder of its programs, "" for PATH
}

func (r Release) String() string { return "OTP " + strconv.Itoa(r.Major) }

// Program is the path of one of the release's programs.
func (r Release) Program(name string) string {
	if r.Bin == "" {
		return name
	}
	return r.Bin + "/" + name
}

// releases reads which releases there are. The matrix is not one without all of these majors.
func releases(t *testing.T) []Release {
	t.Helper()
	if *releasesFile == "" {
		out, err := exec.CommandContext(t.Context(), "erl", "-noinput", "-eval", "io:put_chars(erlang:system_info(otp_release)), halt().").Output()
		require.NoError(t, err, "an erl on PATH is needed")
		major, err := strconv.Atoi(string(out))
		require.NoError(t, err)
		return []Release{{"PATH", major, ""}}
	}
	text, err := os.ReadFile(*releasesFile)
	require.NoError(t, err)
	var rs []Release
	var majors []int
	for line := range strings.Lines(string(text)) {
		var r Release
		_, err := fmt.Sscanf(line, "%s %d %s", &r.Suite, &r.Major, &r.Bin)
		require.NoError(t, err, "%s: %q", *releasesFile, line)
		rs, majors = append(rs, r), append(majors, r.Major)
	}
	require.Len(t, majors, 4, "the matrix is OTP 23, 25, 27 and 29 or newer")
	require.Equal(t, []int{23, 25, 27}, majors[:3])
	require.GreaterOrEqual(t, majors[3], 29)
	return rs
}

// caseTime bounds one case, boots included, on a busy machine.
const caseTime = 2 * time.Minute

// tick is how often a case looks whether what it waits for has come.
const tick = 5 * time.Millisecond

func TestMatrix(t *testing.T) {
	rs := releases(t)
	table := newTable(rs)
	t.Run("case", func(t *testing.T) {
		for i, r := range rs {
			t.Run(strconv.Itoa(r.Major), func(t *testing.T) {
				t.Parallel()
				for _, g := range groups {
					for _, c := range g.Cases {
						t.Run(g.Title+"/"+c.Name, func(t *testing.T) {
							t.Parallel()
							e := &Env{Release: r, All: rs, t: t}
							defer func() { table.set(g.Title, c.Name, i, e.result()) }()
							c.Run(t, e)
						})
					}
				}
			})
		}
	})
	if *releasesFile != "" && !t.Failed() {
		table.publish(t)
	}
}
