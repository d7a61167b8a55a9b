package node_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come, however busy the machine is.
const patience = time.Minute

func TestPingAndCall(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	ctx := t.Context()
	require.NoError(t, n.Ping(ctx, e.Name))

	got, err := n.Call(ctx, e.Name, "erlang", "node")
	require.NoError(t, err)
	assert.Equal(t, etf.Atom(e.Name), got)

	got, err = n.Call(ctx, e.Name, "lists", "reverse", etf.List{int64(1), etf.Atom("b"), []byte("c")})
	require.NoError(t, err)
	assert.Equal(t, etf.List{[]byte("c"), etf.Atom("b"), int64(1)}, got)

	var release string
	require.NoError(t, n.CallInto(ctx, e.Name, &release, "erlang", "system_info", etf.Atom("otp_release")))
	assert.Regexp(t, `^\d\d$`, release)
}

// A guest shows in nodes(hidden) only, and costs one atom however often it comes.
func TestGuest(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	ctx := t.Context()
	got, err := n.Call(ctx, e.Name, "erlang", "nodes", etf.Atom("visible"))
	require.NoError(t, err)
	assert.Equal(t, etf.List(nil), got)
	got, err = n.Call(ctx, e.Name, "erlang", "nodes", etf.Atom("hidden"))
	require.NoError(t, err)
	assert.Len(t, got, 1)

	atoms := func() int64 {
		var k int64
		require.NoError(t, n.CallInto(ctx, e.Name, &k, "erlang", "system_info", etf.Atom("atom_count")))
		return k
	}
	observer := c.Node(e)
	before := atoms()
	for range 100 {
		n.Disconnect(e.Name)
		require.Eventually(t, func() bool { // it has seen us go: who comes before that gets another name
			guests, err := observer.Call(ctx, e.Name, "erlang", "nodes", etf.Atom("hidden"))
			return err == nil && len(guests.(etf.List)) == 1
		}, patience, time.Millisecond)
		require.NoError(t, n.Ping(ctx, e.Name))
	}
	assert.LessOrEqual(t, atoms()-before, int64(1))
}

func TestErlangExceptions(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	for _, tc := range []struct {
		m, f   etf.Atom
		args   []etf.Term
		class  etf.Atom
		reason etf.Term
		text   string
	}{
		{"erlang", "throw", []etf.Term{etf.Atom("x")}, "throw", etf.Atom("x"), "throw: x"},
		{"erlang", "exit", []etf.Term{etf.Atom("x")}, "exit", etf.Atom("x"), "exit: x"},
		{"erlang", "error", []etf.Term{etf.Atom("x")}, "error", etf.Atom("x"), "error: x"},
		{"nosuch", "f", nil, "error", etf.Atom("undef"), "error: undef in nosuch:f/0"},
		{"erlang", "atom_to_list", []etf.Term{1}, "error", etf.Atom("badarg"), "error: badarg in erlang:atom_to_list/1"},
		{"lists", "reverse", []etf.Term{etf.Atom("x")}, "error", etf.Atom("function_clause"), "error: function_clause in lists:reverse/1"},
	} {
		_, err := n.Call(t.Context(), e.Name, tc.m, tc.f, tc.args...)
		var ex *node.ErlangError
		require.ErrorAs(t, err, &ex, "%s:%s", tc.m, tc.f)
		assert.Equal(t, tc.class, ex.Class)
		assert.Equal(t, tc.reason, ex.Reason)
		assert.Contains(t, ex.Error(), tc.text)
	}
}

// A process killed before it has a result is an exit, not a hang.
func TestCallKilledFromOutside(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	_, err := n.Call(t.Context(), e.Name, "erlang", "apply", etf.Export{Module: "erlang", Function: "exit", Arity: 2},
		etf.List{etf.Atom("self"), etf.Atom("kill")})
	require.Error(t, err) // badarg: 'self' is no pid; now the real thing:
	got, err := nodetest.Eval(t.Context(), n, e.Name, `exit(self(), kill), timer:sleep(60000)`, nil)
	var ex *node.ErlangError
	require.ErrorAs(t, err, &ex, "%v", got)
	assert.Equal(t, etf.Atom("killed"), ex.Reason)
}

func TestConnectErrors(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	c.Node(e) // waits until it listens
	connect := func(p node.Peer) error {
		n, err := node.Start(node.Config{Cookie: c.Cookie})
		require.NoError(t, err)
		defer n.Close()
		require.NoError(t, n.AddPeer(p))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return n.Connect(ctx, p.Name)
	}
	at := c.EPMD.Addr
	require.NoError(t, connect(node.Peer{Name: e.Name, EPMD: at}))
	require.ErrorIs(t, connect(node.Peer{Name: e.Name, EPMD: at, Cookie: dist.NewCookie("other")}), node.ErrWrongCookie)
	unknown := connect(node.Peer{Name: "b@127.0.0.1", EPMD: at})
	require.ErrorIs(t, unknown, node.ErrNoSuchName)
	require.ErrorContains(t, unknown, `as "b"; it knows a`)
	require.ErrorIs(t, connect(node.Peer{Name: e.Name, EPMD: "127.0.0.1:1"}), node.ErrNoEPMD)
	require.ErrorIs(t, connect(node.Peer{Name: e.Name, Addr: "127.0.0.1:1"}), node.ErrRefused)
	require.ErrorIs(t, connect(node.Peer{Name: "a@no.such.host.invalid", EPMD: at}), node.ErrUnresolved)
	require.ErrorIs(t, connect(node.Peer{Name: e.Name, Addr: at}), dist.ErrClosedInHandshake, "EPMD is no node")

	// The same address under another name: the peer is asked as what it is not.
	reg, err := c.EPMD.Client().Lookup(t.Context(), "a")
	require.NoError(t, err)
	addr := "127.0.0.1:" + itoa(int(reg.Port))
	require.ErrorIs(t, connect(node.Peer{Name: "b@127.0.0.1", Addr: addr}), dist.ErrWrongName)
}

func itoa(n int) string { return strings.TrimSpace(etf.Format(int64(n))) }

// A stopped node costs its callers their deadline, and says so; when it goes on, so does the connection.
func TestStoppedNode(t *testing.T) {
	c := nodetest.New(t)
	a, b := c.Erl("a"), c.Erl("b")
	n := c.Node(a, b)
	a.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := n.Call(ctx, a.Name, "erlang", "node")
	require.ErrorIs(t, err, node.ErrTimeout)
	require.NoError(t, n.Ping(t.Context(), b.Name))

	fresh, err := node.Start(node.Config{Cookie: c.Cookie})
	require.NoError(t, err)
	defer fresh.Close()
	require.NoError(t, fresh.AddPeer(c.Peer(a)))
	ctx2, cancel2 := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel2()
	require.ErrorIs(t, fresh.Connect(ctx2, a.Name), node.ErrTimeout)

	a.Continue()
	require.NoError(t, n.Ping(t.Context(), a.Name))
}

func TestNodeDown(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	errs := make(chan error, 1)
	go func() {
		_, err := nodetest.Eval(t.Context(), n, e.Name, `register(sleeper, self()), timer:sleep(infinity)`, nil)
		errs <- err
	}()
	require.Eventually(t, func() bool {
		at, err := n.Call(t.Context(), e.Name, "erlang", "whereis", etf.Atom("sleeper"))
		return err == nil && at != etf.Term(etf.Atom("undefined"))
	}, patience, 10*time.Millisecond, "the call has arrived")
	e.Kill()
	require.ErrorIs(t, <-errs, node.ErrNodeDown)
	require.Eventually(t, func() bool { // EPMD sees it go, too
		return errors.Is(n.Ping(t.Context(), e.Name), node.ErrNoSuchName)
	}, patience, time.Millisecond)
}

// A call whose ctx ends leaves no process behind on the node.
func TestCancelKillsTheCall(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	count := func() int64 {
		var k int64
		require.NoError(t, n.CallInto(t.Context(), e.Name, &k, "erlang", "system_info", etf.Atom("process_count")))
		return k
	}
	before := count()
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*500*time.Microsecond)
		_, err := n.Call(ctx, e.Name, "timer", "sleep", etf.Atom("infinity"))
		cancel()
		require.Error(t, err)
	}
	require.Eventually(t, func() bool { return count() <= before }, patience, 10*time.Millisecond)
}

func TestStdout(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	var out bytes.Buffer
	got, err := n.Do(t.Context(), e.Name, node.Request{
		Module: "io", Function: "format", Args: []etf.Term{etf.Charlist("héllo ~p ~ts~n"), etf.List{etf.Tuple{int64(1), etf.Atom("x")}, []byte("wörld")}},
		Stdout: &out,
	})
	require.NoError(t, err)
	assert.Equal(t, etf.Atom("ok"), got)
	assert.Equal(t, "héllo {1,x} wörld\n", out.String())
	// Without a taker a printing call still ends.
	_, err = n.Call(t.Context(), e.Name, "io", "put_chars", etf.Charlist("x"))
	require.NoError(t, err)
}

// Large terms are cut into fragments both ways, while small calls go on.
func TestLargeTerms(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			got, err := n.Call(t.Context(), e.Name, "erlang", "byte_size", big)
			assert.Equal(t, int64(len(big)), got, "%v", err)
			got, err = n.Call(t.Context(), e.Name, "binary", "copy", []byte("0123456789abcdef"), 1<<20)
			copied, _ := got.([]byte)
			assert.True(t, bytes.Equal(big, copied), "%v", err)
		})
		wg.Go(func() {
			for range 200 {
				assert.NoError(t, n.Ping(t.Context(), e.Name))
			}
		})
	}
	wg.Wait()
}

// Erlang can ping us, and links and monitors to what we do not have are answered.
func TestErlangSide(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	got := eval(t, n, e.Name, `[N] = nodes(hidden),
		P = net_adm:ping(N),
		R = monitor(process, {nobody, N}),
		D = receive {'DOWN', R, _, _, Why} -> Why after 60000 -> none end,
		{P, D}`, nil)
	assert.Equal(t, etf.Tuple{etf.Atom("pong"), etf.Atom("noproc")}, got)
}

func TestConcurrentCalls(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 50 {
				want := int64(i*1000 + j)
				got, err := n.Call(t.Context(), e.Name, "erlang", "abs", -want)
				if !assert.Equal(t, want, got, "%v", err) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// A node with a short net_ticktime keeps us, though we ask nothing, and we keep it.
func TestTicks(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a", "-kernel", "net_ticktime", "4")
	n := c.Node(e)
	hidden := func() etf.Term {
		got, err := n.Call(t.Context(), e.Name, "erlang", "nodes", etf.Atom("hidden"))
		require.NoError(t, err)
		return got
	}
	const tries = 3 // on a machine at its limit somebody may not have had a turn for 4 s
	for try := 1; ; try++ {
		before := hidden()
		time.Sleep(7 * time.Second)
		if after := hidden(); try == tries || etf.Equal(before, after) {
			assert.Equal(t, before, after, "the same connection")
			return
		}
	}
}
