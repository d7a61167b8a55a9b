package launcher

import (
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// Stale returns the sources that were changed since they were compiled; see [Spec.Stale].
func (c *Cluster) Stale() ([]StaleSource, error) { return c.record.Spec.Stale(c.place.builtAt()) }

// Compiled returns nil if no source is newer than what was compiled of it, and else which are, an ErrStale.
func (c *Cluster) Compiled() error {
	stale, err := c.Stale()
	if err != nil || len(stale) == 0 {
		return err
	}
	return staleFinding(stale, "build them: beamctl sync --compile; or take the old code on purpose: --stale")
}

// Fresh returns nil if the sources are compiled and the nodes run what is on disk, as st has it (nil: that is not known), and else what is
// not so, an ErrStale.
func (c *Cluster) Fresh(st *Status) error {
	stale, err := c.Stale()
	if err != nil {
		return err
	}
	var lines []string
	for _, s := range stale {
		lines = append(lines, s.String())
	}
	if st != nil {
		for _, n := range st.Nodes {
			if len(n.Drift) > 0 {
				lines = append(lines, fmt.Sprintf("%s runs another version than the disk has of %s", n.Name, listed(n.Drift)))
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &checks.Finding{
		What: "the nodes run older code than the project's", Saw: some(lines), Cause: "changed or new, and not compiled and loaded since: what is tested is not what one sees",
		Fix: "bring them up to date: beamctl sync --compile; or go on with the old code: --stale", Err: ErrStale,
	}
}

// maxNamed is how many files, modules or processes a message names: enough to know what it is about.
const maxNamed = 8

// listed shows names in one line.
func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// some shows lines.
func some(lines []string) string {
	text := strings.Join(lines[:min(len(lines), maxNamed)], "\n")
	if more := len(lines) - maxNamed; more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// staleFinding refuses to start with stale sources.
func staleFinding(stale []StaleSource, fix string) error {
	var lines []string
	for _, s := range stale {
		lines = append(lines, s.String())
	}
	f := &checks.Finding{
		What: "the compiled code is older than its sources", Saw: some(lines),
		Cause: "changed or new, and not compiled since: what would run is not what one sees", Fix: fix, Err: ErrStale,
	}
	if slices.ContainsFunc(stale, func(s StaleSource) bool { return s.Module != "" }) {
		f.What, f.Cause = "the compiled code is not complete", "the project is being built right now, or its last build failed"
	}
	return f
}
