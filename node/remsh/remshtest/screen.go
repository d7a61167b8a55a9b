// Package remshtest is a terminal for tests: an emulator small enough to be read, that takes exactly what package remsh and plain programs
// write, and keeps note of everything else.
package remshtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// patience is how long Wait waits: a busy machine boots nodes meanwhile.
const patience = 2 * time.Minute

// Screen is an emulated terminal of the xterm family: with a cursor that waits at the right edge, wide characters, and scrolling. It is safe
// for concurrent use.
type Screen struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each write

	cols, rows int
	cells      [][]string // "" is the right half of a wide character
	row, col   int
	pending    bool // the cursor is behind the last column
	partial    []byte
	scrolled   []string // rows that have left at the top
	beeps      int
	unknown    []string
	raw        strings.Builder
}

// New makes an empty screen.
func New(cols, rows int) *Screen {
	s := &Screen{cols: cols, rows: rows, changed: make(chan struct{})}
	for range rows {
		s.cells = append(s.cells, s.blank())
	}
	return s
}

func (s *Screen) blank() []string { return slices.Repeat([]string{" "}, s.cols) }

// Write shows text and carries out control sequences.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(p)
	in := append(s.partial, p...)
	for len(in) > 0 {
		n := s.step(in)
		if n == 0 {
			break
		}
		in = in[n:]
	}
	s.partial = slices.Clone(in)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

// step takes one character or sequence, 0 if it is not complete.
func (s *Screen) step(in []byte) int {
	switch in[0] {
	case 0x1b:
		return s.escape(in)
	case '\r':
		s.col, s.pending = 0, false
	case '\n':
		s.down()
		s.pending = false
	case '\b':
		s.col, s.pending = max(s.col-1, 0), false
	case '\a':
		s.beeps++
	default:
		if !utf8.FullRune(in) {
			return 0
		}
		r, n := utf8.DecodeRune(in)
		if r < ' ' || r == utf8.RuneError && n == 1 || r >= 0x7f && r < 0xa0 {
			s.unknown = append(s.unknown, fmt.Sprintf("%q", in[:n]))
			return n
		}
		s.put(string(in[:n]), displaywidth.Rune(r))
		return n
	}
	return 1
}

func (s *Screen) put(text string, width int) {
	if width == 0 { // combines with what is before
		at := s.col - 1
		if s.pending {
			at = s.col
		}
		for at > 0 && s.cells[s.row][at] == "" {
			at--
		}
		if at >= 0 {
			s.cells[s.row][at] += text
		}
		return
	}
	if s.pending || s.col+width > s.cols {
		s.col, s.pending = 0, false
		s.down()
	}
	s.cells[s.row][s.col] = text
	if width == 2 {
		s.cells[s.row][s.col+1] = ""
	}
	if s.col += width; s.col >= s.cols {
		s.col, s.pending = s.cols-1, true
	}
}

func (s *Screen) down() {
	if s.row++; s.row == s.rows {
		s.scrolled = append(s.scrolled, line(s.cells[0]))
		s.cells = append(s.cells[1:], s.blank())
		s.row--
	}
}

func (s *Screen) escape(in []byte) int {
	if len(in) < 2 {
		return 0
	}
	if in[1] != '[' {
		s.unknown = append(s.unknown, fmt.Sprintf("%q", in[:2]))
		return 2
	}
	end := 2
	for end < len(in) && in[end] >= 0x20 && in[end] < 0x40 {
		end++
	}
	if end == len(in) {
		return 0
	}
	s.csi(string(in[2:end]), in[end])
	return end + 1
}

func (s *Screen) csi(params string, final byte) {
	n, err := strconv.Atoi(params)
	if params == "" {
		n, err = 1, nil
	}
	switch {
	case final == 'm', strings.HasPrefix(params, "?"):
		return
	case err != nil || n <= 0:
		s.unknown = append(s.unknown, "CSI "+params+string(final))
		return
	}
	at := s.col
	s.pending = false
	switch final {
	case 'A':
		s.row = max(s.row-n, 0)
	case 'B':
		s.row = min(s.row+n, s.rows-1)
	case 'C':
		s.col = min(s.col+n, s.cols-1)
	case 'D':
		s.col = max(s.col-n, 0)
	case 'H':
		s.row, s.col = 0, 0
	case 'K':
		s.clear(s.row, at)
	case 'J':
		if params == "2" {
			s.clear(0, 0)
		} else {
			s.clear(s.row, at)
		}
		last := s.rows
		first := s.row + 1
		if params == "2" {
			first = 1
		}
		for r := first; r < last; r++ {
			s.clear(r, 0)
		}
	default:
		s.unknown = append(s.unknown, "CSI "+params+string(final))
	}
}

func (s *Screen) clear(row, from int) {
	for c := from; c < s.cols; c++ {
		s.cells[row][c] = " "
	}
}

func line(cells []string) string { return strings.TrimRight(strings.Join(cells, ""), " ") }

// Resize gives the screen another size. What does not fit is cut off, as by a terminal that does not break lines anew.
func (s *Screen) Resize(cols, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cols, s.rows = cols, rows
	for i, cs := range s.cells {
		s.cells[i] = append(cs, slices.Repeat([]string{" "}, max(cols-len(cs), 0))...)[:cols]
	}
	for len(s.cells) > rows {
		s.scrolled = append(s.scrolled, line(s.cells[0]))
		s.cells = s.cells[1:]
		s.row--
	}
	for len(s.cells) < rows {
		s.cells = append(s.cells, s.blank())
	}
	s.row, s.col, s.pending = max(s.row, 0), min(s.col, cols-1), false
}

// Lines is what the screen shows, from the top, without empty lines at the end and spaces at the right.
func (s *Screen) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines()
}

func (s *Screen) lines() []string {
	var out []string
	for _, cs := range s.cells {
		out = append(out, line(cs))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// All is Lines with what has left the screen before it.
func (s *Screen) All() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.scrolled, s.lines())
}

// Cursor is where the cursor is, from 0; behind the last column it is in none.
func (s *Screen) Cursor() (row, col int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending {
		return s.row, s.cols
	}
	return s.row, s.col
}

// Beeps is how often the bell rang.
func (s *Screen) Beeps() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beeps
}

// Unknown is what was written that this terminal does not know.
func (s *Screen) Unknown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unknown)
}

// Raw is all that was written.
func (s *Screen) Raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.String()
}

// Wait waits until the last lines of the screen are these.
func (s *Screen) Wait(t testing.TB, last ...string) {
	t.Helper()
	s.Until(t, strings.Join(last, "\n"), func(lines []string) bool {
		return len(lines) >= len(last) && slices.Equal(lines[len(lines)-len(last):], last)
	})
}

// Until waits until ok says so of what the screen shows.
func (s *Screen) Until(t testing.TB, what string, ok func(lines []string) bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		lines, changed := s.lines(), s.changed
		s.mu.Unlock()
		if ok(lines) {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the screen does not show\n%s\nbut\n%s", what, strings.Join(lines, "\n"))
		}
	}
}
