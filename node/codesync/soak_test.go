package codesync

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var soak = flag.Int("soak", 60, "how many pushes TestSoak makes")

// Push after push, each by a node of its own as beamctl sync is, leaves no atoms, processes or memory behind: neither those that
// succeed nor those that are refused at the last step.
func TestSoak(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.ctx = t.Context()
	const literal = 100_000 // so that a copy that stays is seen
	var sets [2]Set
	for v := range sets {
		dir := t.TempDir()
		b.compile(dir, map[string]string{
			"one": source(fmt.Sprint(v)), "srv": server(fmt.Sprint(v)),
			"big": fmt.Sprintf("-export([big/0]).\nbig() -> <<%d:%d>>.", v, 8*literal),
		})
		var err error
		sets[v], err = ReadDirs(t.Context(), dir)
		require.NoError(t, err)
	}
	name := b.nodes[0]
	var pid etf.Term
	push := func(i int) {
		n := b.c.Node(b.erls...)
		defer func() {
			require.NoError(t, n.Close())
			require.Eventually(t, func() bool { // it has seen us go, and has our name for the next one
				return len(b.call(name, "erlang", "nodes", etf.Atom("hidden")).(etf.List)) == 1
			}, 2*time.Minute, time.Millisecond)
		}()
		plan, err := Compare(t.Context(), n, b.nodes, sets[i%2], Options{ChangeCode: []etf.Atom{"srv"}, RequireRollback: true, Known: sets[1-i%2].Beams})
		require.NoError(t, err)
		require.Len(t, plan.Nodes[0].Push, 3)
		_, err = Push(t.Context(), n, plan)
		require.NoError(t, err)
		_, err = Push(t.Context(), n, plan) // it is not what the plan says any more
		require.ErrorIs(t, err, ErrStale)
	}
	type figures struct{ atoms, processes, memory int64 }
	measure := func() (f figures) {
		var all []etf.Pid
		var ok []bool
		r := remote{b.n, name}
		require.NoError(t, b.n.CallInto(b.ctx, name, &all, "erlang", "processes"))
		require.NoError(t, mapped(b.ctx, r, &ok, "erlang", "garbage_collect", all))
		require.NoError(t, b.n.CallInto(b.ctx, name, &f.atoms, "erlang", "system_info", etf.Atom("atom_count")))
		require.NoError(t, b.n.CallInto(b.ctx, name, &f.processes, "erlang", "system_info", etf.Atom("process_count")))
		require.NoError(t, b.n.CallInto(b.ctx, name, &f.memory, "erlang", "memory", etf.Atom("total")))
		return f
	}
	measure() // erlang:memory/1 has many words of its own
	const warm = 10
	for i := range warm {
		push(i)
		if i == 0 {
			pid = b.call(name, "srv", "start")
		}
	}
	before := measure()
	for i := range *soak {
		push(i)
	}
	after := measure()
	for end := time.Now().Add(2 * time.Minute); after.processes > before.processes && time.Now().Before(end); time.Sleep(tick) {
		after = measure()
	}
	t.Logf("%d pushes: %+v, then %+v", *soak, before, after)
	names := 0
	for i := before.atoms; i < after.atoms; i++ {
		atom := atomOf(b, name, i)
		// The node makes a new name for us when it has not yet seen the end of the connection before, and uses it again.
		if names++; !strings.Contains(atom, "@") || names > 3 {
			t.Error("a new atom:", atom)
		}
	}
	assert.Equal(t, before.processes, after.processes)
	assert.Less(t, after.memory-before.memory, int64(1<<20))
	version := int64((*soak - 1) % 2)
	assert.Equal(t, etf.Tuple{version, version}, b.call(name, "gen_server", "call", pid, etf.Atom("get")))
}

// The first push to a node costs it no atoms but those of the modules, and loads no module there but them and what erl_eval needs to call
// a function.
func TestGuest(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		b := newBench(t, r, 2)
		b.compile("", map[string]string{"lists_of_atoms": "-export([all_lists_of_atoms/0]).\nall_lists_of_atoms() -> ok."})
		set := b.set()
		set.Beams[0].file = FileID{}
		name := b.nodes[0]
		measure := func() (atoms int64, modules []etf.Atom) {
			var loaded []struct {
				Module etf.Atom
				File   etf.Term
			}
			require.NoError(t, b.n.CallInto(b.ctx, name, &atoms, "erlang", "system_info", etf.Atom("atom_count")))
			require.NoError(t, b.n.CallInto(b.ctx, name, &loaded, "code", "all_loaded"))
			for _, l := range loaded {
				modules = append(modules, l.Module)
			}
			return atoms, modules
		}
		b.call(name, "code", "ensure_loaded", etf.Atom("erl_internal"))
		b.compare(Options{}) // asking costs otp_release
		measure()
		atoms, modules := measure()
		plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{})
		require.NoError(t, err)
		_, err = Push(b.ctx, b.n, plan)
		require.NoError(t, err)
		atoms2, modules2 := measure()
		added := slices.DeleteFunc(modules2, func(m etf.Atom) bool { return slices.Contains(modules, m) })
		assert.Equal(t, []etf.Atom{"lists_of_atoms"}, added)
		for i := atoms; i < atoms2; i++ {
			assert.Contains(t, atomOf(b, name, i), "lists_of_atoms") // or that of its file
		}
	})
}

// atomOf is the node's atom of that number, in the order in which it came to know them.
func atomOf(b *bench, name string, i int64) string {
	b.t.Helper()
	const atomInternalRef3 = 75 // external.h: for the node's own use
	return etf.Format(b.call(name, "erlang", "binary_to_term", []byte{etf.Version, atomInternalRef3, byte(i >> 16), byte(i >> 8), byte(i)}))
}
