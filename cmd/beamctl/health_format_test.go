package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

// aReport has cells of every kind, with texts that try to be markup, in a cluster of so many nodes.
func aReport(nodes int) *health.Report {
	const nasty = "<<\"a|b\">> & 'c', 100%: \\ `x` *y* ]]> \x01 \u00e9\nsecond: line"
	r := &health.Report{Worst: health.Fail, Millis: 41.5}
	for i := range nodes {
		row := health.Row{Node: fmt.Sprintf("node%d@10.0.0.%d", i+1, i+1), Cells: []health.Cell{
			{
				Check: "ping", Group: health.Reach, Status: health.OK, Saw: "0.12 ms",
				Values: map[string]float64{"median_ms": 0.12, "pings": 100}, Millis: 1.25,
			},
			{Check: "cookie", Group: health.Reach, Status: health.OK, Saw: "accepted; 2 pairs agree", Peers: map[string]map[string]float64{"rtt_ms": {"node9@h": 1.5}}},
			{Check: "supervisors", Group: health.App, Status: health.OK, Saw: "a text that is longer than a column of the matrix ever is"},
			{Check: "memory", Group: health.Resources, Status: health.OK, Saw: "45 MiB", Values: map[string]float64{"total_bytes": 47185920, "atom_used-x_ratio": 0.5}},
			{Check: "mnesia", Group: health.Cluster, Status: health.None, Saw: "not running"},
		}}
		switch i {
		case 1:
			for j := range row.Cells {
				row.Cells[j].Status, row.Cells[j].Saw = health.Blocked, "not asked: ping failed"
			}
			row.Cells[0].Status, row.Cells[0].Saw, row.Cells[0].Cause, row.Cells[0].Fix = health.Fail, nasty, nasty, nasty
			row.Cells[0].Values = map[string]float64{}
		case 0, 2:
			row.Cells[3].Status, row.Cells[3].Cause, row.Cells[3].Fix = health.Warn, "over the limit", "buy more"
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

// same compares a text with testdata/health/NAME, byte by byte.
func same(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "health", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func told(t *testing.T, tell func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, tell(&b))
	return b.String()
}

func TestHealthTables(t *testing.T) {
	for _, tc := range []struct {
		name         string
		nodes, width int
		color        bool
	}{
		{"wide", 3, 160, false},
		{"narrow", 3, 80, false},
		{"narrower", 3, 60, false},
		{"color", 3, 80, true},
		{"no-terminal", 3, 0, false},
		{"many-nodes", 12, 100, false},
	} {
		text := told(t, func(w io.Writer) error { return healthTable(w, aReport(tc.nodes), tc.color, window{width: tc.width}) })
		same(t, tc.name+".txt", text)
		matrix, _, _ := strings.Cut(text, "\n\n")
		for line := range strings.SplitSeq(matrix, "\n") {
			if tc.width > 0 {
				assert.LessOrEqual(t, visibleLen(line), tc.width, "%s: %s", tc.name, line)
			}
		}
	}
}

func TestHealthJUnit(t *testing.T) {
	for _, failOn := range []health.Status{health.Fail, health.Warn} {
		text := told(t, func(w io.Writer) error { return healthJUnit(w, aReport(3), failOn) })
		same(t, "junit-"+string(failOn)+".xml", text)
		var read junitSuites
		require.NoError(t, xml.Unmarshal([]byte(text), &read))
		failures := 0
		for _, s := range read.Suites {
			failures += s.Failures
			assert.Len(t, s.Cases, s.Tests)
		}
		assert.Equal(t, map[health.Status]int{health.Fail: 1, health.Warn: 3}[failOn], failures)
	}
}

func TestHealthGitHub(t *testing.T) {
	summary := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	require.NoError(t, os.WriteFile(summary, []byte("# What was there\n\n"), 0o600))
	text := told(t, func(w io.Writer) error { return healthGitHub(w, aReport(3), health.Fail) })
	same(t, "github.txt", text)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		assert.Regexp(t, `^::(error|warning) title=[^:,]*::`, line, "one line is one command")
	}
	written, err := os.ReadFile(summary)
	require.NoError(t, err)
	same(t, "github.md", string(written))
	strict := told(t, func(w io.Writer) error { return healthGitHub(w, aReport(3), health.Warn) })
	assert.NotContains(t, strict, "::warning")
	t.Setenv("GITHUB_STEP_SUMMARY", t.TempDir())
	require.Error(t, healthGitHub(io.Discard, aReport(3), health.Fail), "a summary that cannot be written")
}

func TestHealthPrometheus(t *testing.T) {
	text := told(t, func(w io.Writer) error { return healthPrometheus(w, aReport(3), health.Fail) })
	same(t, "metrics.prom", text)
	problems, err := promlint.New(strings.NewReader(text)).Lint() // what promtool check metrics does
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func TestHealthJSON(t *testing.T) {
	var out bytes.Buffer
	a := &app{streams: streams{out: &out}, output: "json"}
	require.NoError(t, a.tellHealth(&out, aReport(3), &healthFlags{}, window{}))
	same(t, "report.json", out.String())
	var back health.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	assert.Equal(t, aReport(3).Rows[1].Cells[0].Saw, back.Rows[1].Cells[0].Saw)
}
