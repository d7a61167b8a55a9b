package conformance

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/nodetest"
)

// document holds the table between two marks; the text around it is written by hand.
const (
	document = "../../docs/compatibility.md"
	begin    = "<!-- The table that `make compatibility` writes begins here. -->\n"
	end      = "<!-- It ends here. -->\n"
)

// table is what the cases found, for one column a release.
type table struct {
	releases []nodetest.Release

	mu    sync.Mutex
	cells map[row][]string
}

type row struct{ group, name string }

func newTable(rs []nodetest.Release) *table { return &table{releases: rs, cells: map[row][]string{}} }

func (tab *table) set(group, name string, column int, result string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	r := row{group, name}
	if tab.cells[r] == nil {
		tab.cells[r] = make([]string, len(tab.releases))
	}
	tab.cells[r][column] = result
}

// markdown is the table, and whether no cell of it is empty or failing.
func (tab *table) markdown() (text string, complete bool) {
	var b strings.Builder
	line := func(first string, cells []string) {
		fmt.Fprintf(&b, "| %s | %s |\n", first, strings.Join(cells, " | "))
	}
	column := func(cell func(nodetest.Release) string) (cells []string) {
		for _, r := range tab.releases {
			cells = append(cells, cell(r))
		}
		return cells
	}
	complete = true
	line("", column(nodetest.Release.String))
	b.WriteString("|---|" + strings.Repeat("---|", len(tab.releases)) + "\n")
	for _, g := range groups {
		line("**"+g.Title+"**", column(func(nodetest.Release) string { return "" }))
		for _, c := range g.Cases {
			cells := tab.cells[row{g.Title, c.Name}]
			if cells == nil {
				cells = make([]string, len(tab.releases))
			}
			for _, cell := range cells {
				complete = complete && cell != "" && cell != "fails"
			}
			line(c.Name, cells)
		}
	}
	return b.String(), complete
}

// minor is what may differ between two runs: suites get new minor versions.
var minor = regexp.MustCompile(`\b(\d+)(\.\d+)+(-rc\d+)?`)

// publish writes the table into the document, or compares it with the one there.
func (tab *table) publish(t *testing.T) {
	t.Helper()
	got, complete := tab.markdown()
	if !complete {
		part := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
		require.NotEmpty(t, part, "not all cases ran, and nobody asked for only some:\n%s", got)
		return
	}
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	before, rest, ok1 := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	require.True(t, ok1 && ok2, "%s has lost the marks of its table", document)
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(before+begin+"\n"+got+"\n"+end+after), 0o644)) //nolint:gosec // a document
		return
	}
	require.Equal(t, minor.ReplaceAllString(strings.TrimSpace(have), "$1"), minor.ReplaceAllString(strings.TrimSpace(got), "$1"),
		"%s is out of date: make compatibility", document)
}
