package codesync

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// BenchmarkPush has bare nodes load many modules: ours is from files to code that runs and is verified on all of them (ReadFiles, Compare, Push).
// Beside it stands what an operator has without it, code:atomic_load/1 by each node itself, of all nodes at once, and of the same modules:
//
//   - by name, as one types it: it finds and reads the files, as ours does. That is atomic_load-ms, and ratio is ours to it;
//   - of code that is in its memory already, with the time of reading on neither side: loaded-ms, pushed-ms and memory-ratio. That is for one
//     node: several would not begin at the same moment.
//
// Each of the three has fresh nodes in each round, so that none finds what another has left behind (atoms, heaps, pages).
// The figures are medians, the ratios those of the rounds.
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
	bench := newBench(b, nodetest.Release{Major: 25}, 1)
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
	paths := pushable(b, glob)
	var args []string
	for i, p := range paths {
		if dir := filepath.Dir(p); i == 0 || dir != filepath.Dir(paths[i-1]) {
			args = append(args, "-pa", dir)
		}
	}
	cluster := func(do func(*bench)) {
		bench := newBench(b, nodetest.Release{Major: 25}, nodes, args...)
		do(bench)
		_ = bench.n.Close()
		for _, e := range bench.erls {
			e.Kill()
		}
	}
	var names []etf.Atom
	var sent, full int
	measured := map[string][]float64{}
	for i := range b.N + 1 {
		round := map[string]float64{}
		cluster(func(bench *bench) {
			began := time.Now()
			beams, err := ReadFiles(b.Context(), paths...)
			require.NoError(b, err)
			for _, beam := range beams {
				beam.file = FileID{} // it is to be sent although the node sees the same file
			}
			read := time.Now()
			plan, err := Compare(b.Context(), bench.n, bench.nodes, Set{Beams: beams}, Options{})
			require.NoError(b, err)
			report, err := Push(b.Context(), bench.n, plan)
			require.NoError(b, err)
			round["push-ms"], round["pushed-ms"] = 1000*since(began), 1000*since(read)
			b.Logf("read in %v, all in %v: %+v", read.Sub(began), time.Since(began), report.Nodes[0].Took)
			names, sent, full = nil, report.Nodes[0].Bytes, 0
			for _, ch := range plan.Nodes[0].Push {
				names, full = append(names, ch.Module), full+len(plan.set[ch.Module].Code)
			}
		})
		theirs := map[string]string{"atomic_load-ms": "timer:tc(code, atomic_load, [Names])"}
		if nodes == 1 {
			theirs["loaded-ms"] = "Code = [{M, File, Bin} || M <- Names, {_, Bin, File} <- [code:get_object_code(M)]], timer:tc(code, atomic_load, [Code])"
		}
		for what, code := range theirs {
			cluster(func(bench *bench) {
				took := make([]float64, nodes)
				require.NoError(b, each(bench.nodes, func(i int, name string) error {
					got, err := nodetest.Eval(b.Context(), bench.n, name, code, nodetest.Bindings{"Names": names})
					var res struct {
						Micros int64
						OK     etf.Atom
					}
					if err == nil {
						err = etf.Assign(got, &res)
					}
					require.Equal(b, etf.Atom("ok"), res.OK)
					took[i] = float64(res.Micros) / 1000
					return err
				}))
				round[what] = slices.Max(took)
			})
		}
		round["ratio"] = round["push-ms"] / round["atomic_load-ms"]
		if nodes == 1 {
			round["memory-ratio"] = round["pushed-ms"] / round["loaded-ms"]
		}
		for what, v := range round {
			if i > 0 { // the first is to warm up
				measured[what] = append(measured[what], v)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(names)), "modules")
	b.ReportMetric(float64(full)/1e6, "MB")
	b.ReportMetric(float64(sent)/1e6, "MB-sent")
	for what, v := range measured {
		b.ReportMetric(median(v), what)
	}
}

// pushable are the files of folders that can be pushed: not those of sticky ones, and not of modules with NIFs.
func pushable(b *testing.B, glob string) (paths []string) {
	files, err := filepath.Glob(glob + "/*.beam")
	require.NoError(b, err)
	for _, f := range files {
		if slices.ContainsFunc([]string{"/erts-", "/kernel-", "/stdlib-", "/compiler-"}, func(s string) bool { return strings.Contains(f, s) }) {
			continue
		}
		beam, err := Read(f)
		require.NoError(b, err)
		if beam.Native == "" {
			paths = append(paths, f)
		}
	}
	return paths
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
