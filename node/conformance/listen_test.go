package conformance

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var listenCases = []Case{
	{"the node finds ours by EPMD, connects and calls; we call back", inbound},
	{"a hidden node's connection, and a visible one's", hiddenAndVisible},
	{"a name granted by us, again when it comes back", granted},
	{"a wrong cookie is refused", inboundWrongCookie},
	{"both connect at the same moment", simultaneous},
	{"`erl_call` (erl_interface) finds ours and calls a function", erlCallsUs},
	{"a node that does not ask EPMD begins with version", withoutEPMD},
}

const goName = "go@127.0.0.1"

// Open starts a node of ours that listens and is registered with the case's EPMD.
func (e *Env) Open(cfg node.Config, how node.ListenConfig) (*node.Node, string) {
	e.t.Helper()
	n := e.Start(cfg)
	if how.EPMD == "" {
		how.EPMD = e.Cluster().EPMD.Addr
	}
	addr, err := n.Listen(e.t.Context(), how)
	require.NoError(e.t, err)
	return n, addr.String()
}

// Script runs Erlang code in a node of this release, named by args, and returns what it prints.
func (e *Env) Script(code string, args ...string) string {
	e.t.Helper()
	return e.Cluster().RunOf(e.Bin, append(args, "-eval", code+", halt().")...)
}

// next returns the next event.
func next(t *testing.T, events <-chan node.Event) node.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTime/2)
	defer cancel()
	select {
	case ev := <-events:
		return ev
	case <-ctx.Done():
		require.FailNow(t, "no event")
		return node.Event{}
	}
}

func inbound(t *testing.T, e *Env) {
	n, _ := e.Open(node.Config{Name: goName}, node.ListenConfig{})
	handle(n, nil)
	_, err := n.StartServer("counter", counter(nil))
	require.NoError(t, err)
	events, stop := n.Events()
	defer stop()
	erl := e.Erl("a", "-eval", `N = 'go@127.0.0.1', pong = net_adm:ping(N), 0 = gen_server:call({counter, N}, get, infinity), 3 = erpc:call(N, go, sum, [1, 2]),
		register(done, spawn(timer, sleep, [infinity]))`)
	assert.Equal(t, node.Event{Node: erl.Name, Up: true, Inbound: true}, next(t, events))
	p := &Peer{erl, n, t} // over its connection: it was never told how to reach it
	p.await("done", true)
	assert.Equal(t, etf.List{etf.Atom(goName)}, p.Call("erlang", "nodes", etf.Atom("hidden")))
	erl.Kill()
	down := next(t, events)
	assert.Equal(t, erl.Name, down.Node)
	assert.False(t, down.Up)
	assert.Empty(t, n.Nodes())
}

func hiddenAndVisible(t *testing.T, e *Env) {
	for _, visible := range []bool{false, true} {
		name := goName
		if visible {
			name = "seen@127.0.0.1"
		}
		n, _ := e.Open(node.Config{Name: name, Visible: visible}, node.ListenConfig{})
		events, stop := n.Events()
		defer stop()
		ask := `true = net_kernel:connect_node('` + name + `'), io:format("~p ~p", [nodes(), nodes(hidden)])`
		want := "[] ['" + name + "']"
		if visible {
			want = "['" + name + "'] []"
		}
		assert.Equal(t, want, e.Script(ask, "-name", "open@127.0.0.1"))
		assert.Equal(t, visible, next(t, events).Visible)
		assert.False(t, next(t, events).Up)
		assert.Equal(t, "[] ['"+name+"']", e.Script(ask, "-name", "closed@127.0.0.1", "-hidden"))
		assert.False(t, next(t, events).Visible)
	}
}

func granted(t *testing.T, e *Env) {
	n, _ := e.Open(node.Config{Name: goName}, node.ListenConfig{})
	n.Handle("go", "nodes", func(context.Context, []etf.Term) (etf.Term, error) {
		return etf.Charlist(strings.Join(n.Nodes(), " ")), nil
	})
	events, stop := n.Events()
	defer stop()
	var names, creations []string
	for range 2 {
		out := e.Script(`true = net_kernel:connect_node('go@127.0.0.1'), true = atom_to_list(node()) =:= erpc:call('go@127.0.0.1', go, nodes, []),
			io:format("~s ~p", [node(), erlang:system_info(creation)])`, "-name", "undefined@127.0.0.1")
		name, creation, _ := strings.Cut(out, " ")
		names, creations = append(names, name), append(creations, creation)
		assert.Equal(t, name, next(t, events).Node)
		assert.False(t, next(t, events).Up)
	}
	assert.Equal(t, names[0], names[1])
	assert.Regexp(t, `^[0-9a-z]+@127\.0\.0\.1$`, names[0])
	assert.NotEqual(t, creations[0], creations[1])
}

func inboundWrongCookie(t *testing.T, e *Env) {
	n, _ := e.Open(node.Config{Name: goName, Cookie: dist.NewCookie("another")}, node.ListenConfig{})
	assert.Equal(t, "pang", e.Script(`io:format("~p", [net_adm:ping('go@127.0.0.1')])`, "-name", "a@127.0.0.1", "-kernel", "logger_level", "none"))
	assert.Empty(t, n.Nodes())
}

// Both sides dial, with the greater name on either side: one connection comes of it, which serves both.
func simultaneous(t *testing.T, e *Env) {
	p := e.Peer()
	for _, alive := range []string{"0", "zzz"} { // the node is called a
		name := alive + "@127.0.0.1"
		n, _ := e.Open(node.Config{Name: name}, node.ListenConfig{})
		require.NoError(t, n.AddPeer(e.Cluster().Peer(p.Erl)))
		for range 15 {
			theirs := make(chan error, 1)
			go func() {
				got, err := p.Try("net_kernel", "connect_node", etf.Atom(name))
				assert.Equal(t, etf.Atom("true"), got)
				theirs <- err
			}()
			require.NoError(t, n.Connect(t.Context(), p.Name))
			require.NoError(t, <-theirs)
			require.NoError(t, n.Ping(t.Context(), p.Name))
			require.Equal(t, etf.Atom("pong"), p.Call("net_adm", "ping", etf.Atom(name)))
			require.Equal(t, []string{p.Name}, n.Nodes())
			n.Disconnect(p.Name)
			require.Eventually(t, func() bool {
				got, err := p.Try("erlang", "nodes", etf.Atom("hidden"))
				hidden, _ := got.(etf.List)
				return err == nil && len(hidden) == 1
			}, caseTime/2, tick)
		}
	}
}

// A C node: it has no fragments and no erpc, and asks rex.
func erlCallsUs(t *testing.T, e *Env) {
	n, _ := e.Open(node.Config{Name: goName}, node.ListenConfig{})
	handle(n, nil)
	for args, want := range map[string]string{
		"go sum [1,2,3]": "6",
		"go throw [x]":   "x",
		"go nope []":     "{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}",
	} {
		out, err := e.run("erl_call", "-n", goName, "-a", args)
		require.NoError(t, err, out)
		assert.Equal(t, want, strings.ReplaceAll(strings.TrimSpace(out), ", ", ","), args)
	}
}

// withoutEPMD has the node look us up in a module of its own, which as many in the wild says that we speak version 5. Nodes that still
// know it then begin with 'n'.
func withoutEPMD(t *testing.T, e *Env) {
	n, addr := e.Open(node.Config{Name: goName}, node.ListenConfig{Unregistered: true})
	handle(n, nil)
	first, via := firstByte(t, addr)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "noepmd.erl"), []byte(`
		-module(noepmd).
		-export([start_link/0, register_node/2, register_node/3, port_please/2, port_please/3, address_please/3, names/1, listen_port_please/2]).
		start_link() -> ignore.
		register_node(_, _) -> {ok, 1}.
		register_node(_, _, _) -> {ok, 1}.
		listen_port_please(_, _) -> {ok, 0}.
		port_please(_, _) -> {port, `+strconv.Itoa(via)+`, 5}.
		port_please(N, H, _) -> port_please(N, H).
		address_please(_, _, _) -> {ok, {127,0,0,1}, `+strconv.Itoa(via)+`, 5}.
		names(_) -> {error, address}.
	`), 0o600))
	out, err := e.run("erlc", "-o", dir, filepath.Join(dir, "noepmd.erl"))
	require.NoError(t, err, out)
	assert.Equal(t, "pong 3", e.Script(`N = 'go@127.0.0.1', io:format("~p ~p", [net_adm:ping(N), catch erpc:call(N, go, sum, [1, 2])])`,
		"-name", "a@127.0.0.1", "-pa", dir, "-epmd_module", "noepmd"))
	switch tag := <-first; tag {
	case 'n':
		require.Less(t, e.Major, 25)
		e.Note("5")
	default:
		require.Equal(t, byte('N'), tag)
		e.Note("6")
	}
}

// firstByte passes one connection on to addr, and tells the tag of its first handshake message.
func firstByte(t *testing.T, addr string) (tag <-chan byte, port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	seen, over := make(chan byte, 1), make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-over })
	go func() {
		defer close(over)
		in, err := ln.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		out, err := net.Dial("tcp", addr)
		if !assert.NoError(t, err) { //nolint:testifylint // not in the test's goroutine
			return
		}
		defer out.Close()
		head := make([]byte, 3)
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		seen <- head[2]
		_, _ = out.Write(head)
		back := make(chan struct{})
		go func() { defer close(back); _, _ = io.Copy(in, out); _ = in.Close() }()
		_, _ = io.Copy(out, in)
		_ = out.Close()
		<-back
	}()
	return seen, ln.Addr().(*net.TCPAddr).Port
}
