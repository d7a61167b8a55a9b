package launcher

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Only trouble is a last word.
func TestLastWords(t *testing.T) {
	for text, want := range map[string]string{
		"0.100 03:45:05.835 [warning] just a note":                                                               "",
		"0.100 03:45:05.835 [warning] 'global' at node n requested disconnect\n0.101 \n0.102    with more below": "",
		"0.100 =WARNING REPORT==== 23-Nov-2026::03:45:05.835 ===\n0.100 just a note":                             "",
		"0.100 2026-11-23T03:45:05.835000+00:00 notice: just a note":                                             "",

		"0.100 [info] just a note":                                                                                 "",
		"0.100 \x1b[33m03:45:05.835 [warning] just a note\x1b[0m":                                                  "",
		"0.100 =ERROR REPORT==== 23-Nov-2026::03:45:05.835 ===\n0.100 no\n0.100 more":                              "no",
		"0.100 03:45:05.835 [error] no\n0.100     (stdlib 4.2) proc_lib.erl:240: x\n0.110 03:45:05.836 [info] bye": "03:45:05.835 [error] no",
		"0.100 03:45:05.835 [warning] just a note\n0.500 no room left":                                             "no room left",
		"0.100 no\n0.200 ": "no",
		"":                 "",
	} {
		log := filepath.Join(t.TempDir(), "log")
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString("2026-11-23T03:45:0" + line[:5] + "Z" + line[5:])
		}
		write(t, log, b.String())
		e := readEvidence("n", log)
		e.dropMild()
		assert.Equal(t, want, e.lastWords(), text)
	}
}
