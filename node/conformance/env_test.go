package conformance

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Env is what a case has to work with: one release, and a cluster of its own.
type Env struct {
	nodetest.Release
	All []nodetest.Release // of this run

	t       *testing.T
	cluster *nodetest.Cluster
	note    string
}

// Note sets what the table says instead of a check mark.
func (e *Env) Note(format string, args ...any) { e.note = fmt.Sprintf(format, args...) }

func (e *Env) result() string {
	switch {
	case e.t.Failed() || e.t.Skipped():
		return "fails"
	case e.note != "":
		return e.note
	}
	return "✓"
}

// Cluster is the case's cluster, empty at first.
func (e *Env) Cluster() *nodetest.Cluster {
	if e.cluster == nil {
		e.cluster = nodetest.New(e.t)
	}
	return e.cluster
}

// Erl boots a node of this release in the case's cluster; see nodetest.
func (e *Env) Erl(alive string, args ...string) *nodetest.Erl {
	e.t.Helper()
	erl := e.Cluster().ErlOf(e.Bin, alive, args...)
	e.t.Cleanup(func() {
		if e.t.Failed() {
			e.t.Logf("output of %s:\n%s", erl.Name, erl.Output())
		}
	})
	return erl
}

// Start makes a hidden node of the case's cluster, with what cfg says beside the cookie, that knows the given nodes and
// has not connected to any.
func (e *Env) Start(cfg node.Config, erls ...*nodetest.Erl) *node.Node {
	e.t.Helper()
	if cfg.Cookie.IsZero() {
		cfg.Cookie = e.Cluster().Cookie
	}
	n, err := node.Start(cfg)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = n.Close() })
	for _, erl := range erls {
		p := e.Cluster().Peer(erl)
		p.Cookie = cfg.Cookie
		require.NoError(e.t, n.AddPeer(p))
	}
	return n
}

// Peer boots a node of this release, connects a hidden node to it and loads testdata/conformance.erl there.
func (e *Env) Peer(args ...string) *Peer {
	e.t.Helper()
	erl := e.Erl("a", args...)
	return e.load(e.Cluster().Node(erl), erl)
}

// Peer is a node under test, as a hidden node of ours sees it.
type Peer struct {
	*nodetest.Erl
	Node *node.Node
	t    *testing.T
}

// helper is the compiled module of each release, which only newer ones could load.
var helper sync.Map // Release.Bin → func() (etf.Term, error)

func (e *Env) load(n *node.Node, erl *nodetest.Erl) *Peer {
	e.t.Helper()
	p := &Peer{erl, n, e.t}
	path, err := filepath.Abs("testdata/conformance.erl")
	require.NoError(e.t, err)
	// Compiled by the first node of a release. One that meanwhile waits for it would have to do the same.
	compile, _ := helper.LoadOrStore(e.Bin, sync.OnceValue(func() etf.Term {
		return p.Call("compile", "file", etf.Charlist(path), etf.List{etf.Atom("binary"), etf.Atom("return_errors")})
	}))
	p.install(path, compile.(func() etf.Term)())
	return p
}

// install loads a compiled helper module, {ok, Module, Binary}, and starts it.
func (p *Peer) install(path string, compiled etf.Term) {
	p.t.Helper()
	res, ok := compiled.(etf.Tuple)
	require.True(p.t, ok && len(res) == 3 && res[0] == etf.Atom("ok"), "%s", etf.Format(compiled))
	p.Call("code", "load_binary", res[1], etf.Charlist(path), res[2])
	p.Do("start")
}

// Call calls a function on the node, which has to return.
func (p *Peer) Call(module, function etf.Atom, args ...etf.Term) etf.Term {
	p.t.Helper()
	got, err := p.Try(module, function, args...)
	require.NoError(p.t, err)
	return got
}

// Do calls a function of conformance.erl.
func (p *Peer) Do(function etf.Atom, args ...etf.Term) etf.Term {
	p.t.Helper()
	return p.Call("conformance", function, args...)
}

// Try is Call that may fail.
func (p *Peer) Try(module, function etf.Atom, args ...etf.Term) (etf.Term, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), caseTime)
	defer cancel()
	return p.Node.Call(ctx, p.Name, module, function, args...)
}

// Us is our node's name on its connection with the node.
func (p *Peer) Us() etf.Atom {
	p.t.Helper()
	leader, ok := p.Call("erlang", "group_leader").(etf.Pid)
	require.True(p.t, ok)
	return leader.Node
}
