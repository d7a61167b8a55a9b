package conformance

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var connectionCases = []Case{
	{"the node pings us, monitors and links what we do not have", erlangSide},
	{"idle connections stay, with a `net_ticktime` of 4 s", ticks},
	{"a node that falls silent is given up, one that only ticks slowly is not", silentNode},
	{"node killed: its callers know", nodeKilled},
	{"node stopped (`init:stop/0`): its callers know", nodeStopped},
	{"our node closed: the node knows", weClose},
	{"a restarted node is found again", restarted},
}

func erlangSide(t *testing.T, e *Env) {
	p := e.Peer()
	assert.Equal(t, etf.Tuple{etf.Atom("pong"), etf.Atom("noproc")}, p.Do("watch_us", p.Us()))
	nobody := p.Call("erlang", "group_leader").(etf.Pid)
	nobody.ID += 9999
	assert.Equal(t, etf.Atom("noproc"), p.Do("link_us", nobody))
}

// Nothing but ticks keeps either side from giving up the other. The node counts its lost connections: a new one with the
// same dynamic name would look the same.
func ticks(t *testing.T, e *Env) {
	idle := 7 * time.Second // more than ticktime + 25 %
	if *long > 0 {
		idle = *long
	}
	p := e.Peer("-kernel", "net_ticktime", "4")
	q := &Peer{p.Erl, e.Start(node.Config{Name: "fixed@127.0.0.1", TickTime: 4 * time.Second}, p.Erl), t}
	for try := 1; ; try++ { // on a machine at its limit somebody may not have had a turn for 4 s
		require.NoError(t, q.Node.Connect(t.Context(), q.Name))
		before := p.Do("events")
		time.Sleep(idle)
		if lost := p.Do("events"); try == tries || etf.Equal(before, lost) {
			require.Equal(t, before, lost)
			break
		}
	}
	require.NotEqual(t, p.Us(), q.Us())
	assert.Contains(t, p.Call("erlang", "nodes", etf.Atom("hidden")), etf.Atom("fixed@127.0.0.1"))
}

// tries are how often a case is made whose connections a machine at its limit may end.
const tries = 3

func silentNode(t *testing.T, e *Env) {
	p := e.Peer() // which ticks every 15 s
	patient := e.Start(node.Config{TickTime: 6 * time.Second}, p.Erl)
	for try := 1; ; try++ {
		require.NoError(t, patient.Connect(t.Context(), p.Name))
		events, unsubscribe := patient.Events()
		time.Sleep(10 * time.Second)
		lost := len(events)
		unsubscribe()
		if lost == 0 {
			break
		}
		require.Less(t, try, tries, "it was given up")
	}

	n := e.Start(node.Config{TickTime: 2 * time.Second}, p.Erl)
	require.NoError(t, n.Connect(t.Context(), p.Name))
	begun := time.Now()
	p.Stop()
	defer p.Continue()
	_, err := n.Call(t.Context(), p.Name, "erlang", "node")
	require.ErrorIs(t, err, node.ErrNodeDown)
	assert.GreaterOrEqual(t, time.Since(begun), time.Second, "too early")
}

// hanging starts a call that does not return, and gives its error to come.
func (p *Peer) hanging() <-chan error {
	p.t.Helper()
	errs := make(chan error, 1)
	go func() {
		_, err := p.Node.Call(p.t.Context(), p.Name, "conformance", "hang", etf.Atom("hanging"))
		errs <- err
	}()
	p.await("hanging", true)
	return errs
}

func nodeKilled(t *testing.T, e *Env) {
	p := e.Peer()
	errs := p.hanging()
	p.Kill()
	require.ErrorIs(t, <-errs, node.ErrNodeDown)
	require.Eventually(t, func() bool { // EPMD sees it go, too
		return errors.Is(p.Node.Ping(t.Context(), p.Name), node.ErrNoSuchName)
	}, caseTime/2, 5*time.Millisecond)
}

func nodeStopped(t *testing.T, e *Env) {
	p := e.Peer()
	errs := p.hanging()
	p.Call("init", "stop")
	// Whichever comes first: a stopping system kills processes, and closes its connections.
	err := <-errs
	if _, ended := errors.AsType[*node.ErlangError](err); !ended {
		require.ErrorIs(t, err, node.ErrNodeDown)
	}
	<-p.Done()
	require.Eventually(t, func() bool { return p.Node.Ping(t.Context(), p.Name) != nil }, caseTime/2, 5*time.Millisecond)
}

func weClose(t *testing.T, e *Env) {
	p := e.Peer()
	n := e.Start(node.Config{Name: "fixed@127.0.0.1"}, p.Erl)
	require.NoError(t, n.Connect(t.Context(), p.Name))
	require.NoError(t, n.Close())
	require.ErrorIs(t, n.Ping(t.Context(), p.Name), node.ErrClosed)
	require.Eventually(t, func() bool {
		return etf.Equal(etf.List{etf.Atom("fixed@127.0.0.1")}, p.Do("events"))
	}, caseTime/2, 5*time.Millisecond)
}

func restarted(t *testing.T, e *Env) {
	p := e.Peer()
	before := p.Call("os", "getpid")
	p.Kill()
	require.Error(t, p.Node.Ping(t.Context(), p.Name))
	again := e.Erl("a")
	require.Eventually(t, func() bool { return p.Node.Ping(t.Context(), again.Name) == nil }, caseTime/2, 5*time.Millisecond)
	assert.NotEqual(t, before, p.Call("os", "getpid"))
}
