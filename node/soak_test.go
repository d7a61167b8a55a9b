package node_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

var (
	soak     = flag.Duration("soak", 6*time.Second, "how long TestSoak lasts; `make soak-wire` gives it ten minutes")
	soakSeed = flag.Uint64("soak-seed", 0, "seed of TestSoak's faults; 0 takes one from the clock")
)

// TestSoak makes a thousand calls a second to two nodes, one of which is paused, killed and restarted all the while. Every reply is the
// one to its own call, every call ends, calls to the healthy node never fail, and neither goroutines nor memory grow.
func TestSoak(t *testing.T) {
	const (
		perSecond = 1000
		deadline  = 2 * time.Second // of calls to the node that is disturbed
		underWay  = 2 * perSecond   // at most: a machine that is too slow for so many calls makes fewer
	)
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	c := nodetest.New(t)
	steady, shaky := c.Erl("steady"), c.Erl("shaky")
	n := c.Node(steady, shaky)
	steadyName, shakyName := steady.Name, shaky.Name

	var good, failed, wrong atomic.Int64
	call := func(target string, i int64, mustWork bool) {
		limit := deadline
		if mustWork {
			limit = patience
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		want := etf.Tuple{i, etf.Atom(target)}
		got, err := n.Call(ctx, target, "erlang", "list_to_tuple", etf.List{i, etf.Atom(target)})
		switch {
		case err == nil && !etf.Equal(got, want):
			wrong.Add(1)
			t.Errorf("asked for %s, got %s", etf.Format(want), etf.Format(got))
		case err == nil:
			good.Add(1)
		case mustWork:
			t.Errorf("the healthy node: %v", err)
		case errors.Is(err, node.ErrTimeout), errors.Is(err, node.ErrNodeDown), errors.Is(err, node.ErrNoSuchName), errors.Is(err, node.ErrRefused), errors.As(err, new(*dist.HandshakeError)):
			failed.Add(1)
		default:
			t.Errorf("an error of no known kind: %v", err)
		}
	}

	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // the faults
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(200+rng.IntN(800)) * time.Millisecond):
			}
			if rng.IntN(3) > 0 {
				shaky.Stop()
				time.Sleep(time.Duration(rng.IntN(600)) * time.Millisecond)
				shaky.Continue()
				continue
			}
			shaky.Kill()
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			shaky = c.Erl("shaky")
		}
	})

	end := time.After(*soak)
	tick := time.NewTicker(time.Second / perSecond * 10)
	defer tick.Stop()
	var calls sync.WaitGroup
	places := make(chan struct{}, underWay)
	var half, most uint64
	var mem runtime.MemStats
	began, i := time.Now(), int64(0)
loop:
	for {
		select {
		case <-end:
			break loop
		case <-tick.C:
		}
		for range 10 {
			i++
			target, must := steadyName, true
			if i%2 == 0 {
				target, must = shakyName, false
			}
			k := i
			places <- struct{}{}
			calls.Go(func() {
				defer func() { <-places }()
				call(target, k, must)
			})
		}
		if i%5000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&mem)
			if time.Since(began) < *soak/2 {
				half = max(half, mem.HeapInuse)
			} else {
				most = max(most, mem.HeapInuse)
			}
		}
	}
	close(stop)
	wg.Wait()
	calls.Wait()
	t.Logf("%d calls in %v: %d answered, %d failed with the node they went to; heap at most %d KiB in the first half, %d KiB in the second",
		i, *soak, good.Load(), failed.Load(), half>>10, most>>10)
	require.Zero(t, wrong.Load())
	assert.Equal(t, i, good.Load()+failed.Load(), "every call ended")
	assert.Greater(t, good.Load(), i/2-1)
	if half > 0 && most > 0 {
		assert.Less(t, most, 2*half+4<<20, "memory is flat")
	}
}
