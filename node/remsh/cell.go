package remsh

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

const (
	esc = 0x1b
	// tabStop is how far apart the tab stops of terminals are.
	tabStop = 8
	// maxEscape is the length of the longest escape sequence that is passed on: a window title or a link.
	maxEscape = 2048
	// unprintable stands for what a terminal might take for a command.
	unprintable = "\ufffd"
)

// cell is one code point of a line that is edited, as it is shown, or an escape sequence, which takes no room.
type cell struct {
	text  string // "" takes no room either
	width int8
	bare  bool // is not counted by the line editor of OTP 26 and later
}

func (c cell) escape() bool { return len(c.text) > 0 && c.text[0] == esc }

// cells returns what text, without newlines, looks like in a line. Line editors of OTP 25 and before count each code
// point of an escape sequence, those since none (bareEscapes). Only colours are passed on: a line must stay where it
// is.
func cells(text []byte, bareEscapes bool) []cell {
	out := make([]cell, 0, len(text))
	for len(text) > 0 {
		if n := escapeLen(text); n > 0 {
			c := cell{bare: bareEscapes}
			if text[n-1] == 'm' && text[1] == '[' {
				c.text = string(text[:n])
			}
			out = append(out, c)
			for i := 1; i < n && !bareEscapes; i++ {
				out = append(out, cell{})
			}
			text = text[n:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		out = append(out, runeCell(r, text[:n]))
		text = text[n:]
	}
	return out
}

func runeCell(r rune, raw []byte) cell {
	switch {
	case r == '\t':
		return cell{text: " ", width: 1}
	case r == '\r':
		return cell{}
	case r < ' ' || r == 0x7f:
		return cell{text: fmt.Sprintf("^%c", r^0x40), width: 2}
	case r == utf8.RuneError || unicode.IsControl(r): // C1: CSI in one character
		return cell{text: unprintable, width: 1}
	}
	return cell{text: string(raw), width: int8(displaywidth.Rune(r))}
}

// escapeLen is the length of the escape sequence that text begins with, 0 if it begins with none that terminals and
// OTP's own driver (prim_tty:ansi_regexp/0) know: CSI, OSC, and those of two or three characters. Strings for devices
// (DCS, APC) are none: they would swallow what follows.
func escapeLen(text []byte) int {
	if len(text) < 2 || text[0] != esc {
		return 0
	}
	text = text[:min(len(text), maxEscape)]
	switch c := text[1]; {
	case c == '[':
		i := 2
		for i < len(text) && text[i] >= 0x20 && text[i] <= 0x3f {
			i++
		}
		if i < len(text) && text[i] >= 0x40 && text[i] <= 0x7e {
			return i + 1
		}
	case c == ']':
		for i := 2; i < len(text); i++ {
			switch {
			case text[i] == '\a':
				return i + 1
			case text[i] == esc && i+1 < len(text) && text[i+1] == '\\':
				return i + 2
			case text[i] < ' ':
				return 0
			}
		}
	case bytes.IndexByte([]byte("()*+"), c) >= 0: // a character set
		if len(text) > 2 && text[2] >= '0' && text[2] <= 'Z' {
			return 3
		}
	case bytes.IndexByte([]byte("78=>cDEHM"), c) >= 0:
		return 2
	}
	return 0
}

// columns is how many columns cells take.
func columns(cs []cell) (n int) {
	for _, c := range cs {
		n += int(c.width)
	}
	return n
}
