package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/beamctl/beamctl/checks/health"
)

// exposition collects metrics for Prometheus' text format, in which all samples of one metric stand together.
type exposition struct {
	names   []string // in the order of their first sample
	help    map[string]string
	samples map[string][]string
}

// add notes a sample of a gauge; labels are name, value, name, value.
func (e *exposition) add(name, help string, value float64, labels ...string) {
	if _, ok := e.help[name]; !ok {
		e.names = append(e.names, name)
		e.help[name] = help
	}
	var pairs []string
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+labelValue.Replace(labels[i+1])+`"`)
	}
	e.samples[name] = append(e.samples[name], fmt.Sprintf("%s{%s} %s", name, strings.Join(pairs, ","), number(value)))
}

// What the text format escapes.
var (
	labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	helpText   = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// healthPrometheus writes a report as metrics: a state for each cell, and what the checks measured, in base units.
func healthPrometheus(w io.Writer, r *health.Report, _ health.Status) error {
	e := &exposition{help: make(map[string]string), samples: make(map[string][]string)}
	for _, row := range r.Rows {
		for i := range row.Cells {
			c := &row.Cells[i]
			for _, s := range []health.Status{health.OK, health.Warn, health.Fail, health.Blocked, health.None} {
				value := 0.0
				if c.Status == s {
					value = 1
				}
				e.add("beamctl_check_state", "Whether a check has found the node in this state, 1 or 0.", value,
					"node", row.Node, "group", string(c.Group), "check", c.Check, "state", string(s))
			}
		}
	}
	for _, row := range r.Rows {
		for i := range row.Cells {
			c := &row.Cells[i]
			e.add("beamctl_check_duration_seconds", "Time until the check was decided.", c.Millis/1000, "node", row.Node, "check", c.Check)
			for _, key := range slices.Sorted(maps.Keys(c.Values)) {
				name, scale := metric(c.Check, key)
				e.add(name, "Measured by the check "+c.Check+".", c.Values[key]*scale, "node", row.Node)
			}
			for _, key := range slices.Sorted(maps.Keys(c.Peers)) {
				name, scale := metric(c.Check, key)
				for _, peer := range slices.Sorted(maps.Keys(c.Peers[key])) {
					e.add(name, "Measured by the check "+c.Check+", towards each peer.", c.Peers[key][peer]*scale, "node", row.Node, "peer", peer)
				}
			}
		}
	}
	var b strings.Builder
	for _, name := range e.names {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s\n", name, helpText.Replace(e.help[name]), name, strings.Join(e.samples[name], "\n"))
	}
	fmt.Fprintf(&b, "# HELP beamctl_health_duration_seconds Time that the whole examination took.\n# TYPE beamctl_health_duration_seconds gauge\n"+
		"beamctl_health_duration_seconds %s\n", number(r.Millis/1000))
	_, err := io.WriteString(w, b.String())
	return err
}

// metric is the name of what a check measured, and by what it has to be multiplied to be in a base unit.
func metric(check, key string) (name string, scale float64) {
	scale = 1
	if ms, ok := strings.CutSuffix(key, "_ms"); ok {
		key, scale = ms+"_seconds", 0.001
	}
	clean := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}
	return "beamctl_" + strings.Map(clean, strings.ToLower(check+"_"+key)), scale
}

// number shows as many digits as a float64 has for certain.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 15, 64) }
