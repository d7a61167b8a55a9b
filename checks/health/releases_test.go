package health_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/node/nodetest"
)

// bin returns the folder with the programs of an OTP release, which `make otp-releases` unpacks.
func bin(t *testing.T, release string) string {
	t.Helper()
	text, err := os.ReadFile("../../.cache/otp/releases")
	require.NoError(t, err, "make otp-releases")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == release {
			return f[2]
		}
	}
	t.Fatalf("OTP %s is not there: make otp-releases", release)
	return ""
}

// patient are the limits of what a busy machine has nodes take longer for.
var patient = health.Limits{Latency: time.Minute, Answer: time.Minute, LockHeld: time.Minute, RunQueue: 1000, Schedulers: 2}

// TestReleases looks at nodes of every supported kind, each a cluster of its own, where all is well.
func TestReleases(t *testing.T) {
	for _, release := range []string{"23", "27", "29"} {
		t.Run(release, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.ErlOf(bin(t, release), "a")
			targets := []checks.Target{{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}}
			n := c.Node(e)
			fineOnly(t, func() *health.Report {
				return health.Run(t.Context(), n, targets, health.Options{PerNode: time.Minute, Limits: patient})
			})
		})
	}
}

// TestMixedReleases is a cluster of which not all can speak with all.
func TestMixedReleases(t *testing.T) {
	c := nodetest.New(t)
	a, b, d := c.ErlOf(bin(t, "23"), "a"), c.Erl("b"), c.ErlOf(bin(t, "27"), "c")
	n := c.Node(a, b, d)
	var targets []checks.Target
	for _, e := range []*nodetest.Erl{a, b, d} {
		targets = append(targets, checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie})
	}
	only, err := health.Select(health.All(), []string{"reach", "versions"}, nil)
	require.NoError(t, err)
	rep := health.Run(t.Context(), n, targets, health.Options{Checks: only, PerNode: time.Minute, Limits: patient})
	broken := map[string]string{}
	for _, r := range rep.Rows {
		for _, cell := range r.Cells {
			if cell.Status != fine && (cell.Check != "ping" || cell.Status != warn) { // which a busy machine makes
				broken[r.Node[:1]+" "+cell.Check+" "+string(cell.Status)] = cell.Saw + "; " + cell.Cause
			}
		}
	}
	assert.Contains(t, broken["a flags fail"], "OTP 23 lacks UNLINK_ID|V4_NC; refused by c@127.0.0.1 (OTP 27)")
	assert.Contains(t, broken["c versions warn"], "kernel ")
	delete(broken, "a flags fail")
	for _, node := range []string{"a", "b", "c"} {
		delete(broken, node+" versions warn")
	}
	assert.Empty(t, broken)
}
