package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks/health"
)

// Widths of the matrix, in characters.
const (
	leastCell = 12  // a cell narrower than that tells nothing
	mostCell  = 32  // what is longer is told below if it matters
	noWidth   = 120 // when it is written to no terminal
)

// healthTable shows the checks by group, a column for each node; or, if they do not fit, a line for each node with a column for each
// group. Below it is what is wrong.
func healthTable(w io.Writer, r *health.Report, color bool, width int) error {
	if len(r.Rows) == 0 {
		return nil
	}
	if width == 0 {
		width = noWidth
	}
	header, rows := checksByNodes(r, color, width)
	if header == nil {
		header, rows = nodesByGroups(r, color, width)
	}
	if err := table(w, header, rows); err != nil {
		return err
	}
	for i, f := range r.Wrong() {
		if i == 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintln(w, complaint(f, color)); err != nil {
			return err
		}
	}
	return nil
}

// shortNames are the nodes' names without their host where that leaves them different.
func shortNames(r *health.Report) map[string]string {
	short, users := make(map[string]string), make(map[string]int)
	for _, row := range r.Rows {
		alive, _, _ := strings.Cut(row.Node, "@")
		short[row.Node] = alive
		users[alive]++
	}
	for full, alive := range short {
		if users[alive] > 1 {
			short[full] = full
		}
	}
	return short
}

// checksByNodes is the matrix with all that was seen; nil if it is too wide.
func checksByNodes(r *health.Report, color bool, width int) (header []string, rows [][]string) {
	names := shortNames(r)
	header = []string{"", ""}
	for _, row := range r.Rows {
		header = append(header, names[row.Node])
	}
	left := 0
	var group health.Group
	for j, c := range r.Rows[0].Cells {
		line := []string{"", c.Check}
		if c.Group != group {
			group = c.Group
			line[0] = paint(color, bold, string(group))
		}
		left = max(left, len(c.Check))
		for _, row := range r.Rows {
			line = append(line, seen(&row.Cells[j], row.Cells[j].Saw, color))
		}
		rows = append(rows, line)
	}
	const gaps = 2
	room := (width-len("resources")-left-2*gaps)/len(r.Rows) - gaps
	if room < leastCell {
		return nil, nil
	}
	for i, line := range rows {
		for j := range r.Rows {
			c := &r.Rows[j].Cells[i]
			line[2+j] = seen(c, clip(c.Saw, min(room, mostCell)), color)
		}
	}
	for j := range r.Rows {
		header[2+j] = clip(header[2+j], min(room, mostCell))
	}
	return header, rows
}

// seen is what a cell shows of text.
func seen(c *health.Cell, text string, color bool) string {
	switch c.Status {
	case health.Warn:
		return paint(color, yellow, "WARN")
	case health.Fail:
		return paint(color, red, "FAIL")
	case health.Blocked:
		return paint(color, dim, "-")
	case health.None:
		return ""
	case health.OK:
	}
	return paint(color, green, text)
}

// nodesByGroups says of each node's groups whether all is well, or else what is not.
func nodesByGroups(r *health.Report, color bool, width int) (header []string, rows [][]string) {
	names := shortNames(r)
	header = []string{"NODE"}
	var groups []health.Group
	for _, c := range r.Rows[0].Cells {
		if !slices.Contains(groups, c.Group) {
			groups = append(groups, c.Group)
			header = append(header, strings.ToUpper(string(c.Group)))
		}
	}
	widest := 0
	for _, n := range names {
		widest = max(widest, len(n))
	}
	room := max(leastCell, (width-widest)/max(1, len(groups))-2)
	for _, row := range r.Rows {
		line := []string{names[row.Node]}
		for _, g := range groups {
			line = append(line, summary(row.Cells, g, color, room))
		}
		rows = append(rows, line)
	}
	return header, rows
}

// summary is the worst of one group's cells, with their names.
func summary(cells []health.Cell, group health.Group, color bool, room int) string {
	by := make(map[health.Status][]string)
	for _, c := range cells {
		if c.Group == group {
			by[c.Status] = append(by[c.Status], c.Check)
		}
	}
	switch {
	case len(by[health.Fail]) > 0:
		return paint(color, red, clip("FAIL "+strings.Join(by[health.Fail], " "), room))
	case len(by[health.Warn]) > 0:
		return paint(color, yellow, clip("WARN "+strings.Join(by[health.Warn], " "), room))
	case len(by[health.Blocked]) > 0:
		return paint(color, dim, "-")
	case len(by[health.OK]) > 0:
		return paint(color, green, "ok")
	}
	return ""
}

// clip shortens a text to n characters, and takes line ends from it.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:max(0, n-1)]) + "…"
	}
	return s
}

// complaint tells what is wrong, under the table.
func complaint(c *health.Complaint, color bool) string {
	paints := yellow
	if c.Cell.Status == health.Fail {
		paints = red
	}
	found := c.Finding()
	found.What = paint(color, paints, string(c.Cell.Status)+" "+found.What)
	return found.Error()
}
