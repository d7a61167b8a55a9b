package conformance

import (
	"flag"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/node/nodetest"
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

// releases are those under test.
func releases(t *testing.T) []nodetest.Release {
	t.Helper()
	return nodetest.Releases(t, *releasesFile)
}

// caseTime bounds one case, boots included, on a busy machine.
const caseTime = 4 * time.Minute

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
