package node_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// warm makes as many calls as it takes for the next one to go by rex.
func warm(t *testing.T, n *node.Node, name string) {
	t.Helper()
	for range 20 {
		_, err := n.Call(t.Context(), name, "erlang", "abs", int64(-1))
		require.NoError(t, err)
	}
}

// How a call is made shows in who monitors the process that runs it: rex, or the caller.
func TestCallByRex(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n, parser := c.Node(e), c.Node(e)
	n.Disconnect(e.Name)
	byRex := func() bool {
		t.Helper()
		got, err := n.Call(t.Context(), e.Name, "erl_eval", "exprs", exprs(t, parser, e.Name, `{monitored_by, L} = process_info(self(), monitored_by), lists:member(whereis(rex), L).`), etf.List{})
		require.NoError(t, err)
		return got.(etf.Tuple)[1] == etf.Term(etf.Atom("true"))
	}
	require.False(t, byRex(), "the first depend on nothing")
	warm(t, n, e.Name)
	require.True(t, byRex())

	// All that a call can come to is the same by either way.
	for range 2 {
		for code, want := range map[string]*node.ErlangError{
			`throw(ball).`:       {Class: "throw", Reason: etf.Atom("ball")},
			`exit({return, x}).`: {Class: "exit", Reason: etf.Tuple{etf.Atom("return"), etf.Atom("x")}},
			`error(bad).`:        {Class: "error", Reason: etf.Atom("bad")},
			`exit(self(), shutdown), timer:sleep(5000).`: {Class: "exit", Reason: etf.Atom("shutdown")},
		} {
			_, err := n.Call(t.Context(), e.Name, "erl_eval", "exprs", exprs(t, parser, e.Name, code), etf.List{})
			var ex *node.ErlangError
			require.ErrorAs(t, err, &ex, code)
			assert.Equal(t, want.Class, ex.Class, code)
			assert.Equal(t, want.Reason, ex.Reason, code)
			assert.Equal(t, want.Class == "error", ex.Stack != nil, code)
		}
		for _, result := range []etf.Term{
			etf.Tuple{etf.Atom("badrpc"), etf.Tuple{etf.Atom("EXIT"), etf.Atom("x")}}, etf.Tuple{etf.Atom("badrpc"), etf.Atom("nodedown")}, etf.List(nil),
		} {
			got, err := n.Call(t.Context(), e.Name, "lists", "last", etf.List{result})
			require.NoError(t, err)
			assert.Equal(t, result, got, "is a result like any other")
		}
		var out bytes.Buffer
		_, err := n.Do(t.Context(), e.Name, node.Request{Module: "io", Function: "format", Args: []etf.Term{"~s~n", etf.List{"hello"}}, Stdout: &out})
		require.NoError(t, err)
		assert.Equal(t, "hello\n", out.String())
		big, err := n.Call(t.Context(), e.Name, "binary", "copy", []byte("0123456789"), int64(50_000))
		require.NoError(t, err)
		assert.Len(t, big, 500_000)
		n.Disconnect(e.Name) // then again by erpc
	}

	// A Go node takes its part, too.
	g, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	g.Handle("go", "twice", func(_ context.Context, args []etf.Term) (etf.Term, error) { return etf.List{args[0], args[0]}, nil })
	require.NoError(t, n.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr, Cookie: c.Cookie}))
	for range 40 {
		got, err := n.Call(t.Context(), "go@127.0.0.1", "go", "twice", etf.Atom("a"))
		require.NoError(t, err)
		require.Equal(t, etf.List{etf.Atom("a"), etf.Atom("a")}, got)
		var ex *node.ErlangError
		_, err = n.Call(t.Context(), "go@127.0.0.1", "go", "nope")
		require.ErrorAs(t, err, &ex)
		require.Equal(t, etf.Atom("undef"), ex.Reason)
	}
}

// The process of a call that rex has made is killed like any other when nobody waits for it; and rex is left alone from then on.
func TestAbandonedByRex(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n, parser := c.Node(e), c.Node(e)
	sleeping := func() bool {
		got, err := n.Call(t.Context(), e.Name, "erlang", "whereis", etf.Atom("sleeper"))
		require.NoError(t, err)
		return got != etf.Term(etf.Atom("undefined"))
	}
	warm(t, n, e.Name)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := n.Call(ctx, e.Name, "erl_eval", "exprs", exprs(t, parser, e.Name, `register(sleeper, self()), timer:sleep(60000).`), etf.List{})
	require.ErrorIs(t, err, node.ErrTimeout)
	require.Eventually(t, func() bool { return !sleeping() }, patience, 10*time.Millisecond)

	// Blocked, it costs one call its time.
	n.Disconnect(e.Name)
	warm(t, n, e.Name)
	blocker := c.Node(e)
	callers := make(chan node.Caller, 1)
	gate, err := blocker.StartServer("gate", node.Server{Call: func(_ context.Context, from node.Caller, _ etf.Term) (etf.Term, error) {
		callers <- from
		return nil, node.ErrNoReply
	}})
	require.NoError(t, err)
	pid := pidAt(t, gate, e.Name)
	blocked := make(chan error, 1)
	go func() {
		_, err := blocker.GenCall(t.Context(), etf.Tuple{etf.Atom("rex"), etf.Atom(e.Name)}, etf.Tuple{
			etf.Atom("block_call"), etf.Atom("gen_server"), etf.Atom("call"),
			etf.List{pid, etf.Atom("wait"), etf.Atom("infinity")},
			etf.Atom("user"),
		})
		blocked <- err
	}()
	rex := <-callers
	short, cancelShort := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancelShort()
	_, err = n.Call(short, e.Name, "erlang", "abs", int64(-1))
	require.ErrorIs(t, err, node.ErrTimeout)
	callMany(t, n, e.Name)
	require.Empty(t, blocked, "it still is")
	require.NoError(t, rex.Reply(t.Context(), etf.Atom("go_on")))
	require.NoError(t, <-blocked)
}

// exprs reads Erlang expressions, as erl_eval:exprs/2 takes them.
func exprs(t *testing.T, n *node.Node, name, code string) etf.Term {
	t.Helper()
	forms, err := nodetest.Parse(t.Context(), n, name, code)
	require.NoError(t, err)
	return forms
}
