package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var callCases = []Case{
	{"ping", ping},
	{"results, also into Go values", results},
	{"exceptions of every class, with their stacks", bothWays(exceptions)},
	{"exceptions of Elixir", elixirExceptions},
	{"a call's process killed from outside", bothWays(killedFromOutside)},
	{"64 callers on one connection", concurrent},
	{"what a call prints", bothWays(stdout)},
	{"calls under a trace token (`seq_trace`)", traced},
	{"a cancelled call is killed", bothWays(cancelled)},
	{"arguments that are no terms fail before anything is sent", badArguments},
}

// bothWays runs a case on a connection that has seen no calls yet, and on one that has seen so many that rex gets the next ones.
func bothWays(run func(t *testing.T, p *Peer)) func(t *testing.T, e *Env) {
	return func(t *testing.T, e *Env) {
		t.Helper()
		p := e.Peer()
		p.Node.Disconnect(p.Name)
		run(t, p)
		p.Node.Disconnect(p.Name)
		for range 20 {
			p.Call("erlang", "node")
		}
		run(t, p)
	}
}

func ping(t *testing.T, e *Env) {
	p := e.Peer()
	for range 100 {
		require.NoError(t, p.Node.Ping(t.Context(), p.Name))
	}
}

func results(t *testing.T, e *Env) {
	p := e.Peer()
	assert.Equal(t, etf.Atom(p.Name), p.Call("erlang", "node"))
	assert.Equal(t, etf.List{[]byte("c"), etf.Atom("b"), int64(1)}, p.Call("lists", "reverse", etf.List{1, etf.Atom("b"), "c"}))

	var memory struct{ Total, Processes, Atom uint64 }
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &memory, "erlang", "memory"))
	assert.Greater(t, memory.Total, memory.Processes)
	assert.NotZero(t, memory.Atom)
	var clusters map[string]any
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &clusters, "maps", "from_list", etf.List{etf.Tuple{"k", 1}}))
	assert.Equal(t, map[string]any{"k": int64(1)}, clusters)
	var number int
	require.ErrorIs(t, p.Node.CallInto(t.Context(), p.Name, &number, "erlang", "node"), etf.ErrType)
}

// raise calls a function that raises.
func (p *Peer) raise(module, function etf.Atom, args ...etf.Term) *node.ErlangError {
	p.t.Helper()
	_, err := p.Try(module, function, args...)
	var ex *node.ErlangError
	require.ErrorAs(p.t, err, &ex, "%s:%s %v", module, function, args)
	return ex
}

func exceptions(t *testing.T, p *Peer) {
	atom := func(s string) etf.Term { return etf.Atom(s) }
	for _, tc := range []struct {
		kind, class string
		reason      etf.Term
		top         string // innermost frame, where all releases agree
	}{
		{"throw", "throw", etf.Tuple{atom("thrown"), etf.List{int64(1), 2.0, []byte("three")}}, ""},
		{"exit", "exit", etf.Tuple{atom("shutdown"), etf.Map{{Key: atom("why"), Value: atom("test")}}}, ""},
		{"error", "error", etf.Tuple{atom("custom"), etf.Charlist("reason")}, "conformance:raise/1"},
		{"error_args", "error", atom("custom"), "conformance:raise/2"},
		{"badmatch", "error", etf.Tuple{atom("badmatch"), atom("none")}, "conformance:raise/1"},
		{"badarith", "error", atom("badarith"), ""}, // newer releases have a frame for the operator
		{"case_clause", "error", etf.Tuple{atom("case_clause"), atom("none")}, "conformance:raise/1"},
		{"badfun", "error", etf.Tuple{atom("badfun"), atom("none")}, "conformance:raise/1"},
		{"badmap", "error", etf.Tuple{atom("badmap"), atom("none")}, ""},
		{"undef", "error", atom("undef"), "nosuch:function/2"},
		{"badarg", "error", atom("badarg"), "erlang:list_to_integer/1"},
		{"nosuch", "error", atom("function_clause"), "conformance:raise/1"},
	} {
		ex := p.raise("conformance", "raise", etf.Atom(tc.kind))
		assert.Equal(t, etf.Atom(tc.class), ex.Class, tc.kind)
		assert.True(t, etf.Equal(tc.reason, ex.Reason), "%s: %s", tc.kind, etf.Format(ex.Reason))
		if tc.class != "error" {
			assert.Empty(t, ex.Stack, tc.kind)
			continue
		}
		require.NotEmpty(t, ex.Stack, tc.kind)
		assert.Contains(t, ex.Error(), " in "+tc.top, tc.kind)
		assert.Contains(t, etf.Format(ex.Stack), "{conformance,raise,", tc.kind)
		for _, frame := range ex.Stack {
			require.Len(t, frame, 4, tc.kind)
		}
	}
	ex := p.raise("conformance", "raise", etf.Atom("badmatch"))
	location, ok := ex.Stack[0].(etf.Tuple)[3].(etf.List)
	require.True(t, ok)
	file, _ := location.Lookup("file")
	assert.Contains(t, etf.Format(file), "conformance.erl")
	line, _ := location.Lookup("line")
	assert.IsType(t, int64(0), line)
	assert.Contains(t, p.raise("nosuch", "f", 1, 2).Error(), "undef in nosuch:f/2")
}

func elixirExceptions(t *testing.T, e *Env) {
	p := e.Peer("-pa", e.elixir()+"/ebin")
	ex := p.raise("Elixir.String", "to_integer", "twelve")
	assert.Equal(t, etf.Atom("badarg"), ex.Reason)
	ex = p.raise("Elixir.Keyword", "fetch!", etf.List{}, etf.Atom("key"))
	assert.Equal(t, etf.Atom("error"), ex.Class)
	assert.Contains(t, etf.FormatElixir(ex.Reason), "%KeyError{")
	ex = p.raise("Elixir.Enum", "fetch!", etf.List{}, 3)
	assert.Contains(t, etf.FormatElixir(ex.Reason), "%Enum.OutOfBoundsError{")
}

func killedFromOutside(t *testing.T, p *Peer) {
	for kind, reason := range map[etf.Atom]etf.Atom{"killed": "killed", "linked": "linked_died"} {
		ex := p.raise("conformance", "raise", kind)
		assert.Equal(t, etf.Atom("exit"), ex.Class)
		assert.Equal(t, reason, ex.Reason)
	}
}

func concurrent(t *testing.T, e *Env) {
	p := e.Peer()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				want := int64(i*1000 + j)
				got, err := p.Node.Call(t.Context(), p.Name, "erlang", "abs", -want)
				if !assert.Equal(t, want, got, "%v", err) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func stdout(t *testing.T, p *Peer) {
	const lines = 2000
	var out bytes.Buffer
	req := node.Request{Module: "conformance", Function: "printing", Args: []etf.Term{lines}, Stdout: &out}
	got, err := p.Node.Do(t.Context(), p.Name, req)
	require.NoError(t, err)
	assert.Equal(t, etf.Tuple{etf.Atom("eof"), etf.Tuple{etf.Atom("error"), etf.Atom("enotsup")}}, got)
	var want strings.Builder
	fmt.Fprintf(&want, "bytes xnestedΩ\nΩ {a,\"b\"} [1]\nchild '%s'\né\n", p.Name)
	for i := range lines {
		fmt.Fprintln(&want, i+1)
	}
	assert.Equal(t, want.String(), out.String())

	req.Stdout = nil // a call whose output nobody takes ends too
	_, err = p.Node.Do(t.Context(), p.Name, req)
	require.NoError(t, err)
}

func traced(t *testing.T, e *Env) {
	p := e.Peer()
	var out bytes.Buffer
	req := node.Request{Module: "conformance", Function: "traced", Args: []etf.Term{p.Us()}, Stdout: &out}
	got, err := p.Node.Do(t.Context(), p.Name, req)
	require.NoError(t, err)
	assert.Equal(t, etf.Atom("pong"), got)
	assert.Equal(t, "traced\n", out.String())
}

// await waits until a process of this name is there, or is not.
func (p *Peer) await(name etf.Atom, there bool) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		got, err := p.Try("erlang", "whereis", name)
		_, is := got.(etf.Pid)
		return err == nil && is == there
	}, caseTime/2, 5*time.Millisecond, "%s there: %v", name, there)
}

func cancelled(t *testing.T, p *Peer) {
	count := func() int64 { return p.Call("erlang", "system_info", etf.Atom("process_count")).(int64) }
	before := count()
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := p.Node.Call(ctx, p.Name, "conformance", "hang", etf.Atom("victim"))
		errs <- err
	}()
	p.await("victim", true)
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
	p.await("victim", false)

	// At every moment of a call's beginning.
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		_, err := p.Node.Call(ctx, p.Name, "timer", "sleep", etf.Atom("infinity"))
		cancel()
		require.ErrorIs(t, err, node.ErrTimeout)
	}
	require.Eventually(t, func() bool { return count() <= before }, caseTime/2, 10*time.Millisecond)
}

func badArguments(t *testing.T, e *Env) {
	p := e.Peer()
	before := p.Us()
	_, err := p.Try("erlang", "abs", make(chan int))
	require.ErrorIs(t, err, etf.ErrUnsupported)
	_, err = p.Try("erlang", "abs", etf.Atom(strings.Repeat("x", 256)))
	require.ErrorIs(t, err, etf.ErrAtom)
	assert.Equal(t, before, p.Us())
	assert.Empty(t, p.Do("events"))
}
