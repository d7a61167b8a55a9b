package node_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// open starts a Go node that listens and is registered with the cluster's EPMD.
func open(t *testing.T, c *nodetest.Cluster, cfg node.Config) (*node.Node, string) {
	t.Helper()
	cfg.Cookie = c.Cookie
	n, err := node.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	addr, err := n.Listen(t.Context(), node.ListenConfig{EPMD: c.EPMD.Addr})
	require.NoError(t, err)
	assert.True(t, addr.(*net.TCPAddr).IP.IsLoopback())
	return n, addr.String()
}

// next returns the next event.
func next(t *testing.T, events <-chan node.Event) node.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		require.FailNow(t, "no event")
		return node.Event{}
	}
}

// Erlang finds the node by EPMD and connects; that connection then serves us.
func TestListen(t *testing.T) {
	c := nodetest.New(t)
	n, _ := open(t, c, node.Config{Name: "go@127.0.0.1"})
	events, stop := n.Events()
	defer stop()
	serve(t, n, nil)
	assert.Equal(t, "good", c.Eval(`N = 'go@127.0.0.1', pong = net_adm:ping(N), 0 = gen_server:call({counter, N}, get, infinity),
		{[], [N]} = {nodes(), nodes(hidden)}, io:put_chars("good")`))
	up := next(t, events)
	assert.True(t, up.Up && up.Inbound)
	down := next(t, events)
	assert.Equal(t, up.Node, down.Node)
	assert.False(t, down.Up)
	require.Error(t, down.Err)
	assert.Empty(t, n.Nodes())

	e := c.Erl("a", "-eval", `pong = net_adm:ping('go@127.0.0.1')`)
	assert.Equal(t, node.Event{Node: e.Name, Up: true, Inbound: true}, next(t, events))
	assert.Equal(t, []string{e.Name}, n.Nodes())
	got, err := n.Call(t.Context(), e.Name, "erlang", "nodes", etf.Atom("hidden"))
	require.NoError(t, err, "our call goes over its connection")
	assert.Equal(t, etf.List{etf.Atom("go@127.0.0.1")}, got)

	// Close tells the peer, and gives the name back.
	other := c.Node(e)
	p := process(t, n)
	watch := eval(t, n, e.Name, `Me = self(), W = spawn(fun() -> monitor_node('go@127.0.0.1', true), R = monitor(process, P), Me ! ready,
		receive {'DOWN', R, _, _, Why} -> receive {nodedown, _} -> receive {get, Q} -> Q ! Why end end end end), receive ready -> W end`,
		bind{"P": p.Self()})
	require.NoError(t, n.Close())
	q := process(t, other)
	require.NoError(t, q.Send(t.Context(), watch, etf.Tuple{etf.Atom("get"), pidAt(t, q, e.Name)}))
	assert.Equal(t, etf.Atom("shutdown"), receive(t, q))
	require.Eventually(t, func() bool {
		_, err = c.EPMD.Client().Lookup(t.Context(), "go")
		return errors.Is(err, epmd.ErrNotRegistered)
	}, patience, time.Millisecond)
	last := next(t, events)
	assert.False(t, last.Up)
	require.ErrorIs(t, last.Err, node.ErrClosed)
	_, more := <-events
	assert.False(t, more)
}

func TestListenErrors(t *testing.T) {
	c := nodetest.New(t)
	guest := c.Node()
	_, err := guest.Listen(t.Context(), node.ListenConfig{EPMD: c.EPMD.Addr})
	require.ErrorIs(t, err, node.ErrNoName)
	_, err = node.Start(node.Config{Visible: true})
	require.ErrorIs(t, err, node.ErrNoName)

	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	_, err = n.Listen(t.Context(), node.ListenConfig{Unregistered: true})
	require.ErrorContains(t, err, "listens already")
	twin, err := node.Start(node.Config{Name: "go@127.0.0.1", Cookie: c.Cookie})
	require.NoError(t, err)
	defer twin.Close()
	_, err = twin.Listen(t.Context(), node.ListenConfig{EPMD: c.EPMD.Addr})
	require.ErrorIs(t, err, epmd.ErrNameTaken)

	connect := func(cookie dist.Cookie, name string) error {
		x, err := node.Start(node.Config{Name: name, Cookie: cookie})
		require.NoError(t, err)
		defer x.Close()
		require.NoError(t, x.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
		return x.Connect(t.Context(), "go@127.0.0.1")
	}
	require.ErrorIs(t, connect(dist.NewCookie("other"), "x@127.0.0.1"), node.ErrWrongCookie)
	require.ErrorIs(t, connect(c.Cookie, "go@127.0.0.1"), dist.ErrNotAllowed, "its own name")
	// A peer with a cookie of its own, also when it is the one that connects.
	require.NoError(t, n.AddPeer(node.Peer{Name: "x@127.0.0.1", Cookie: dist.NewCookie("other")}))
	require.NoError(t, connect(dist.NewCookie("other"), "x@127.0.0.1"))
	require.ErrorIs(t, connect(c.Cookie, "x@127.0.0.1"), node.ErrWrongCookie)

	// Garbage, and one that says nothing, cost nobody else anything.
	for _, say := range []string{"", "\x00", "GET / HTTP/1.1\r\n\r\n", "\x00\x05hello", "\xff\xff"} {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		_, err = nc.Write([]byte(say))
		require.NoError(t, err)
	}
	require.NoError(t, connect(c.Cookie, "y@127.0.0.1"))
}

// A node that comes back before we have noticed that it went: the new connection takes the place of the old.
func TestListenReplaces(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	events, stop := n.Events()
	defer stop()
	start := func() *node.Node {
		x, err := node.Start(node.Config{Name: "x@127.0.0.1", Cookie: c.Cookie})
		require.NoError(t, err)
		t.Cleanup(func() { _ = x.Close() })
		require.NoError(t, x.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
		require.NoError(t, x.Ping(t.Context(), "go@127.0.0.1"))
		return x
	}
	first := start()
	gone, stopFirst := first.Events()
	defer stopFirst()
	assert.True(t, next(t, events).Up)
	second := start()
	down, up := next(t, events), next(t, events)
	assert.False(t, down.Up)
	assert.True(t, up.Up)
	assert.False(t, next(t, gone).Up, "the first is told")
	require.NoError(t, second.Ping(t.Context(), "go@127.0.0.1"))
	require.NoError(t, n.Ping(t.Context(), "x@127.0.0.1"))
	assert.Equal(t, []string{"x@127.0.0.1"}, n.Nodes())
}

// Both sides dial at the same moment, with the greater name on either side: one connection comes of it, every time.
func TestSimultaneousConnect(t *testing.T) {
	for _, alive := range []string{"aaa", "zzz"} {
		t.Run(alive, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("m")
			observer := c.Node(e)
			name := alive + "@127.0.0.1"
			n, _ := open(t, c, node.Config{Name: name})
			require.NoError(t, n.AddPeer(c.Peer(e)))
			for range 40 {
				theirs := make(chan error, 1)
				go func() {
					got, err := observer.Call(t.Context(), e.Name, "net_kernel", "connect_node", etf.Atom(name))
					assert.Equal(t, etf.Atom("true"), got)
					theirs <- err
				}()
				require.NoError(t, n.Connect(t.Context(), e.Name))
				require.NoError(t, <-theirs)
				require.NoError(t, n.Ping(t.Context(), e.Name))
				got, err := observer.Call(t.Context(), e.Name, "net_adm", "ping", etf.Atom(name))
				require.NoError(t, err)
				require.Equal(t, etf.Atom("pong"), got)
				require.Equal(t, []string{e.Name}, n.Nodes())
				n.Disconnect(e.Name)
				require.Eventually(t, func() bool {
					got, err := observer.Call(t.Context(), e.Name, "erlang", "nodes", etf.Atom("hidden"))
					return err == nil && len(got.(etf.List)) == 1
				}, patience, time.Millisecond)
			}
		})
	}
}

// Nodes without a name get one, and the next one gets it again.
func TestGrantDynamicNames(t *testing.T) {
	c := nodetest.New(t)
	n, addr := open(t, c, node.Config{Name: "go@127.0.0.1"})
	n.Handle("go", "who", func(context.Context, []etf.Term) (etf.Term, error) {
		return etf.Atom(strings.Join(n.Nodes(), " ")), nil
	})
	var names, creations []string
	for range 3 {
		out := c.Run("-name", "undefined@127.0.0.1", "-eval", `true = net_kernel:connect_node('go@127.0.0.1'),
			true = node() =:= erpc:call('go@127.0.0.1', go, who, []),
			io:format("~s ~p", [node(), erlang:system_info(creation)]), halt().`)
		name, creation, _ := strings.Cut(out, " ")
		names, creations = append(names, name), append(creations, creation)
		require.Eventually(t, func() bool { return len(n.Nodes()) == 0 }, patience, time.Millisecond)
	}
	assert.Equal(t, []string{names[0], names[0], names[0]}, names)
	assert.NotEqual(t, creations[0], creations[1])
	assert.NotEqual(t, creations[1], creations[2])

	// Two at once have two.
	var given []etf.Pid
	for range 2 {
		x := c.Node()
		require.NoError(t, x.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr}))
		given = append(given, pidAt(t, process(t, x), "go@127.0.0.1"))
		require.NoError(t, x.Ping(t.Context(), "go@127.0.0.1"))
	}
	assert.NotEqual(t, given[0].Node, given[1].Node)
	assert.Len(t, n.Nodes(), 2)
}

// A visible node takes part in what Erlang does with all nodes, and is in nobody's way.
func TestVisible(t *testing.T) {
	c := nodetest.New(t)
	n, _ := open(t, c, node.Config{Name: "go@127.0.0.1", Visible: true})
	n.Handle("erlang", "node", func(context.Context, []etf.Term) (etf.Term, error) { return etf.Atom("go"), nil })
	a, b := c.Erl("a"), c.Erl("b")
	require.NoError(t, n.AddPeer(c.Peer(a)))
	require.NoError(t, n.AddPeer(c.Peer(b)))
	observer := c.Node(a, b)
	do := func(code string) string { t.Helper(); return etf.Format(eval(t, observer, a.Name, code, nil)) }
	assert.Equal(t, `true`, do(`net_kernel:connect_node('b@127.0.0.1')`))
	assert.Equal(t, `pong`, do(`net_adm:ping('go@127.0.0.1')`))
	events, stop := n.Events()
	defer stop()
	require.NoError(t, n.Connect(t.Context(), b.Name))
	assert.Equal(t, node.Event{Node: b.Name, Up: true, Visible: true}, next(t, events))
	assert.Equal(t, `['b@127.0.0.1','go@127.0.0.1']`, do(`lists:sort(nodes())`))
	assert.Equal(t, `{['a@127.0.0.1','b@127.0.0.1',go],[]}`, do(`{R, B} = rpc:multicall(erlang, node, []), {lists:sort(R), B}`))
	// global takes no notice of it, and does not wait for it.
	assert.Equal(t, `true`, do(`{T, ok} = timer:tc(global, sync, []), T < 60000000`))
	assert.Equal(t, `{yes,true}`, do(`{global:register_name(x, group_leader()), is_pid(rpc:call('b@127.0.0.1', global, whereis_name, [x]))}`))
	assert.Equal(t, `true`, do(`{T, locked} = timer:tc(global, trans, [{lock, self()}, fun() -> locked end]), T < 60000000`))
	assert.Equal(t, `ok`, do(`pg:start(pg), pg:join(g, whereis(init))`))
	require.NoError(t, n.Ping(t.Context(), a.Name))
	assert.Equal(t, []string{a.Name, b.Name}, n.Nodes())
}

// A C node finds us, connects, and calls: erl_call, which knows neither fragments nor erpc.
func TestErlCall(t *testing.T) {
	c := nodetest.New(t)
	n, _ := open(t, c, node.Config{Name: "go@127.0.0.1"})
	n.Handle("go", "twice", func(_ context.Context, args []etf.Term) (etf.Term, error) { return etf.List{args[0], args[0]}, nil })
	call := func(what string) string {
		cmd := exec.CommandContext(t.Context(), "erl_call", "-name", "go@127.0.0.1", "-timeout", "60", "-a", what)
		cmd.Env = append(os.Environ(), c.EPMD.Env(), "HOME="+c.Home())
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.ReplaceAll(string(out), ", ", ",")
	}
	assert.Equal(t, "[{a,1},{a,1}]", call("go twice [{a,1}]"))
	assert.Equal(t, "{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}", call("go nope []"))
	big := strings.Repeat("x", 60_000)                                      // the answer would be two fragments
	assert.True(t, `["`+big+`","`+big+`"]` == call(`go twice ["`+big+`"]`)) //nolint:testifylint // too long to print
}

// The name comes back with the EPMD.
func TestListenSurvivesEPMD(t *testing.T) {
	c := nodetest.New(t)
	open(t, c, node.Config{Name: "go@127.0.0.1"})
	require.NoError(t, c.EPMD.Server.Close())
	again := epmdtest.StartAt(t, c.EPMD.Addr, epmd.Config{})
	require.Eventually(t, func() bool {
		_, err := again.Client().Lookup(t.Context(), "go")
		return err == nil
	}, patience, 50*time.Millisecond)
}
