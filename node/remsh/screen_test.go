package remsh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/remsh/remshtest"
)

// drawing is a canvas on an emulated terminal.
type drawing struct {
	*canvas
	terminal *remshtest.Screen
	edit     editor
}

func newDrawing(otp, cols, rows int) *drawing {
	d := &drawing{terminal: remshtest.New(cols, rows)}
	d.canvas = &canvas{screen: newScreen(d.terminal, cols, rows)}
	d.clear()
	d.edit = edit23{d.canvas}
	if otp >= firstWithEdit26 {
		d.bare, d.edit = true, edit26{d.canvas}
	}
	return d
}

func (d *drawing) request(t testing.TB, text string) {
	t.Helper()
	req, err := etf.Parse(text)
	require.NoError(t, err)
	d.edit.request(req)
	_ = d.screen.flush()
}

// shows asserts what the terminal shows, the cursor as a "|".
func (d *drawing) shows(t testing.TB, want string) {
	t.Helper()
	_ = d.screen.flush()
	lines := d.terminal.Lines()
	row, col := d.terminal.Cursor()
	for len(lines) <= row {
		lines = append(lines, "")
	}
	l := []rune(lines[row])
	at := 0 // of the cell in column col
	for c := 0; c < col; at++ {
		if at == len(l) {
			l = append(l, ' ')
		}
		c += columns(cells([]byte(string(l[at])), true))
	}
	lines[row] = string(l[:at]) + "|" + string(l[at:])
	assert.Equal(t, want, strings.Join(lines, "\n"))
	assert.Empty(t, d.terminal.Unknown())
}

// What edlin of OTP 25 sends for keys, as seen on a node.
func TestEdit23(t *testing.T) {
	t.Parallel()
	d := newDrawing(25, 20, 6)
	d.request(t, `{requests,[{put_chars,unicode,"1> "}]}`)
	d.shows(t, "1> |")
	assert.True(t, d.blank())
	d.request(t, `{requests,[{put_chars,unicode,"ab"}]}`)
	d.request(t, `{requests,[{move_rel,-1}]}`)
	d.request(t, `{requests,[{insert_chars,unicode,[26085,26412]}]}`)
	d.shows(t, "1> a日本|b")
	assert.False(t, d.blank())
	d.request(t, `{requests,[{delete_chars,-1}]}`)
	d.shows(t, "1> a日|b")
	d.request(t, `{requests,[{move_rel,-2}]}`)
	d.request(t, `{requests,[{delete_chars,3}]}`)
	d.shows(t, "1> |")
	assert.True(t, d.blank())
	d.request(t, `{requests,[{put_chars,unicode,"lists:"}]}`)
	d.request(t, `{put_chars,unicode,<<"\nmap/2\n">>}`) // completion, and the line again
	d.request(t, `{requests,[{delete_chars,-9},{delete_chars,0},{put_chars,unicode,"1> "},{put_chars,unicode,"lists:"},{move_rel,0}]}`)
	d.shows(t, "1> lists:\nmap/2\n1> lists:|")
	assert.False(t, d.blank())
	d.request(t, `{requests,[{delete_chars,-6}]}`)
	assert.True(t, d.blank(), "emptied after the list")
	d.request(t, `{requests,[{put_chars,unicode,"lists:"}]}`)
	d.request(t, `{requests,[{move_rel,0},{put_chars,unicode,"\n"}]}`)
	assert.False(t, d.blank())
	d.print([]byte("partial"))
	d.request(t, `{requests,[{put_chars,unicode,"2> "}]}`)
	d.shows(t, "1> lists:\nmap/2\n1> lists:\npartial2> |")
	d.request(t, `beep`)
	_ = d.screen.flush()
	assert.Equal(t, 1, d.terminal.Beeps())
}

func TestEdit26(t *testing.T) {
	t.Parallel()
	d := newDrawing(27, 20, 8)
	d.request(t, `{requests,[new_prompt,{insert_chars,unicode,"1> "}]}`)
	d.shows(t, "1> |")
	assert.True(t, d.blank())
	d.request(t, `{requests,[{insert_chars,unicode,"F = fun"}]}`)
	d.request(t, `{requests,[{redraw_prompt,"1> ",".. ",{["F = fun"],{[],[]},[]}}]}`)
	d.request(t, `{requests,[{insert_chars,unicode,"end."}]}`)
	d.shows(t, "1> F = fun\n.. end.|")
	d.request(t, `{requests,[{move_combo,-4,-1,4}]}`)
	d.shows(t, "1> F = |fun\n.. end.")
	d.request(t, `{requests,[{insert_chars_over,unicode,"FUN"}]}`)
	d.shows(t, "1> F = FUN|\n.. end.")
	d.request(t, `{put_expand,unicode,<<"one\ntwo\nthree\nfour">>,2}`)
	d.shows(t, "1> F = FUN|\n.. end.\none\ntwo\nrows 1 to 2 of 4")
	d.request(t, `{requests,[{move_expand,1}]}`)
	d.shows(t, "1> F = FUN|\n.. end.\ntwo\nthree\nrows 2 to 3 of 4")
	d.print([]byte("log\n"))
	d.request(t, `{requests,[{move_rel,0}]}`)
	d.shows(t, "log\n1> F = FUN|\n.. end.")
	d.request(t, `{requests,[{redraw_prompt,"1> ","   ",{["F = fun"],{"\n.dne",[]},[]}},new_prompt]}`)
	d.shows(t, "log\n1> F = fun\n   end.\n|")
	assert.False(t, d.blank())
	d.request(t, `{requests,[new_prompt,{insert_chars,unicode,"\e[1msearch:\e[0m "}]}`)
	d.shows(t, "log\n1> F = fun\n   end.\nsearch: |")
	assert.True(t, d.blank(), "escape sequences do not count")
	d.request(t, `{requests,[delete_line,{insert_chars,unicode,"x"},clear,{insert_chars,unicode,"2> "}]}`)
	d.shows(t, "2> |")
}

// The edge: a full row, a wide character that does not fit, a text that ends there and goes on with a newline.
func TestEdge(t *testing.T) {
	t.Parallel()
	for _, otp := range []int{25, 27} {
		d := newDrawing(otp, 10, 6)
		d.request(t, `{requests,[{insert_chars,unicode,"1234567890"}]}`)
		d.shows(t, "1234567890\n|")
		d.request(t, `{requests,[{delete_chars,-1}]}`)
		d.shows(t, "123456789|")
		d.request(t, `{requests,[{insert_chars,unicode,[26085]}]}`)
		d.shows(t, "123456789\n日|")
		d.request(t, `{requests,[{move_rel,-1}]}`)
		d.shows(t, "123456789\n|日")
		d.request(t, `{requests,[{move_rel,-10}]}`)
		d.request(t, `{requests,[{insert_chars,unicode,"x"}]}`)
		d.shows(t, "x|123456789\n日")
		d.leave()
		d.print([]byte("\n0123456789"))
		d.print([]byte("\nnext\n"))
		d.shows(t, "x123456789\n日\n0123456789\nnext\n|")
	}
}

// What a program prints that would move the cursor, or make the terminal do something, in a line that is edited: only colours get through.
func TestHostileLine(t *testing.T) {
	t.Parallel()
	d := newDrawing(27, 30, 5)
	d.insert([]byte("a\x1b[2Jb\x1b]0;title\ac\x1b[31md\x1b[0m\x00\x7f\xff\x1bP\u009b\r"))
	d.show()
	d.shows(t, "abcd^@^?\ufffd^[P\ufffd|")
	d.edit.request(etf.Tuple{etf.Atom("requests"), etf.List{
		etf.Tuple{etf.Atom("move_rel"), int64(-1 << 60)},
		etf.Tuple{etf.Atom("delete_chars"), int64(1 << 60)},
		etf.Tuple{etf.Atom("move_line"), int64(7)},
		etf.Tuple{etf.Atom("move_combo"), etf.Atom("x"), nil, int64(2)},
		etf.Tuple{etf.Atom("redraw_prompt"), etf.List{}, etf.List{}, etf.Tuple{etf.List{}, etf.List{}, etf.List{}}},
		etf.Tuple{},
		etf.Tuple{int64(1)},
		int64(3),
		etf.Tuple{etf.Atom("insert_chars"), etf.Atom("unicode"), etf.Atom("no text")},
	}})
	d.shows(t, "|")
	d.insert([]byte(strings.Repeat("x", 2*maxLine)))
	assert.Less(t, d.length(), 2*maxLine)
}

func TestPrint(t *testing.T) {
	t.Parallel()
	d := newDrawing(27, 30, 5)
	d.insert([]byte("1> x"))
	d.show()
	d.print([]byte("a\tb\x1b[31mred\x1b[0m\x07\nabc\rX"))
	d.shows(t, "a       bred^G\nX1> x|") // where text without a newline ends the line begins
	d.print([]byte("\x1b[H\x1b[2Jtop\n"))
	d.shows(t, "top\n1> x|")
}

// Whatever is done, the terminal shows the line as it is, no matter by what steps it came so, and printed text above it.
func TestScreenShowsTheLine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cols, rows := rapid.IntRange(4, 30).Draw(t, "cols"), rapid.IntRange(3, 12).Draw(t, "rows")
		otp := rapid.SampledFrom([]int{25, 27}).Draw(t, "otp")
		d := newDrawing(otp, cols, rows)
		if n := rapid.IntRange(0, 5).Draw(t, "column"); n > 0 {
			d.print([]byte(strings.Repeat("p", n)))
		}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abc 日é😀\t\n")), 0, 12, -1)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			n := rapid.IntRange(-12, 12).Draw(t, "n")
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				d.insert([]byte(text.Draw(t, "text")))
			case 2:
				d.move(n)
			case 3:
				d.remove(n)
			case 4:
				d.moveLine(n)
			case 5:
				d.overwrite([]byte(strings.ReplaceAll(text.Draw(t, "over"), "\n", "")))
			case 6:
				d.insertAfter([]byte(text.Draw(t, "after")))
			}
			d.show()
			_ = d.screen.flush()
			if d.screen.shown == nil {
				continue // there is no line yet
			}
			want, cursor := fresh(d.canvas)
			lines := d.terminal.Lines()
			row, col := d.terminal.Cursor()
			top := row - cursor.row
			if top < 0 {
				t.Fatalf("the cursor is in row %d of %d", cursor.row, row)
			}
			got := append(lines[min(top, len(lines)):], make([]string, rows)...)[:len(want)]
			if fmt.Sprint(got) != fmt.Sprint(want) || col != cursor.col {
				t.Fatalf("shown is\n%q %d\nand not\n%q %d", got, col, want, cursor.col)
			}
			if below := lines[min(top+len(want), len(lines)):]; len(below) > 0 {
				t.Fatalf("left below: %q", below)
			}
		}
		if u := d.terminal.Unknown(); len(u) > 0 {
			t.Fatalf("%q", u)
		}
	})
}

// fresh is what an empty terminal shows of the line, and the cursor.
func fresh(c *canvas) (rows []string, cursor point) {
	s := c.screen
	lines := append(append([][]cell{}, c.above...), c.current())
	all, cursor := s.layout(append(lines, c.below...), point{len(c.above), len(c.before)}, s.origin)
	all, cursor = s.window(all, cursor)
	for _, r := range all {
		var b strings.Builder
		b.WriteString(strings.Repeat("p", r.from))
		for _, cell := range r.cells {
			b.WriteString(cell.text)
		}
		rows = append(rows, strings.TrimRight(b.String(), " "))
	}
	return rows, cursor
}
