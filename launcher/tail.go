package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// tail reads the lines of a file that grows and is rotated: first what was rotated away before, then the file itself, and the
// one that takes its place.
type tail struct {
	path    string
	fresh   bool // only what comes from now on, not what was rotated away
	file    *os.File
	reader  *bufio.Reader
	partial string // an unfinished last line
	rotated bool   // the file is complete, another has its name
}

// next returns the next complete line, without its end, or false if there is none yet.
func (t *tail) next() (line string, ok bool, err error) {
	for {
		if t.file == nil && !t.open() {
			return "", false, nil
		}
		s, err := t.reader.ReadString('\n')
		t.partial += s
		switch {
		case err == nil:
			line, t.partial = strings.TrimRight(t.partial, "\r\n"), ""
			return line, true, nil
		case !errors.Is(err, io.EOF):
			return "", false, fmt.Errorf("log: %w", err)
		case t.rotated: // and read to its end since that is known
			t.close()
			if t.partial != "" {
				line, t.partial = t.partial, ""
				return line, true, nil
			}
		default:
			if t.rotated = t.wasRotated(); !t.rotated {
				return "", false, nil
			}
		}
	}
}

// open opens the older file, if there is one and it wasn't read before, else the present one.
func (t *tail) open() bool {
	var err error
	if !t.fresh {
		t.file, err = os.Open(t.path + oldSuffix)
	}
	if t.fresh || err != nil {
		t.file, err = os.Open(t.path)
	}
	t.fresh = true
	if err != nil {
		t.file = nil
		return false // not there yet
	}
	t.reader, t.rotated = bufio.NewReader(t.file), false
	return true
}

// wasRotated tells whether another file has the name now. One that was removed has not been rotated.
func (t *tail) wasRotated() bool {
	mine, err1 := t.file.Stat()
	named, err2 := os.Stat(t.path)
	return err1 == nil && err2 == nil && !os.SameFile(mine, named)
}

// rest returns all further lines that there are now.
func (t *tail) rest() ([]string, error) {
	var lines []string
	for {
		l, ok, err := t.next()
		if !ok {
			return lines, err
		}
		lines = append(lines, l)
	}
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}
