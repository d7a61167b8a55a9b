package main

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

var scaleNodes = flag.Int("scale", 50, "nodes of BenchmarkScale")

// BenchmarkScale starts a large cluster, looks at it and stops it. It has no peer: what counts is that it works, and what beamctl's own
// processes take for it: memory, and what share of a core they have while nothing happens.
func BenchmarkScale(b *testing.B) {
	w := bareWorld(b)
	for b.Loop() {
		report := func(what string, f func()) { b.ReportMetric(took(f).Seconds(), what+"-s") }
		report("start", func() { w.ok("start", "-q", "-n", fmt.Sprint(*scaleNodes), "--timeout", "5m") })
		report("health", func() { w.ok("health", "-q", "--timeout", "30s") })
		st := w.status()
		require.Len(b, st.Nodes, *scaleNodes)
		for _, n := range st.Nodes {
			require.Equal(b, launcher.NodeUp, n.State)
			require.Len(b, n.Peers, *scaleNodes-1)
		}
		usage := func() (resident int64, cpu time.Duration) {
			for _, pid := range []int{st.Supervisor, st.Guardian} {
				r, c := residentAndCPU(b, pid)
				resident, cpu = resident+r, cpu+c
			}
			return resident, cpu
		}
		const idle = 20 * time.Second
		_, before := usage()
		time.Sleep(idle)
		resident, after := usage()
		b.ReportMetric(float64(resident>>20), "resident-MB")
		b.ReportMetric(100*(after-before).Seconds()/idle.Seconds(), "idle-%core")
		id := w.record().ID
		report("stop", func() { w.ok("stop", "-q") })
		require.Empty(b, marked(id))
	}
	b.ReportMetric(0, "ns/op")
}
