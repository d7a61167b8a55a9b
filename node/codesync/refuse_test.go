package codesync

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// What cannot be pushed is refused with a word, and nothing else is pushed either, anywhere; with LeaveOut the rest is.
func TestRefused(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		b := newBench(t, r, 2)
		b.compile("", map[string]string{"good": source("1"), "covered": source("1"), "covered_and_gone": source("1"), "beside": source("1")})
		for _, name := range b.nodes {
			require.Equal(t, int64(1), b.call(name, "good", "value"))
		}
		for _, m := range []string{"covered", "covered_and_gone"} {
			b.call(b.nodes[1], "cover", "compile_beam", etf.Charlist(filepath.Join(b.dir, m)))
		}
		require.NoError(t, os.Remove(filepath.Join(b.dir, "covered_and_gone.beam")))
		b.compile("", map[string]string{
			"good": source("2"), "covered": source("2"),
			"loads":   "-on_load(init/0).\n-export([value/0]).\ninit() -> ok.\nvalue() -> 2.",
			"nif":     "-export([value/0, load/0]).\nload() -> erlang:load_nif(\"none\", 0).\nvalue() -> 2.",
			"orddict": source("2"), "zlib": source("2"),
			"code_of_tomorrow": source("2"),
		})
		set := b.set()
		for _, beam := range set.Beams {
			if beam.Module == "code_of_tomorrow" {
				beam.Compiler = "10.99"
			}
			beam.file = FileID{} // or nodes would load it themselves
		}
		plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{})
		require.NoError(t, err)
		refused := map[string]map[etf.Atom]Why{}
		for _, np := range plan.Nodes {
			refused[np.Node] = map[etf.Atom]Why{}
			for _, r := range np.Refuse {
				refused[np.Node][r.Module] = r.Why
				assert.NotEmpty(t, r.Detail)
			}
		}
		want := map[etf.Atom]Why{"loads": WhyNative, "nif": WhyNative, "orddict": WhySticky, "zlib": WhyPreload, "code_of_tomorrow": WhyOTP}
		if r.Major >= 29 {
			delete(want, "code_of_tomorrow")
		}
		assert.Equal(t, want, refused[b.nodes[0]])
		want["covered"], want["covered_and_gone"] = WhyCover, WhyCover
		assert.Equal(t, want, refused[b.nodes[1]])

		report, err := Push(b.ctx, b.n, plan)
		var re *RefusedError
		require.ErrorAs(t, err, &re)
		require.ErrorIs(t, err, ErrRefused)
		for i, name := range b.nodes {
			assert.Equal(t, Old, report.Nodes[i].State)
			assert.Equal(t, int64(1), b.call(name, "good", "value"))
		}
		plan.options.LeaveOut = true
		report, err = Push(b.ctx, b.n, plan)
		require.NoError(t, err)
		for i, name := range b.nodes {
			assert.Equal(t, New, report.Nodes[i].State)
			assert.Len(t, report.Nodes[i].Refused, len(refused[name]))
			assert.Equal(t, int64(2), b.call(name, "good", "value"))
		}
	})
}

// One module that the loaders do not take: nothing changes on any node, and what it is and by whom it was compiled is said.
func TestBadModule(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 3)
	b.compile("", map[string]string{"good": source("1"), "bad": source("1")})
	for _, name := range b.nodes {
		require.Equal(t, int64(1), b.call(name, "good", "value"))
	}
	b.compile("", map[string]string{"good": source("2"), "bad": source("2")})
	path := filepath.Join(b.dir, "bad.beam")
	code, err := os.ReadFile(path)
	require.NoError(t, err)
	at := bytes.Index(code, []byte("Code")) + 8 + 4 + 16 // behind the chunk's header
	code[at] = 0xff                                      // no instruction
	require.NoError(t, os.WriteFile(path, code, 0o600))
	set := b.set()
	for _, beam := range set.Beams {
		beam.file = FileID{}
	}
	plan, err := Compare(b.ctx, b.n, b.nodes, set, Options{})
	require.NoError(t, err)
	require.False(t, plan.Refused())
	report, err := Push(b.ctx, b.n, plan)
	var re *RefusedError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, []Refusal{{"bad", WhyInvalid, "its loader says badfile"}}, re.Modules)
	for i, name := range b.nodes {
		assert.Equal(t, Old, report.Nodes[i].State)
		assert.Equal(t, int64(1), b.call(name, "good", "value"))
	}
}

// The releases of the matrix among each other: what cannot be loaded is refused, by the plan or by the loader, and the reason names both.
func TestOtherReleases(t *testing.T) {
	t.Parallel()
	rs := releases(t)
	var benches []*bench
	for _, r := range rs {
		b := newBench(t, r, 1)
		b.compile("", map[string]string{"made": source("1")})
		benches = append(benches, b)
	}
	for _, from := range benches {
		for _, to := range benches {
			set := from.set()
			set.Beams[0].file = FileID{}
			plan, err := Compare(to.ctx, to.n, to.nodes, set, Options{})
			require.NoError(t, err)
			_, err = Push(to.ctx, to.n, plan)
			var re *RefusedError
			switch {
			case from.r.Major > to.r.Major:
				require.ErrorAs(t, err, &re)
				assert.Equal(t, WhyOTP, re.Modules[0].Why)
			case from.r.Major < 25 && to.r.Major >= 27: // which no longer reads what OTP 23 wrote; 29 does what 25 has
				require.ErrorAs(t, err, &re)
				assert.Equal(t, WhyInvalid, re.Modules[0].Why)
				assert.Contains(t, re.Modules[0].Detail, "compiled by "+from.r.String()+", the node is "+to.r.String())
			default:
				require.NoError(t, err)
			}
		}
	}
}

func TestCompareErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"some": source("1")})
	good := b.set()
	for name, test := range map[string]struct {
		nodes []string
		set   Set
		opts  Options
		want  string
	}{
		"twice":     {[]string{b.nodes[0], b.nodes[0]}, good, Options{}, "node a@127.0.0.1 twice"},
		"unknown":   {[]string{b.nodes[0], "x@127.0.0.1"}, good, Options{}, "no such name"},
		"purge":     {b.nodes, good, Options{Purge: "hard"}, `purge "hard": soft, wait or kill`},
		"no module": {b.nodes, good, Options{ChangeCode: []etf.Atom{"lists", "some", "smoe"}}, "there is no such module: smoe"},
		"no beam":   {b.nodes, Set{Beams: []*Beam{{Module: "a"}}}, Options{}, "comes from Read"},
		"relative":  {b.nodes, Set{Dirs: []string{"ebin"}}, Options{}, "no absolute path"},
		"two files": {b.nodes, Set{Beams: append(good.Beams, good.Beams...)}, Options{}, "module some twice"},
	} {
		n := b.n
		if name == "unknown" {
			n = b.c.Node(b.erls...)
			require.NoError(t, n.AddPeer(node.Peer{Name: "x@127.0.0.1", EPMD: b.c.EPMD.Addr}))
		}
		_, err := Compare(b.ctx, n, test.nodes, test.set, test.opts)
		require.ErrorContains(t, err, test.want, name)
	}
	require.NoError(t, os.Rename(filepath.Join(b.dir, "some.beam"), filepath.Join(b.dir, "other.beam")))
	_, err := ReadDirs(b.ctx, b.dir)
	require.ErrorIs(t, err, ErrNotBeam)
	require.ErrorContains(t, err, "holds module some")
}

// A plan can be shown.
func TestPlanJSON(t *testing.T) {
	t.Parallel()
	b := newBench(t, releases(t)[0], 1)
	b.compile("", map[string]string{"some": source("1"), "gone": source("1")})
	for _, m := range []etf.Atom{"some", "gone"} {
		b.call(b.nodes[0], m, "value")
	}
	b.compile("", map[string]string{"some": source("2")})
	require.NoError(t, os.Remove(filepath.Join(b.dir, "gone.beam")))
	text, err := json.Marshal(b.compare(Options{}))
	require.NoError(t, err)
	var got struct {
		Nodes []map[string]any `json:"nodes"`
	}
	require.NoError(t, json.Unmarshal(text, &got))
	push := got.Nodes[0]["push"].([]any)[0].(map[string]any)
	assert.Equal(t, "some", push["module"])
	assert.Len(t, push["new"], 32)
	assert.Len(t, push["old"], 32)
	assert.Equal(t, filepath.Join(b.dir, "some.beam"), push["file"])
	assert.Equal(t, true, push["final"], "its file is the new one already")
	assert.Equal(t, "gone", got.Nodes[0]["delete"].([]any)[0].(map[string]any)["module"])
	assert.Equal(t, "interactive", got.Nodes[0]["mode"])
	assert.Equal(t, []any{}, got.Nodes[0]["refuse"])
}
