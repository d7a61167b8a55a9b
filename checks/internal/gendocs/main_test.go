package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/checks/health"
)

// TestQuestionsNameChecks has every check that the tables of questions name be one.
func TestQuestionsNameChecks(t *testing.T) {
	names := make(map[string]map[string]bool)
	names[preflight], names[matrix] = map[string]bool{}, map[string]bool{}
	for _, c := range doctor.All() {
		names[preflight][c.Name] = true
	}
	for _, c := range health.All() {
		names[matrix][c.Name] = true
	}
	word := regexp.MustCompile("`([a-z_]+)`")
	for text, known := range names {
		rows := 0
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| question") {
				continue
			}
			rows++
			cells := strings.SplitN(line, "|", 3)
			require.Len(t, cells, 3)
			for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
				assert.True(t, known[m[1]], "%s is a check", m[1])
			}
		}
		assert.GreaterOrEqual(t, rows, 9)
	}
}
