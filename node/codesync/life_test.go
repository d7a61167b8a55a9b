package codesync

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// A process that has stayed in the code before the one that runs now keeps a module from being replaced, unless one waits or kills.
func TestLingering(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	stays := b.nodes[1]
	var pid etf.Term
	lingers := func(t *testing.T) { // in code that is old now
		b.t = t
		b.compile("", map[string]string{"one": source("1"), "other": source("1")})
		b.push(Options{Purge: Kill})
		for _, name := range b.nodes {
			b.call(name, "one", "value")
			b.call(name, "other", "value")
		}
		if pid != nil { // that of the last case
			b.call(stays, "erlang", "exit", pid, etf.Atom("kill"))
		}
		pid = b.call(stays, "one", "start")
		b.call(stays, "erlang", "register", etf.Atom("stays"), pid)
		b.compile("", map[string]string{"one": source("2")})
		b.push(Options{})
		b.compile("", map[string]string{"one": source("3"), "other": source("3")})
	}
	unchanged := func(t *testing.T) {
		t.Helper()
		for _, name := range b.nodes {
			assert.Equal(t, int64(2), b.call(name, "one", "value"))
			assert.Equal(t, int64(1), b.call(name, "other", "value"))
		}
	}
	changed := func(t *testing.T) {
		t.Helper()
		for _, name := range b.nodes {
			assert.Equal(t, int64(3), b.call(name, "one", "value"))
			assert.Equal(t, int64(3), b.call(name, "other", "value"))
		}
	}
	want := func(pid etf.Term) []Lingering {
		return []Lingering{{"one", etf.FormatOptions{Node: etf.Atom(stays)}.Format(pid), "stays", "one:loop/0"}}
	}

	t.Run("soft", func(t *testing.T) {
		lingers(t)
		plan := b.compare(Options{})
		assert.True(t, plan.Nodes[1].Push[0].OldCode)
		report, err := Push(b.ctx, b.n, plan)
		var le *LingeringError
		require.ErrorAs(t, err, &le)
		require.ErrorIs(t, err, ErrLingering)
		assert.Equal(t, stays, le.Node)
		assert.Equal(t, want(pid), le.Processes)
		assert.Equal(t, []State{Old, Old}, []State{report.Nodes[0].State, report.Nodes[1].State})
		unchanged(t)
		assert.Equal(t, int64(1), b.ask(stays, pid)) // and it lives
	})
	t.Run("wait in vain", func(t *testing.T) {
		lingers(t)
		for some := time.Second; ; some *= 4 { // for it to have looked
			ctx, cancel := context.WithCancel(b.ctx)
			_, err := Push(ctx, b.n, b.compare(Options{Purge: Wait, Progress: func(e Event) {
				if e == (Event{stays, Gating}) {
					time.AfterFunc(some, cancel)
				}
			}}))
			cancel()
			require.ErrorIs(t, err, context.Canceled)
			if errors.Is(err, ErrLingering) || some > time.Minute {
				require.ErrorIs(t, err, ErrLingering)
				break
			}
		}
		unchanged(t)
	})
	t.Run("wait", func(t *testing.T) {
		lingers(t)
		gone := make(chan int64)
		plan := b.compare(Options{Purge: Wait, Progress: func(e Event) {
			if e == (Event{stays, Gating}) {
				go func() {
					time.Sleep(4 * waitTick)
					gone <- b.ask(stays, pid)
				}()
			}
		}})
		_, err := Push(b.ctx, b.n, plan)
		require.NoError(t, err)
		assert.Equal(t, int64(1), <-gone)
		changed(t)
		assert.Equal(t, []int64{2, 3}, []int64{b.ask(stays, pid), b.ask(stays, pid)})
	})
	t.Run("kill", func(t *testing.T) {
		lingers(t)
		report := b.push(Options{Purge: Kill})
		assert.Equal(t, want(pid), report.Nodes[1].Killed)
		assert.Empty(t, report.Nodes[0].Killed)
		assert.Equal(t, etf.Atom("false"), b.call(stays, "erlang", "is_process_alive", pid))
		changed(t)
	})
}

// Of many processes in old code the first hundred are described.
func TestLingeringMany(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"one": source("1")})
	for range maxLingering + 20 {
		b.call(b.nodes[0], "one", "start")
	}
	b.compile("", map[string]string{"one": source("2")})
	b.push(Options{})
	b.compile("", map[string]string{"one": source("3")})
	_, err := Push(b.ctx, b.n, b.compare(Options{}))
	var le *LingeringError
	require.ErrorAs(t, err, &le)
	assert.Len(t, le.Processes, maxLingering)
}

// With Persist the files are what runs, and stay so; what cannot be written keeps everything as it was.
func TestPersist(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2) // with one folder, as on one machine
	b.compile("", map[string]string{"one": source("1"), "gone": source("1"), "same": source("1")})
	for _, name := range b.nodes {
		for _, m := range []etf.Atom{"one", "gone", "same"} {
			b.call(name, m, "value")
		}
	}
	build := t.TempDir()
	b.compile(build, map[string]string{"one": source("2"), "new": source("2"), "same": source("1")})
	set, err := ReadDirs(b.ctx, build)
	require.NoError(t, err)
	for _, beam := range set.Beams { // what is to lie there
		beam.Path = filepath.Join(b.dir, string(beam.Module)+".beam")
	}
	set.Dirs, set.Here = []string{b.dir}, false
	plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{Persist: true})
	require.NoError(t, err)
	for _, ch := range plan.Nodes[0].Push {
		assert.False(t, ch.Final, "its file is what runs")
	}
	report, err := Push(b.ctx, b.n, plan)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 1}, []int{report.Nodes[1].Pushed, report.Nodes[1].Deleted})
	files, err := filepath.Glob(b.dir + "/*")
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{b.dir + "/one.beam", b.dir + "/new.beam", b.dir + "/same.beam"}, files)
	for _, m := range []string{"one", "new"} {
		there, err := os.ReadFile(filepath.Join(b.dir, m+".beam"))
		require.NoError(t, err)
		built, err := os.ReadFile(filepath.Join(build, m+".beam"))
		require.NoError(t, err)
		assert.Equal(t, built, there, "all of it, debug information too")
	}

	// Code that was pushed without it can be written later.
	b.compile(b.dir, map[string]string{"new": source("1")})
	for want, persist := range []bool{false, true} {
		plan, err = Compare(b.ctx, b.n, b.nodes, set, Options{Persist: persist})
		require.NoError(t, err)
		require.Len(t, plan.Nodes[0].Push, want)
	}
	_, err = Push(b.ctx, b.n, plan)
	require.NoError(t, err)
	plan, err = Compare(b.ctx, b.n, b.nodes, set, Options{Persist: true})
	require.NoError(t, err)
	assert.True(t, plan.Empty())

	b.compile(build, map[string]string{"one": source("3"), "new": source("3")})
	set, err = ReadDirs(b.ctx, build)
	require.NoError(t, err)
	for _, beam := range set.Beams {
		beam.Path = filepath.Join(b.dir, "nowhere", string(beam.Module)+".beam")
	}
	require.NoError(t, os.RemoveAll(b.dir))
	plan, err = Compare(b.ctx, b.n, b.nodes, set, Options{Persist: true})
	require.NoError(t, err)
	report, err = Push(b.ctx, b.n, plan)
	var re *RefusedError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, WhyWrite, re.Modules[0].Why)
	assert.Contains(t, re.Error(), "enoent")
	for i, name := range b.nodes {
		assert.Equal(t, Old, report.Nodes[i].State)
		assert.Equal(t, int64(2), b.call(name, "one", "value"))
	}
}

// A plan that is no longer true is not carried out.
func TestStale(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 2)
	b.compile("", map[string]string{"one": source("1"), "two": source("1")})
	for _, name := range b.nodes {
		b.call(name, "one", "value")
	}
	foreign := t.TempDir()
	b.compile(foreign, map[string]string{"one": source("7")})
	b.compile("", map[string]string{"one": source("2"), "two": source("2")})
	plan := b.compare(Options{})
	b.call(b.nodes[1], "code", "load_abs", etf.Charlist(filepath.Join(foreign, "one")))
	_, err := Push(b.ctx, b.n, plan)
	require.ErrorIs(t, err, ErrStale)
	assert.Equal(t, int64(1), b.call(b.nodes[0], "one", "value"))
	assert.Equal(t, int64(7), b.call(b.nodes[1], "one", "value"))

	plan = b.compare(Options{})
	b.erls[1].Kill()
	b.again(1)
	_, err = Push(b.ctx, b.n, plan)
	require.ErrorIs(t, err, ErrStale)
	assert.Equal(t, int64(1), b.call(b.nodes[0], "one", "value"))
	b.push(Options{})
	assert.Equal(t, int64(2), b.call(b.nodes[0], "one", "value"))
}

// An embedded node loads nothing by itself: what it has not loaded is pushed, even if its disk has it.
func TestEmbedded(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		b := newBench(t, r, 1, "-mode", "embedded")
		b.compile("", map[string]string{"one": source("1"), "two": source("1")})
		plan := b.compare(Options{})
		assert.Equal(t, "embedded", plan.Nodes[0].Mode)
		require.Len(t, plan.Nodes[0].Push, 2)
		b.push(Options{})
		assert.Equal(t, int64(1), b.call(b.nodes[0], "two", "value"))
		b.compile("", map[string]string{"one": source("2")})
		b.push(Options{})
		assert.Equal(t, int64(2), b.call(b.nodes[0], "one", "value"))
		assert.True(t, b.compare(Options{}).Empty())
	})
}
