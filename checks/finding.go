package checks

import (
	"fmt"
	"strings"
)

// Finding is a fault that beamctl has understood: what is wrong, what was seen, why, and what to do about it. It is an
// error.
type Finding struct {
	What  string `json:"what"`            // "node2 did not start: its distribution refused the name"
	Saw   string `json:"saw,omitempty"`   // the evidence, as it was seen
	Cause string `json:"cause,omitempty"` // what that means
	Fix   string `json:"fix,omitempty"`   // what the user can do
	Err   error  `json:"-"`               // what underlies it, for errors.Is
}

// Error gives the finding on several lines, the way it is shown to users.
func (f *Finding) Error() string {
	var b strings.Builder
	b.WriteString(f.What)
	for _, p := range []struct{ name, text string }{{"saw", f.Saw}, {"cause", f.Cause}, {"fix", f.Fix}} {
		if p.text == "" {
			continue
		}
		for i, line := range strings.Split(strings.TrimRight(p.text, "\n"), "\n") {
			if i > 0 {
				p.name = ""
			}
			b.WriteString(strings.TrimRight(fmt.Sprintf("\n  %-6s%s", p.name, line), " "))
		}
	}
	return b.String()
}

// Unwrap returns what underlies the finding.
func (f *Finding) Unwrap() error { return f.Err }
