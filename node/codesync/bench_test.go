package codesync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// BenchmarkPush compares and pushes many modules to nodes that have none of them, by turns with the same nodes' own code:atomic_load/1 of the
// same files in their memory, and reports the medians and the median of the rounds' ratios.
func BenchmarkPush(b *testing.B) {
	for _, set := range []struct{ name, glob string }{
		{"elixir", "/usr/lib/elixir/lib/*/ebin"},
		{"otp", "/usr/lib/erlang/lib/*/ebin"},
	} {
		for _, nodes := range []int{1, 3} {
			b.Run(set.name+"/"+string(rune('0'+nodes)), func(b *testing.B) { benchmarkPush(b, set.glob, nodes) })
		}
	}
}

// BenchmarkNothing reads the files of Elixir's modules and compares them with a node that runs them.
func BenchmarkNothing(b *testing.B) {
	bench := newBench(b, release{Major: 25}, 1)
	dirs, err := filepath.Glob("/usr/lib/elixir/lib/*/ebin")
	require.NoError(b, err)
	set, err := ReadDirs(b.Context(), dirs...)
	require.NoError(b, err)
	plan, err := Compare(b.Context(), bench.n, bench.nodes, set, Options{})
	require.NoError(b, err)
	_, err = Push(b.Context(), bench.n, plan)
	require.NoError(b, err)
	var read, compare []float64
	for b.Loop() {
		began := time.Now()
		set, err := ReadDirs(b.Context(), dirs...)
		require.NoError(b, err)
		read = append(read, 1000*since(began))
		began = time.Now()
		plan, err := Compare(b.Context(), bench.n, bench.nodes, set, Options{})
		require.NoError(b, err)
		compare = append(compare, 1000*since(began))
		require.True(b, plan.Empty())
	}
	b.ReportMetric(median(read), "read-ms")
	b.ReportMetric(median(compare), "compare-ms")
}

func benchmarkPush(b *testing.B, glob string, nodes int) {
	bench := newBench(b, release{Major: 25}, nodes)
	var set Set
	dirs, err := filepath.Glob(glob)
	require.NoError(b, err)
	for _, dir := range dirs {
		if slices.ContainsFunc([]string{"/erts-", "/kernel-", "/stdlib-", "/compiler-"}, func(s string) bool { return strings.Contains(dir, s) }) {
			continue
		}
		files, err := filepath.Glob(dir + "/*.beam")
		require.NoError(b, err)
		for _, f := range files {
			code, err := os.ReadFile(f)
			require.NoError(b, err)
			beam, err := Parse(code) // not Read: it is to be sent although the node has the file
			require.NoError(b, err)
			beam.Path = f
			if beam.Native == "" {
				set.Beams = append(set.Beams, beam)
			}
		}
	}
	plan, err := Compare(b.Context(), bench.n, bench.nodes, set, Options{})
	require.NoError(b, err)
	require.False(b, plan.Refused())
	var modules []etf.Atom
	var bytes int
	for _, ch := range plan.Nodes[0].Push {
		modules, bytes = append(modules, ch.Module), bytes+ch.Size
	}
	var full int
	set.Beams = slices.DeleteFunc(set.Beams, func(beam *Beam) bool { return !slices.Contains(modules, beam.Module) })
	for _, beam := range set.Beams {
		full += len(beam.Code)
	}
	unload := func() {
		for _, name := range bench.nodes {
			r := remote{bench.n, name}
			var ok []bool
			for _, f := range []etf.Atom{"delete", "purge"} {
				require.NoError(b, mapped(b.Context(), r, &ok, "code", f, modules))
			}
			bench.call(name, "erlang", "garbage_collect")
		}
	}
	ours := func() time.Duration {
		began := time.Now()
		plan, err := Compare(b.Context(), bench.n, bench.nodes, set, Options{})
		require.NoError(b, err)
		compared := time.Since(began)
		report, err := Push(b.Context(), bench.n, plan)
		require.NoError(b, err)
		b.Logf("compare %v, %+v", compared, report.Nodes[0].Took)
		return time.Since(began)
	}
	// The node reads the files, and then only loads: {Time, ok}.
	theirs := func(name string) time.Duration {
		var list etf.List
		for _, beam := range set.Beams {
			list = append(list, etf.Tuple{beam.Module, etf.Charlist(beam.Path)})
		}
		forms, err := etf.Parse(loadForms)
		require.NoError(b, err)
		got := bench.call(name, "erl_eval", "exprs", forms, etf.List{etf.Tuple{etf.Atom("L"), list}})
		var res struct {
			Value  etf.Atom
			Result struct {
				Took int64
				OK   etf.Atom
			}
			Bindings etf.Term
		}
		require.NoError(b, etf.Assign(got, &res))
		require.Equal(b, etf.Atom("ok"), res.Result.OK)
		return time.Duration(res.Result.Took) * time.Microsecond
	}
	var mine, local, ratios []float64
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for i := range b.N + 1 {
		m := ms(ours())
		unload()
		var l float64
		for _, name := range bench.nodes {
			l += ms(theirs(name))
		}
		unload()
		if i > 0 { // the first is to warm up
			mine, local, ratios = append(mine, m), append(local, l), append(ratios, m/l)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(modules)), "modules")
	b.ReportMetric(float64(full)/1e6, "MB")
	b.ReportMetric(float64(bytes)/1e6, "MB-sent")
	b.ReportMetric(median(mine), "push-ms")
	b.ReportMetric(median(local), "atomic_load-ms")
	b.ReportMetric(median(ratios), "ratio")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// loadForms is
//
//	B = [{M, F, element(2, {ok, _} = file:read_file(F))} || {M, F} <- L], timer:tc(code, atomic_load, [B])
const loadForms = `[{match,1,{var,1,'B'},{lc,1,{tuple,1,[{var,1,'M'},{var,1,'F'},{call,1,{atom,1,element},[{integer,1,2},
	{match,1,{tuple,1,[{atom,1,ok},{var,1,'_'}]},{call,1,{remote,1,{atom,1,file},{atom,1,read_file}},[{var,1,'F'}]}}]}]},
	[{generate,1,{tuple,1,[{var,1,'M'},{var,1,'F'}]},{var,1,'L'}}]}},
	{call,1,{remote,1,{atom,1,timer},{atom,1,tc}},[{atom,1,code},{atom,1,atomic_load},{cons,1,{var,1,'B'},{nil,1}}]}]`
