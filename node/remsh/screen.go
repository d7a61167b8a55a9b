package remsh

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// screen draws on a terminal: text that runs on, and below it the line that is being edited, which may take several
// rows and changes in place. It knows nothing of what is above, so that all its movements are relative. It is for
// terminals of the xterm family, as all are today.
type screen struct {
	w          *bufio.Writer
	cols, rows int

	origin int   // the column where the edited line begins
	shown  []row // of the edited line; nil: none is shown
	at     point // the cursor; {0, origin} when nothing is shown
}

// row is one row of the terminal.
type row struct {
	cells     []cell
	from, end int  // columns of the first cell and after the last
	hard      bool // a newline follows, and not merely the edge
}

// point is a row of the edited line, from its first, and a column.
type point struct{ row, col int }

func newScreen(w io.Writer, cols, rows int) *screen {
	s := &screen{w: bufio.NewWriter(w)}
	s.size(cols, rows)
	return s
}

// What a terminal's size is believed to be: zero is what one without a size says (a serial line), and is ssh_cli's 80x24.
const (
	defaultCols, defaultRows = 80, 24
	maxCols, maxRows         = 4096, 4096
)

func (s *screen) size(cols, rows int) {
	if cols <= 0 || rows <= 0 {
		cols, rows = defaultCols, defaultRows
	}
	s.cols, s.rows = min(max(cols, 2), maxCols), min(max(rows, 2), maxRows) // a wide character has to fit
	s.origin %= s.cols
}

// write writes what is for the terminal as it is. An error is kept for flush.
func (s *screen) write(text string) { _, _ = s.w.WriteString(text) }

func (s *screen) flush() error {
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// layout breaks the lines of a text into rows, the first beginning at column from. at is the line and the cell before
// which the cursor is.
func (s *screen) layout(lines [][]cell, at point, from int) (rows []row, cursor point) {
	for i, line := range lines {
		r := row{from: from, end: from}
		from = 0
		for j, c := range line {
			if r.end+int(c.width) > s.cols {
				rows, r = append(rows, r), row{}
			}
			if at == (point{i, j}) {
				cursor = point{len(rows), r.end}
			}
			r.cells, r.end = append(r.cells, c), r.end+int(c.width)
		}
		last := i == len(lines)-1
		// A cursor is never in the column after the last: there terminals differ.
		if here := at == (point{i, len(line)}); r.end >= s.cols && (here || last) {
			rows, r = append(rows, r), row{}
		}
		if at == (point{i, len(line)}) {
			cursor = point{len(rows), r.end}
		}
		r.hard = !last
		rows = append(rows, r)
	}
	return rows, cursor
}

// window returns at most a screenful of rows, those around the cursor.
func (s *screen) window(rows []row, cursor point) ([]row, point) {
	if len(rows) <= s.rows {
		return rows, cursor
	}
	top := min(max(cursor.row-s.rows/2, 0), len(rows)-s.rows)
	rows = slices.Clone(rows[top : top+s.rows])
	rows[len(rows)-1].hard = false
	return rows, point{cursor.row - top, cursor.col}
}

// paint makes the terminal show rows in place of what is shown, writing only from the first difference on.
func (s *screen) paint(rows []row, cursor point) {
	rows, cursor = s.window(rows, cursor)
	if s.shown == nil {
		s.shown = []row{{from: s.origin, end: s.origin}}
	}
	if r, i, differ := difference(s.shown, rows); differ {
		s.rewrite(rows, r, i)
	}
	s.shown = rows
	s.move(cursor)
}

// difference finds the first cell that differs. One that combines with the cell before, or is an escape sequence, takes
// that with it.
func difference(old, rows []row) (r, i int, differ bool) {
	for r = range min(len(old), len(rows)) {
		a, b := old[r], rows[r]
		i = 0
		for i < min(len(a.cells), len(b.cells)) && a.cells[i] == b.cells[i] {
			i++
		}
		if i == len(a.cells) && i == len(b.cells) && a.hard == b.hard && a.from == b.from {
			continue
		}
		if a.from != b.from {
			return r, 0, true
		}
		for i > 0 && (i < len(a.cells) && a.cells[i].width == 0 || i < len(b.cells) && b.cells[i].width == 0) {
			i--
		}
		return r, i, true
	}
	return min(len(old), len(rows)) - 1, 0, len(old) != len(rows)
}

// rewrite writes rows from cell i of row r on, and clears what was there.
func (s *screen) rewrite(rows []row, r, i int) {
	for i > 0 && rows[r].from+columns(rows[r].cells[:i]) >= s.cols { // no movement leads behind the last column
		i--
	}
	s.move(point{r, rows[r].from + columns(rows[r].cells[:i])})
	for _, c := range slices.Concat(cellsOf(rows[:r]), rows[r].cells[:i]) { // colours that began before
		if c.escape() {
			s.write(c.text)
		}
	}
	end := s.at
	for k := r; k < len(rows); k, i = k+1, 0 {
		if k > r {
			end = point{k, 0}
			if len(rows[k].cells) == 0 && !rows[k-1].hard {
				s.write(" \b") // only now is the terminal in the next row
			}
		}
		for _, c := range rows[k].cells[i:] {
			s.write(c.text)
			end.col += int(c.width)
		}
		switch {
		case k == len(rows)-1:
		case !rows[k].hard:
			s.write(strings.Repeat(" ", s.cols-end.col)) // a wide character had no room
		case end.col < s.cols:
			s.write("\x1b[K\r\n")
		default:
			s.write("\r\n")
		}
	}
	was := point{len(s.shown) - 1, s.shown[len(s.shown)-1].end}
	if was.row > end.row || was.row == end.row && was.col > end.col {
		s.write("\x1b[J")
	}
	s.at = end
}

func cellsOf(rows []row) (cs []cell) {
	for _, r := range rows {
		cs = append(cs, r.cells...)
	}
	return cs
}

// move moves the cursor within what is shown.
func (s *screen) move(to point) {
	if n := to.row - s.at.row; n != 0 {
		s.csi(n, 'B', 'A')
		s.write("\r")
		s.at.col = 0
	}
	if n := to.col - s.at.col; n != 0 {
		s.csi(n, 'C', 'D')
	}
	s.at = to
}

// csi writes a movement by n, forward or back.
func (s *screen) csi(n int, forward, back byte) {
	c := forward
	if n < 0 {
		n, c = -n, back
	}
	s.write("\x1b[" + strconv.Itoa(n) + string(c))
}

// erase takes the edited line away.
func (s *screen) erase() {
	if s.shown == nil {
		return
	}
	s.move(point{0, s.origin})
	s.write("\x1b[J")
	s.reset()
}

// leave lets what is shown stay; what comes next comes after it.
func (s *screen) leave() {
	if n := len(s.shown); n > 0 {
		s.move(point{n - 1, s.shown[n-1].end})
		s.origin = s.at.col
	}
	s.reset()
}

func (s *screen) reset() { s.shown, s.at = nil, point{0, s.origin} }

// clear empties the terminal.
func (s *screen) clear() {
	s.write("\x1b[H\x1b[2J")
	s.origin = 0
	s.reset()
}

// print writes text that stays. Nothing must be shown.
func (s *screen) print(text []byte) {
	for len(text) > 0 {
		n := escapeLen(text)
		if n > 0 {
			s.write(string(text[:n]))
			s.origin = afterEscape(text[:n], s.origin, s.cols)
			text = text[n:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		raw := text[:n]
		text = text[n:]
		switch r {
		case '\n':
			s.write("\r\n")
			s.origin = 0
			continue
		case '\r':
			s.write("\r")
			s.origin = 0
			continue
		case '\t':
			n := max(min(tabStop-s.origin%tabStop, s.cols-s.origin), 0) // the edge stops it
			s.write(strings.Repeat(" ", n))
			s.origin += n
			continue
		}
		c := runeCell(r, raw)
		if s.origin+int(c.width) > s.cols { // the terminal goes to the next row
			s.origin = 0
		}
		s.write(c.text)
		s.origin += int(c.width)
	}
	s.reset()
}

// settle has the terminal go to the next row, if what was printed last ends at the edge. Until then a newline has to be
// one.
func (s *screen) settle() {
	if s.shown == nil && s.origin >= s.cols {
		s.write(" \b")
		s.origin = 0
		s.reset()
	}
}

// afterEscape is the column after an escape sequence.
func afterEscape(seq []byte, col, cols int) int {
	param := func(i int) int {
		var n int
		ps := bytes.Split(seq[2:len(seq)-1], []byte(";"))
		if i < len(ps) {
			n, _ = strconv.Atoi(string(ps[i]))
		}
		return min(max(n, 1), cols)
	}
	switch final := seq[len(seq)-1]; {
	case seq[1] == 'c': // reset
		return 0
	case seq[1] != '[':
		return col
	case final == 'H' || final == 'f':
		return param(1) - 1
	case final == 'G':
		return param(0) - 1
	case final == 'E' || final == 'F':
		return 0
	case final == 'C':
		return min(col+param(0), cols-1)
	case final == 'D':
		return max(col-param(0), 0)
	}
	return col
}

func (s *screen) beep() { s.write("\a") }

// note writes a line of ours.
func (s *screen) note(format string, args ...any) {
	s.leave()
	if s.origin > 0 {
		s.print([]byte("\n"))
	}
	s.print(fmt.Appendf(nil, format+"\n", args...))
}
