package remsh

import (
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// edit26 is for OTP 26 and later, whose edlin edits several lines at once, shows completions below them, and counts no
// escape sequences. The other side of it is prim_tty:handle_request/2.
type edit26 struct{ *canvas }

func (e edit26) request(req etf.Term) {
	list := requests(req)
	if list == nil {
		list = etf.List{req}
	}
	fresh := false // the line has just begun: what comes is the prompt
	for _, r := range list {
		name, _ := split1(r)
		if name != "put_expand" && name != "move_expand" {
			e.expand = nil // any other request takes the completions away
		}
		e.one(r)
		if fresh && name == "insert_chars" {
			e.prompt = counted(e.before)
		}
		fresh = name == "new_prompt"
	}
	e.show()
}

func (e edit26) one(req etf.Term) {
	name, args := split1(req)
	switch len(args) {
	case 0:
		switch name {
		case "beep":
			e.screen.beep()
		case "new_prompt":
			e.leave()
		case "delete_line":
			e.clear()
		case "delete_after_cursor":
			e.after, e.below = nil, nil
		case "clear":
			e.screen.clear()
			e.clear()
		}
	case 1:
		n := number(args[0])
		switch name {
		case "delete_chars":
			e.remove(n)
		case "move_rel":
			e.move(n)
		case "move_line":
			e.moveLine(n)
		case "move_expand":
			e.expandTop += n
		}
	case 2:
		switch name {
		case "put_chars":
			e.print(chars(args[1]))
		case "insert_chars":
			e.insert(chars(args[1]))
		case "insert_chars_over":
			e.overwrite(chars(args[1]))
		}
	case 3:
		switch name {
		case "put_expand":
			e.putExpand(chars(args[1]), number(args[2]))
		case "move_combo":
			e.move(number(args[0]))
			e.moveLine(number(args[1]))
			e.move(number(args[2]))
		case "redraw_prompt":
			e.redraw(args)
		}
	}
}

func (e edit26) putExpand(text []byte, rows int) {
	var l line
	l.bare = true
	l.insert(text)
	e.expand, e.expandMax, e.expandTop = append(l.above, l.before), max(rows, 0), 0
}

// redraw is {redraw_prompt, Prompt, MultilinePrompt, {LinesBefore, {Before, After}, LinesAfter}}; LinesBefore and
// Before are reversed.
func (e edit26) redraw(args etf.Tuple) {
	cont, ok := args[2].(etf.Tuple)
	if !ok || len(cont) != 3 {
		return
	}
	above, ok1 := cont[0].(etf.List)
	here, ok2 := cont[1].(etf.Tuple)
	below, ok3 := cont[2].(etf.List)
	if !ok1 || !ok2 || !ok3 || len(here) != 2 {
		return
	}
	before, ok1 := here[0].(etf.List)
	after, ok2 := here[1].(etf.List)
	if !ok1 || !ok2 {
		return
	}
	next := append([]byte("\n"), chars(args[1])...)
	e.clear()
	e.insert(chars(args[0]))
	e.prompt = counted(e.before)
	for _, l := range slices.Backward(above) {
		e.insert(chars(l))
		e.insert(next)
	}
	for _, c := range slices.Backward(before) {
		e.insert(chars(etf.List{c}))
	}
	for _, l := range slices.Backward(below) {
		e.insertAfter(chars(l))
		e.insertAfter(next)
	}
	e.insertAfter(chars(after))
}
