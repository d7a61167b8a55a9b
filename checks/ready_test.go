package checks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
	wait := func(target checks.Target, peers ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return checks.WaitReady(ctx, n, target, peers, func(string) {})
	}
	says := func(want string, target checks.Target, peers ...string) { // a busy machine may not come so far within a second
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.ErrorContains(c, wait(target, peers...), want) }, time.Minute, time.Millisecond)
	}
	says("does not see x@127.0.0.1", target, "x@127.0.0.1")
	target.Apps = []string{"nosuch"}
	says("nosuch not running", target)
	target.Name = "z@127.0.0.1"
	says(node.ErrNoSuchName.Error(), target)
	target = first
	target.Cookie = dist.NewCookie("x")
	n.Disconnect(target.Name)
	require.ErrorIs(t, wait(target), node.ErrWrongCookie)
}
