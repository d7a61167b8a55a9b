package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/checks"
)

// Widths of columns, in characters.
const (
	columnGap = 2
	// A cell that is wider than that may be cut before a whole column is left out.
	fairCell = 12
)

// nodeColumns are headers of columns that have full names of nodes.
var nodeColumns = []string{"NODE", "LINK FROM", "TO"}

// table writes rows under a header, the columns aligned. Cells may be coloured: escape sequences take no room. Where that is wider than
// the window (width 0: there is none), nodes lose their hosts; then the spare columns are left out, the first first, as far as need
// be; then the widest cells are cut.
func table(w io.Writer, width int, header []string, rows [][]string, spare ...string) error {
	lines := append([][]string{header}, rows...)
	widths := columnWidths(lines)
	if width > 0 && tableWidth(widths, anyWidth) > width {
		for i, name := range header {
			if slices.Contains(nodeColumns, name) {
				shorten(rows, i)
			}
		}
		widths = columnWidths(lines)
		for _, name := range spare {
			if i := slices.Index(header, name); i >= 0 && tableWidth(widths, fairCell) > width {
				widths[i] = leftOut
			}
		}
		for excess := tableWidth(widths, anyWidth) - width; excess > 0; excess-- {
			widest := slices.Index(widths, slices.Max(widths))
			widths[widest] = max(1, widths[widest]-1)
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			if widths[i] == leftOut {
				continue
			}
			cell = cut(cell, widths[i])
			b.WriteString(cell + strings.Repeat(" ", widths[i]-visibleLen(cell)+columnGap))
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

const (
	leftOut  = -1          // the width of a column that is not shown
	anyWidth = math.MaxInt // no cell is wider
)

// shorten takes the hosts from the nodes' names in a column.
func shorten(rows [][]string, column int) {
	var names []string
	for _, row := range rows {
		if !slices.Contains(names, row[column]) {
			names = append(names, row[column])
		}
	}
	short := shortNames(names)
	for _, row := range rows {
		row[column] = short[row[column]]
	}
}

// columnWidths is how wide the columns of lines are.
func columnWidths(lines [][]string) []int {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], visibleLen(cell))
		}
	}
	return widths
}

// tableWidth is how wide a table is when no column is wider than most.
func tableWidth(widths []int, most int) int {
	sum := -columnGap
	for _, w := range widths {
		if w != leftOut {
			sum += min(w, most) + columnGap
		}
	}
	return sum
}

// sgr begins an SGR sequence, which colours; an m ends it.
const sgr = "\x1b["

// cut shortens a text, which may be coloured, to n characters.
func cut(s string, n int) string {
	if visibleLen(s) <= n {
		return s
	}
	var b strings.Builder
	colored := false
	for n > 1 && s != "" {
		if rest, ok := strings.CutPrefix(s, sgr); ok {
			code, after, _ := strings.Cut(rest, "m")
			b.WriteString(sgr + code + "m")
			s, colored = after, true
			continue
		}
		_, size := utf8.DecodeRuneInString(s)
		b.WriteString(s[:size])
		s, n = s[size:], n-1
	}
	b.WriteString("…")
	if colored {
		b.WriteString(reset)
	}
	return b.String()
}

// leastText is what an indent leaves of the width for text.
const leastText = 24

// wrap breaks lines that are wider than width (0: any) between words, and goes on below where the line's text began.
func wrap(text string, width int) string {
	if width <= 0 {
		return text
	}
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if visibleLen(line) <= width {
			out = append(out, line)
			continue
		}
		indent := max(2, min(hanging(line), width-leastText))
		words := strings.TrimLeft(line, " ")
		at, empty := line[:len(line)-len(words)], true
		for word := range strings.SplitSeq(words, " ") {
			if !empty && visibleLen(at)+1+visibleLen(word) > width {
				out = append(out, strings.TrimRight(at, " "))
				at, empty = strings.Repeat(" ", indent), true
			}
			if !empty {
				at += " "
			}
			at, empty = at+word, false
		}
		out = append(out, at)
	}
	return strings.Join(out, "\n")
}

// firstColumns is where the text of a line that has columns begins at the latest.
const firstColumns = 26

// fieldIndent is where the text of a finding's fields begins.
const fieldIndent = len("  cause ")

// hanging is where a line's text begins: behind the name of a finding's field ("  cause …"), in the last of a few columns, or else
// two characters further in than the line.
func hanging(line string) int {
	if strings.HasPrefix(line, "  cause ") || strings.HasPrefix(line, "  saw   ") || strings.HasPrefix(line, "  fix   ") || strings.HasPrefix(line, strings.Repeat(" ", fieldIndent)) {
		return fieldIndent
	}
	plain := []rune(uncolored(line))
	start := 0
	for start < len(plain) && plain[start] == ' ' {
		start++
	}
	for i := min(firstColumns, len(plain)-1); i > start+1; i-- {
		if plain[i] != ' ' && plain[i-1] == ' ' && plain[i-2] == ' ' {
			return i
		}
	}
	return start + 2
}

// live shows a text in the place of the one before, on a terminal: what does not fit the window is cut, as it would scroll.
func (a *app) live(text string) error {
	width, height := a.outSize()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if most := height - 1; height > 0 && len(lines) > most { // the cursor stands below the last
		lines = append(lines[:max(0, most-1)], fmt.Sprintf("… and %d lines more", len(lines)-max(0, most-1)))
	}
	var b strings.Builder
	b.WriteString(cursorHome)
	for _, line := range lines {
		if width > 0 {
			line = cut(line, width)
		}
		b.WriteString(line + eraseLine + "\n") // the one before may have been longer
	}
	_, err := io.WriteString(a.out, b.String()+eraseBelow)
	return err
}

// The sequences of a live view: to the top left, and erase what is there, what follows in the line, or below.
const (
	cursorHome = "\x1b[H"
	eraseAll   = "\x1b[2J"
	eraseLine  = "\x1b[K"
	eraseBelow = "\x1b[J"
)

// visibleLen counts the characters of s that a terminal shows.
func visibleLen(s string) int { return utf8.RuneCountInString(uncolored(s)) }

// uncolored takes out SGR sequences.
func uncolored(s string) string {
	plain, s, found := strings.Cut(s, sgr)
	for found {
		var text string
		_, s, _ = strings.Cut(s, "m")
		text, s, found = strings.Cut(s, sgr)
		plain += text
	}
	return plain
}

// errorText shows several errors one below the other, without the counting that multierror does. A finding has its own words for those
// that underlie it.
func errorText(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) { //nolint:errorlint // what is within a finding is not to be found
		case *checks.Finding:
			return err.Error()
		case *multierror.Error:
			var parts []string
			for _, one := range e.Errors {
				parts = append(parts, one.Error())
			}
			return strings.Join(parts, "\n")
		}
	}
	return err.Error()
}

// orDash shows what is unknown or not there as a dash.
func orDash(s string) string {
	if s == "" || s == "0" {
		return "-"
	}
	return s
}

// count shows a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// ago shows a duration the way one says it.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
