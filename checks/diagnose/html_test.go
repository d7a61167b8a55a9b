package diagnose

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
)

// What nodes and logs say is shown, and never run; the plots are well-formed.
func TestHTML(t *testing.T) {
	t.Parallel()
	const evil = `<script>alert("x")</script>`
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r := &Report{
		Time: at, Findings: []Finding{{Area: AreaLog, Finding: checks.Finding{What: evil, Saw: evil, Cause: "c", Fix: "f"}}},
		Nodes: []NodeReport{
			{Node: "a@h", Reached: true, Sees: []string{"b@h"}, Ladder: []Rung{{Name: "resolve", Status: RungOK, Saw: evil}}, Top: &Top{Memory: []Process{{Pid: "<0.1.0>", Name: evil, Memory: 1 << 20}}}},
			{Node: "b@h", Reached: true},
			{Node: evil},
		},
		Logs:   Logs{Groups: []Group{{Kind: KindServer, Level: "error", Title: evil, Example: evil, Count: 2, times: []time.Time{at, at.Add(time.Minute)}}}},
		Events: []Event{{Time: at, Node: "a@h", What: "crashed", Detail: evil}},
		Dumps:  []Dump{{Slogan: evil, Memory: map[string]int64{"total": 5}}},
		Links:  []Traffic{{From: "a@h", To: "b@h", Counted: true}},
	}
	var b strings.Builder
	require.NoError(t, r.HTML(&b))
	page := b.String()
	assert.NotContains(t, page, "<script")
	assert.GreaterOrEqual(t, strings.Count(page, "&lt;script&gt;"), 8)
	plots := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	require.Len(t, plots, 3, "who sees whom, when, and memory")
	for _, p := range plots {
		for d := xml.NewDecoder(strings.NewReader(p)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				require.NoError(t, err, p)
			}
		}
	}
	assert.Contains(t, plots[0], `class="half"`, "a sees b, which does not see a")

	b.Reset()
	require.NoError(t, (&Report{OK: true}).HTML(&b))
	assert.Contains(t, b.String(), "Nothing was found")
}
