package codesync

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// While a push is under way another is told so, and does not harm it.
func TestTwoPushes(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	b.compile("", map[string]string{"one": source("1")})
	for _, name := range b.nodes {
		b.call(name, "one", "value")
	}
	rival := t.TempDir()
	b.compile(rival, map[string]string{"one": source("7")})
	b.compile("", map[string]string{"one": source("2")})
	set, err := ReadDirs(b.ctx, rival)
	require.NoError(t, err)
	other, err := Compare(b.ctx, b.n, b.nodes, set, Options{})
	require.NoError(t, err)
	var refused error
	b.push(Options{Progress: func(e Event) {
		if e == (Event{b.nodes[1], Gating}) {
			var report *Report
			report, refused = Push(b.ctx, b.n, other)
			assert.Equal(t, []State{Old, Old}, []State{report.Nodes[0].State, report.Nodes[1].State})
		}
	}})
	require.ErrorIs(t, refused, ErrPushing)
	for _, name := range b.nodes {
		assert.Equal(t, int64(2), b.call(name, "one", "value"))
	}
}

// Somebody else loads code on b before its promise: nothing is loaded anywhere, and Kill has killed nobody.
func TestLoadedBeforePromise(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	foreign := t.TempDir()
	b.compile(foreign, map[string]string{"other": source("7")})
	b.compile("", map[string]string{"one": source("1"), "other": source("1")})
	var pids []etf.Term
	for _, name := range b.nodes {
		b.call(name, "other", "value")
		pids = append(pids, b.call(name, "one", "start"))
	}
	b.compile("", map[string]string{"one": source("2")})
	b.push(Options{}) // pids run old code
	b.compile("", map[string]string{"one": source("3"), "other": source("3")})
	report, err := Push(b.ctx, b.n, b.compare(Options{Purge: Kill, Progress: func(e Event) {
		if e == (Event{b.nodes[1], Preparing}) {
			b.call(b.nodes[1], "code", "load_abs", etf.Charlist(filepath.Join(foreign, "other")))
		}
	}}))
	require.ErrorIs(t, err, ErrStale)
	for i, name := range b.nodes {
		assert.Equal(t, Old, report.Nodes[i].State)
		assert.Empty(t, report.Nodes[i].Killed)
		assert.Equal(t, int64(2), b.call(name, "one", "value"))
		assert.Equal(t, int64(1), b.ask(name, pids[i]))
	}
	assert.Equal(t, int64(7), b.call(b.nodes[1], "other", "value"))
}

// What somebody else has loaded after a node had finished is not taken back.
func TestLoadedBeforeReset(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	foreign, build := t.TempDir(), t.TempDir()
	b.compile(foreign, map[string]string{"one": source("7")})
	b.compile("", map[string]string{"one": source("1")})
	for _, name := range b.nodes {
		b.call(name, "one", "value")
	}
	b.compile(build, map[string]string{"one": source("2")})
	set, err := ReadDirs(b.ctx, build)
	require.NoError(t, err)
	load := func(i int) {
		b.call(b.nodes[i], "code", "load_abs", etf.Charlist(filepath.Join(foreign, "one")))
	}
	loaded, finished := make(chan struct{}), make(chan struct{})
	plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{Progress: func(e Event) {
		switch e {
		case Event{b.nodes[1], Committing}:
			load(1)
			close(loaded)
			<-finished
		case Event{b.nodes[0], Committing}:
			<-loaded // before a tells b to finish
		case Event{b.nodes[0], Committed}:
			b.call(b.nodes[0], "code", "purge", etf.Atom("one"))
			load(0)
			close(finished)
		}
	}})
	require.NoError(t, err)
	_, err = Push(b.ctx, b.n, plan)
	require.ErrorIs(t, err, ErrMixed)
	require.ErrorContains(t, err, "something else has loaded code since")
	for _, name := range b.nodes {
		assert.Equal(t, int64(7), b.call(name, "one", "value"))
	}
}

// A process that cannot be suspended is named; those that were go on at once, and nothing is loaded.
func TestBusy(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	b.compile("", map[string]string{"srv": server("1")})
	idle := b.call(b.nodes[0], "srv", "start")
	var busy []etf.Term
	for range 20 {
		pid := b.call(b.nodes[1], "srv", "start")
		busy = append(busy, pid)
		b.call(b.nodes[1], "erlang", "send", pid, etf.Tuple{
			etf.Atom("$gen_call"), etf.Tuple{pid, b.call(b.nodes[1], "erlang", "make_ref")}, etf.Tuple{etf.Atom("sleep"), 600_000},
		})
	}
	b.call(b.nodes[1], "erlang", "register", etf.Atom("stays"), busy[0])
	b.compile("", map[string]string{"srv": server("2")})
	began := time.Now()
	_, err := Push(b.ctx, b.n, b.compare(Options{ChangeCode: []etf.Atom{"srv"}}))
	var be *BusyError
	require.ErrorAs(t, err, &be)
	require.ErrorIs(t, err, ErrBusy)
	assert.Equal(t, BusyError{b.nodes[1], etf.FormatOptions{Node: etf.Atom(b.nodes[1])}.Format(busy[0]), "stays", be.Reason}, *be)
	assert.Contains(t, be.Reason, "timeout")
	assert.Less(t, time.Since(began), time.Minute, "the other nineteen are not waited for: five seconds each")
	assert.Equal(t, etf.Tuple{int64(1), int64(1)}, b.call(b.nodes[0], "gen_server", "call", idle, etf.Atom("get")))
}

// A module that was deleted, and that somebody has loaded again at once, is not reported as deleted.
func TestDeletedIsGone(t *testing.T) {
	t.Parallel()
	np := &NodePlan{Node: "a@b", Delete: []Change{{Module: "gone", Old: &Sum{1}}}}
	tt := &target{plan: np, remote: remote{name: "a@b"}}
	require.NoError(t, tt.verify(running{}))
	require.NoError(t, tt.verify(running{[]etf.Atom{"gone"}, []Sum{{2}}}))
	require.ErrorContains(t, tt.verify(running{[]etf.Atom{"gone"}, []Sum{{1}}}), "gone was deleted and is still loaded")
}
