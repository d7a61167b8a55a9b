package remsh

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// maxLine is how many cells the edited line may have; what is more is not shown. It is a screenful of the largest
// screen that there is.
const maxLine = 1 << 18

// line is the text that the node's line editor has us show: what the user edits, prompts included.
type line struct {
	above         [][]cell
	before, after []cell // of the line with the cursor
	below         [][]cell

	prompt int // counted cells of the prompt; -1: nothing is being asked for

	expand    [][]cell // what is shown below: completions
	expandMax int      // rows of it, 0: all
	expandTop int      // the first row to be shown
	bare      bool     // see cells
}

func (l *line) clear() {
	*l = line{prompt: -1, bare: l.bare}
}

func (l *line) empty() bool {
	return len(l.above)+len(l.before)+len(l.after)+len(l.below)+len(l.expand) == 0
}

// blank tells whether there is a prompt, and nothing behind it.
func (l *line) blank() bool {
	return l.prompt >= 0 && len(l.above)+len(l.below) == 0 && counted(l.before)+counted(l.after) == l.prompt
}

func (l *line) length() int {
	n := len(l.before) + len(l.after)
	for _, ls := range [][][]cell{l.above, l.below} {
		for _, cs := range ls {
			n += len(cs) + 1
		}
	}
	return n
}

// insert puts text before the cursor.
func (l *line) insert(text []byte) {
	room := maxLine - l.length()
	for i, part := range bytes.Split(text, []byte("\n")) {
		if i > 0 {
			l.above, l.before = append(l.above, l.before), nil
		}
		cs := cells(part, l.bare)
		if room -= len(cs) + 1; room < 0 {
			return
		}
		l.before = append(l.before, cs...)
	}
}

// insertAfter puts text behind the cursor, which stays.
func (l *line) insertAfter(text []byte) {
	at := line{bare: l.bare}
	at.insert(text)
	l.after = append(at.before, l.after...)
	if len(at.above) > 0 {
		l.below = slices.Concat(at.above[1:], [][]cell{l.after}, l.below)
		l.after = at.above[0]
	}
}

// overwrite is insert in place of as many characters.
func (l *line) overwrite(text []byte) {
	was := counted(l.before)
	l.insert(text)
	_, l.after = split(l.after, counted(l.before)-was)
}

// move moves the cursor by n characters within its line.
func (l *line) move(n int) {
	if n < 0 {
		left, moved := splitEnd(l.before, -n)
		l.before, l.after = left, append(slices.Clip(moved), l.after...)
		return
	}
	moved, right := split(l.after, n)
	l.before, l.after = append(slices.Clip(l.before), moved...), right
}

// moveLine moves the cursor n lines down, or up, to about the same column.
func (l *line) moveLine(n int) {
	col := columns(l.before)
	for ; n < 0 && len(l.above) > 0; n++ {
		l.below = append([][]cell{l.current()}, l.below...)
		l.before, l.after = l.above[len(l.above)-1], nil
		l.above = l.above[:len(l.above)-1]
	}
	for ; n > 0 && len(l.below) > 0; n-- {
		l.above = append(l.above, l.current())
		l.before, l.after = l.below[0], nil
		l.below = l.below[1:]
	}
	all := l.current()
	i, at := 0, 0
	for i < len(all) && at+int(all[i].width) <= col {
		at += int(all[i].width)
		i++
	}
	l.before, l.after = all[:i:i], all[i:]
}

func (l *line) current() []cell { return append(slices.Clip(l.before), l.after...) }

// remove removes n characters behind the cursor, or -n before it.
func (l *line) remove(n int) {
	if n < 0 {
		l.before, _ = splitEnd(l.before, -n)
		return
	}
	_, l.after = split(l.after, n)
}

// counted is how many characters the line editor takes cs for.
func counted(cs []cell) (n int) {
	for _, c := range cs {
		if !c.bare {
			n++
		}
	}
	return n
}

// split splits cs behind its first n characters.
func split(cs []cell, n int) (left, right []cell) {
	i := 0
	for ; n > 0 && i < len(cs); i++ {
		if !cs[i].bare {
			n--
		}
	}
	return cs[:i:i], cs[i:]
}

// splitEnd splits cs before its last n characters.
func splitEnd(cs []cell, n int) (left, right []cell) {
	i := len(cs)
	for ; n > 0 && i > 0; i-- {
		if !cs[i-1].bare {
			n--
		}
	}
	return cs[:i:i], cs[i:]
}

// canvas is a screen with the line on it.
type canvas struct {
	line
	screen *screen
}

// show makes the screen show the line.
func (c *canvas) show() {
	if c.empty() && c.screen.shown == nil {
		return
	}
	s := c.screen
	s.settle()
	lines := append(slices.Clip(c.above), c.current())
	lines = append(lines, c.below...)
	at := point{len(c.above), len(c.before)}
	rows, cursor := s.layout(lines, at, s.origin)
	if len(rows) > s.rows && s.origin > 0 { // what the line begins behind leaves the screen
		s.origin = 0
		rows, cursor = s.layout(lines, at, 0)
	}
	if len(c.expand) > 0 {
		rows = c.withExpand(rows)
	}
	s.paint(rows, cursor)
}

// withExpand adds the rows of completions below, as many as there is room for, and says when those are not all.
func (c *canvas) withExpand(rows []row) []row {
	more, _ := c.screen.layout(c.expand, point{-1, 0}, 0)
	most := len(more)
	if c.expandMax > 0 {
		most = min(most, c.expandMax)
	}
	most = max(min(most, c.screen.rows-1-len(rows)), 0)
	if most == 0 {
		return rows
	}
	if most < len(more) {
		c.expandTop = min(max(c.expandTop, 0), len(more)-most)
		foot := cells(fmt.Appendf(nil, "\x1b[7mrows %d to %d of %d\x1b[0m", c.expandTop+1, c.expandTop+most, len(more)), true)
		more = append(more[c.expandTop:c.expandTop+most:c.expandTop+most], row{cells: foot, end: columns(foot)})
		more[most-1].hard = true
	}
	rows[len(rows)-1].hard = true
	return append(rows, more...)
}

// print prints text above the line.
func (c *canvas) print(text []byte) {
	c.screen.erase()
	c.screen.print(text)
	c.show()
}

// leave lets the line stay as it is, and begins anew behind it.
func (c *canvas) leave() {
	c.expand = nil
	c.show()
	c.screen.leave()
	c.clear()
}

// resize shows the line on a terminal that has another size, and so has broken it into other rows.
func (c *canvas) resize(cols, rows int) {
	shown := c.screen.shown != nil
	c.screen.size(cols, rows)
	if !shown {
		return
	}
	lines := append(slices.Clip(c.above), c.current())
	all, cursor := c.screen.layout(append(lines, c.below...), point{len(c.above), len(c.before)}, c.screen.origin)
	c.screen.shown, c.screen.at = c.screen.window(all, cursor)
	c.screen.erase()
	c.show()
}

// chars returns the text of a request's argument; what is no text is not shown.
func chars(t etf.Term) []byte {
	text, err := etf.AppendChardata(nil, t, false)
	if err != nil {
		return nil
	}
	return text
}
