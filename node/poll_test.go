package node_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Who calls alone reads what comes meanwhile: it gets where it belongs, in order, whatever it is, and nobody gets another's.
func TestLoneCallsBesideOthers(t *testing.T) {
	const messages, size = 3000, 20_000_000
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	p := process(t, n)
	send := exprs(t, n, e.Name, `spawn(fun() -> [begin P ! I, I rem 20 =:= 0 andalso timer:sleep(1) end || I <- lists:seq(1, 3000)] end).`)
	warm(t, n, e.Name)
	var others sync.WaitGroup
	var over atomic.Int32
	other := func(f func()) {
		others.Go(func() {
			defer over.Add(1)
			f()
		})
	}
	other(func() { // messages to a process
		_, err := n.Call(t.Context(), e.Name, "erl_eval", "exprs", send, etf.List{etf.Tuple{etf.Atom("P"), pidAt(t, p, e.Name)}})
		if err != nil {
			t.Error(err)
			return
		}
		for i := range messages {
			if !assert.Equal(t, int64(i+1), receive(t, p)) {
				return
			}
		}
	})
	other(func() { // a second caller
		for i := range 200 {
			got, err := n.Call(t.Context(), e.Name, "erlang", "abs", int64(-1_000_000-i))
			if err != nil || got != etf.Term(int64(1_000_000+i)) {
				t.Error(got, err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	other(func() { // bulk
		got, err := n.Call(t.Context(), e.Name, "binary", "copy", []byte{7}, int64(size))
		if assert.NoError(t, err) {
			assert.Len(t, got, size)
		}
	})
	for i := 0; over.Load() < 3; i++ {
		got, err := n.Call(t.Context(), e.Name, "erlang", "abs", int64(-i))
		require.NoError(t, err)
		require.Equal(t, int64(i), got)
	}
	others.Wait()
}

// A lone call to a node that stands still ends with its ctx; the next ones, when it goes on, get their own replies.
func TestLoneCallStopped(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	warm(t, n, e.Name)
	e.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := n.Call(ctx, e.Name, "erlang", "abs", int64(-1))
	require.ErrorIs(t, err, node.ErrTimeout)
	_, err = n.Call(ctx, e.Name, "erlang", "abs", int64(-1))
	require.ErrorIs(t, err, node.ErrTimeout, "with a ctx that is over")
	e.Continue()
	for i := range 100 {
		got, err := n.Call(t.Context(), e.Name, "erlang", "abs", int64(-i))
		require.NoError(t, err)
		require.Equal(t, int64(i), got)
	}
}

// Close, or the end of the node, ends a lone call.
func TestLoneCallToTheEnd(t *testing.T) {
	c := nodetest.New(t)
	for range 3 {
		e := c.Erl("a")
		closed, killed := c.Node(e), c.Node(e)
		ends := map[*node.Node]chan error{}
		for _, n := range []*node.Node{closed, killed} {
			ends[n] = make(chan error, 1)
			warm(t, n, e.Name)
			go func() {
				for {
					if _, err := n.Call(t.Context(), e.Name, "erlang", "abs", int64(-1)); err != nil {
						ends[n] <- err
						return
					}
				}
			}()
		}
		require.NoError(t, closed.Close())
		err := <-ends[closed]
		require.True(t, errors.Is(err, node.ErrClosed) || errors.Is(err, node.ErrNodeDown), "%v", err)
		e.Kill()
		require.ErrorIs(t, <-ends[killed], node.ErrNodeDown)
	}
}
