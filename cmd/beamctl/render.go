package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// table writes rows under a header, the columns aligned. Cells may be coloured: escape sequences take no room.
func table(w io.Writer, header []string, rows [][]string) error {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], visibleLen(cell))
		}
	}
	for _, row := range append([][]string{header}, rows...) {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-visibleLen(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// visibleLen counts the characters of s that a terminal shows, taking out SGR sequences.
func visibleLen(s string) int {
	n := 0
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		n += len([]rune(before))
		if !found {
			return n
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

// errorText shows several errors one below the other, without the counting that multierror does.
func errorText(err error) string {
	var multi *multierror.Error
	if !errors.As(err, &multi) {
		return err.Error()
	}
	var parts []string
	for _, e := range multi.Errors {
		parts = append(parts, e.Error())
	}
	return strings.Join(parts, "\n")
}

// orDash shows what is unknown or not there as a dash.
func orDash(s string) string {
	if s == "" || s == "0" {
		return "-"
	}
	return s
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
