package main

import (
	"cmp"
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

// window is where a report is shown. Zeros: as wide and as high as it likes.
type window struct{ width, height int }

// healthTable shows the checks by group, a column for each node; if they do not fit, a line for each node with a column for each
// group; if that does not fit either, a line for each node that says what is wrong. Below it is all that is wrong.
func healthTable(w io.Writer, r *health.Report, color bool, win window) error {
	if len(r.Rows) == 0 {
		return nil
	}
	var below []string
	for _, f := range r.Wrong() {
		below = append(below, wrap(complaint(f, color), win.width))
	}
	details := strings.Join(below, "\n")
	if details != "" {
		details = "\n" + details + "\n"
	}
	width := cmp.Or(win.width, noWidth)
	header, rows := checksByNodes(r, color, width)
	if win.height > 0 && 1+len(rows)+strings.Count(details, "\n") > win.height {
		header = nil
	}
	if header == nil {
		header, rows = nodesByGroups(r, color, width)
	}
	var b strings.Builder
	if header == nil {
		b.WriteString(nodesInWords(r, color, width))
	} else if err := table(&b, 0, header, rows); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String()+details)
	return err
}

// shortNames are nodes' names without their host where that leaves them different.
func shortNames(full []string) map[string]string {
	short, users := make(map[string]string), make(map[string]int)
	for _, name := range full {
		alive, _, _ := strings.Cut(name, "@")
		short[name] = alive
		users[alive]++
	}
	for name, alive := range short {
		if users[alive] > 1 {
			short[name] = name
		}
	}
	return short
}

func examined(r *health.Report) []string {
	names := make([]string, 0, len(r.Rows))
	for _, row := range r.Rows {
		names = append(names, row.Node)
	}
	return names
}

// checksByNodes is the matrix with all that was seen; nil if it is too wide.
func checksByNodes(r *health.Report, color bool, width int) (header []string, rows [][]string) {
	names := shortNames(examined(r))
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

// nodesByGroups says of each node's groups whether all is well, or else what is not; nil if it is too wide.
func nodesByGroups(r *health.Report, color bool, width int) (header []string, rows [][]string) {
	names := shortNames(examined(r))
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
	if tableWidth(columnWidths(append([][]string{header}, rows...)), anyWidth) > width {
		return nil, nil
	}
	return header, rows
}

// nodesInWords says of each node what is wrong with it, if anything is.
func nodesInWords(r *health.Report, color bool, width int) string {
	names := shortNames(examined(r))
	var b strings.Builder
	for _, row := range r.Rows {
		by := make(map[health.Status][]string)
		for _, c := range row.Cells {
			by[c.Status] = append(by[c.Status], c.Check)
		}
		var words []string
		if failed := by[health.Fail]; len(failed) > 0 {
			words = append(words, paint(color, red, "FAIL "+strings.Join(failed, " ")))
		}
		if warned := by[health.Warn]; len(warned) > 0 {
			words = append(words, paint(color, yellow, "WARN "+strings.Join(warned, " ")))
		}
		if len(words) == 0 {
			words = []string{paint(color, green, "ok")}
		}
		b.WriteString(wrap(names[row.Node]+"  "+strings.Join(words, " "), width) + "\n")
	}
	return b.String()
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
