package remsh

import (
	"bytes"

	"github.com/beamctl/beamctl/dist/etf"
)

// editor understands the drawing requests of a release's line editor (edlin).
type editor interface {
	// request carries out what one message of the group asks for: an atom, or a tuple.
	request(req etf.Term)
}

// edit23 is for OTP 23 to 25. Their edlin takes the terminal for one line: put_chars writes over what is there, the rest
// is relative to the cursor. The other side of it was ttsl_drv.c.
type edit23 struct{ *canvas }

func (e edit23) request(req etf.Term) {
	if list := requests(req); list != nil {
		// What begins a line (edlin:start/1), or draws it again (redraw_line/1, and edit/5 for Ctrl-L, also below a
		// list of completions), has the prompt for its first text. What erases what was there may come before, in the
		// same list.
		first := true
		for _, r := range list {
			bare := len(e.before)+len(e.after) == 0
			e.one(r)
			if name, _ := split1(r); name == "put_chars" {
				if first && bare && len(e.before) > 0 {
					e.prompt = counted(e.before)
				}
				first = false
			}
		}
	} else {
		e.one(req)
	}
	e.show()
}

func (e edit23) one(req etf.Term) {
	name, args := split1(req)
	switch {
	case name == "beep":
		e.screen.beep()
	case len(args) == 2 && name == "put_chars":
		e.write(chars(args[1]), e.overwrite)
	case len(args) == 2 && name == "insert_chars":
		e.write(chars(args[1]), e.insert)
	case len(args) == 1 && name == "delete_chars":
		e.remove(number(args[0]))
	case len(args) == 1 && name == "move_rel":
		e.move(number(args[0]))
	}
}

// write writes text into the line; what ends with a newline stays on the screen.
func (e edit23) write(text []byte, into func([]byte)) {
	first, rest, newline := bytes.Cut(text, []byte("\n"))
	into(first)
	if !newline {
		return
	}
	e.leave()
	last := bytes.LastIndexByte(rest, '\n') + 1
	e.screen.print(append([]byte("\n"), rest[:last]...))
	e.insert(rest[last:])
}

// requests returns the list of {requests, List}, nil if req is something else.
func requests(req etf.Term) etf.List {
	name, args := split1(req)
	if name != "requests" || len(args) != 1 {
		return nil
	}
	list, _ := args[0].(etf.List)
	return list
}

// split1 splits {Name, Arg, …}; an atom has no arguments.
func split1(req etf.Term) (name etf.Atom, args etf.Tuple) {
	switch req := req.(type) {
	case etf.Atom:
		return req, nil
	case etf.Tuple:
		if len(req) > 0 {
			name, _ = req[0].(etf.Atom)
			return name, req[1:]
		}
	}
	return "", nil
}

// number returns the distance that t is; no line is longer than maxLine.
func number(t etf.Term) int {
	n, _ := t.(int64)
	return int(min(max(n, -maxLine), maxLine))
}
