package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// streams is what a command reads and writes. Results go to out; progress and errors go to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
	outTTY   bool // out is a terminal
	errTTY   bool // err is one
	width    int  // of the terminal behind err; 0: unknown

	outSize func() (width, height int) // of the terminal behind out, as it is now; nil: there is none
}

// outWidth is how wide the terminal behind out is; 0: unknown.
func (s *streams) outWidth() int {
	if s.outSize == nil {
		return 0
	}
	width, _ := s.outSize()
	return width
}

func stdStreams() streams {
	s := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	s.outTTY = term.IsTerminal(int(os.Stdout.Fd()))
	s.errTTY = term.IsTerminal(int(os.Stderr.Fd()))
	if s.outTTY {
		s.outSize = func() (width, height int) {
			width, height, _ = term.GetSize(int(os.Stdout.Fd()))
			return width, height
		}
	}
	if s.errTTY {
		s.width, _, _ = term.GetSize(int(os.Stderr.Fd()))
	}
	return s
}

// color is an SGR sequence.
type color string

const (
	bold   color = "\x1b[1m"
	red    color = "\x1b[31m"
	green  color = "\x1b[32m"
	yellow color = "\x1b[33m"
	dim    color = "\x1b[2m"
	reset        = "\x1b[0m"
)

// nodeColors tell the lines of different nodes apart.
var nodeColors = []color{"\x1b[36m", "\x1b[35m", "\x1b[33m", "\x1b[34m", "\x1b[32m", "\x1b[31m"}

// paint colours text if on.
func paint(on bool, c color, text string) string {
	if !on || text == "" {
		return text
	}
	return string(c) + text + reset
}
