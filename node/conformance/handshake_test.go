package conformance

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var handshakeCases = []Case{
	{"dynamic name, given by the node", dynamicName},
	{"dynamic names cost the node no atoms", dynamicNameAtoms},
	{"fixed name", fixedName},
	{"fixed name in use: the connection that stays is the", nameInUse},
	{"a hidden node shows as hidden only", hidden},
	{"wrong cookie", wrongCookie},
	{"not allowed (`net_kernel:allow/1`)", notAllowed},
	{"asked as another node", wrongName},
	{"silence", silence},
	{"a session as in `dist/disttest/testdata`", golden},
}

func dynamicName(t *testing.T, e *Env) {
	p := e.Peer()
	require.NoError(t, p.Node.Ping(t.Context(), p.Name))
	assert.Equal(t, etf.List{p.Us()}, p.Call("erlang", "nodes", etf.Atom("hidden")))
	assert.Regexp(t, `^.+@127\.0\.0\.1$`, string(p.Us()))
	assert.NotEqual(t, p.Name, string(p.Us()))
}

func dynamicNameAtoms(t *testing.T, e *Env) {
	p := e.Peer()
	atoms := func() int64 { return p.Call("erlang", "system_info", etf.Atom("atom_count")).(int64) }
	observer := e.Cluster().Node(p.Erl)
	before := atoms()
	for range 50 {
		p.Node.Disconnect(p.Name)
		require.Eventually(t, func() bool { // it has seen us go: who comes before that gets another name
			got, err := observer.Call(t.Context(), p.Name, "erlang", "nodes", etf.Atom("hidden"))
			guests, _ := got.(etf.List)
			return err == nil && len(guests) == 1
		}, caseTime/2, time.Millisecond)
		require.NoError(t, p.Node.Ping(t.Context(), p.Name))
	}
	assert.LessOrEqual(t, atoms()-before, int64(2))
}

func fixedName(t *testing.T, e *Env) {
	p := e.Peer()
	n := e.Start(node.Config{Name: "fixed@127.0.0.1"}, p.Erl)
	got, err := n.Call(t.Context(), p.Name, "erlang", "group_leader")
	require.NoError(t, err)
	require.IsType(t, etf.Pid{}, got)
	assert.Equal(t, etf.Atom("fixed@127.0.0.1"), got.(etf.Pid).Node)
	assert.Contains(t, p.Call("erlang", "nodes", etf.Atom("hidden")), etf.Atom("fixed@127.0.0.1"))
}

func nameInUse(t *testing.T, e *Env) {
	p := e.Peer()
	older := e.Start(node.Config{Name: "fixed@127.0.0.1"}, p.Erl)
	require.NoError(t, older.Connect(t.Context(), p.Name))
	errs := make(chan error, 1)
	go func() {
		_, err := older.Call(t.Context(), p.Name, "conformance", "hang", etf.Atom("older"))
		errs <- err
	}()
	p.await("older", true)
	newer := e.Start(node.Config{Name: "fixed@127.0.0.1"}, p.Erl)
	err := newer.Ping(t.Context(), p.Name)
	if e.Major < 24 { // it asks whether the name is alive, and then waits in vain for the older connection to end
		require.ErrorIs(t, err, dist.ErrSimultaneous)
		require.NoError(t, older.Ping(t.Context(), p.Name))
		e.Note("older")
		return
	}
	require.NoError(t, err)
	require.ErrorIs(t, <-errs, node.ErrNodeDown)
	require.NoError(t, newer.Ping(t.Context(), p.Name))
	e.Note("newer")
}

func hidden(t *testing.T, e *Env) {
	p := e.Peer()
	assert.Equal(t, etf.List(nil), p.Call("erlang", "nodes"))
	assert.Equal(t, etf.List{p.Us()}, p.Call("erlang", "nodes", etf.Atom("connected")))
}

// connect is one attempt to connect as a node of its own.
func (e *Env) connect(cfg node.Config, p node.Peer) error {
	e.t.Helper()
	n := e.Start(cfg)
	defer n.Close()
	require.NoError(e.t, n.AddPeer(p))
	ctx, cancel := context.WithTimeout(e.t.Context(), caseTime)
	defer cancel()
	return n.Connect(ctx, p.Name)
}

func wrongCookie(t *testing.T, e *Env) {
	p := e.Peer()
	at := e.Cluster().Peer(p.Erl)
	require.NoError(t, e.connect(node.Config{}, at))
	at.Cookie = dist.NewCookie("another")
	require.ErrorIs(t, e.connect(node.Config{}, at), node.ErrWrongCookie)
	require.ErrorIs(t, e.connect(node.Config{Name: "fixed@127.0.0.1"}, at), node.ErrWrongCookie)
}

func notAllowed(t *testing.T, e *Env) {
	p := e.Peer()
	at := e.Cluster().Peer(p.Erl)
	p.Call("net_kernel", "allow", etf.List{etf.Atom("friend@127.0.0.1")})
	require.NoError(t, e.connect(node.Config{Name: "friend@127.0.0.1"}, at))
	require.ErrorIs(t, e.connect(node.Config{Name: "stranger@127.0.0.1"}, at), dist.ErrNotAllowed)
}

func wrongName(t *testing.T, e *Env) {
	p := e.Peer()
	at := e.Cluster().Peer(p.Erl)
	reg, err := e.Cluster().EPMD.Client().Lookup(t.Context(), "a")
	require.NoError(t, err)
	at.Addr = "127.0.0.1:" + strconv.Itoa(int(reg.Port))
	require.NoError(t, e.connect(node.Config{}, at))
	at.Name = "b@127.0.0.1"
	require.ErrorIs(t, e.connect(node.Config{}, at), dist.ErrWrongName)
}

// A node that takes the connection and says nothing costs the caller its deadline.
func silence(t *testing.T, e *Env) {
	p := e.Peer()
	n := e.Start(node.Config{}, p.Erl)
	p.Stop()
	defer p.Continue()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := n.Connect(ctx, p.Name)
	require.ErrorIs(t, err, node.ErrTimeout)
	require.NotErrorIs(t, err, node.ErrNodeDown)
}
