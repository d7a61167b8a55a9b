package checks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The last cause survives the deadline.
func TestWaitReadySaysWhatIsMissing(t *testing.T) {
	c := nodetest.New(t)
	a := c.Erl("a")
	n := c.Node(a)
	target := checks.Target{Name: a.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}
	first := target
	missing := func(what func(error) bool, target checks.Target, peers ...string) {
		t.Helper()
		for some := time.Second; ; some *= 4 { // it is to run out, but not before that was seen
			ctx, cancel := context.WithTimeout(t.Context(), some)
			err := checks.WaitReady(ctx, n, target, peers, func(string) {})
			cancel()
			if some > time.Minute || err != nil && what(err) {
				require.Error(t, err)
				require.True(t, what(err), "%v", err)
				return
			}
		}
	}
	says := func(text string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), text) }
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	missing(says("does not see x@127.0.0.1"), target, "x@127.0.0.1")
	target.Apps = []string{"nosuch"}
	missing(says("nosuch not running"), target)
	target.Name = "z@127.0.0.1"
	missing(is(node.ErrNoSuchName), target)
	target = first
	target.Cookie = dist.NewCookie("x")
	n.Disconnect(target.Name)
	missing(is(node.ErrWrongCookie), target)
}
