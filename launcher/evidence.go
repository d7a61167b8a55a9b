package launcher

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// evidence is what a node that did not start left behind.
type evidence struct {
	name  string      // of the node, or "the build"
	exit  *exit       // nil while it runs
	lines []string    // the end of its output
	times []time.Time // of the lines; zero: not known
	first int         // number of lines[0], from 1
	file  string      // the log, as it is shown; "": it will be gone
	seen  error       // what it was waited for in vain
	late  bool        // its time was up
	dump  string      // what its crash dump says, and where that is
}

// tailLines is how much of a log an error that isn't understood shows.
const tailLines = 12

// tail returns the last lines, or says that there are none.
func (e evidence) tail() string {
	if len(e.lines) == 0 {
		return strings.TrimSpace("no output " + parens(e.file))
	}
	lines := e.lines[max(0, len(e.lines)-tailLines):]
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(shorten(l) + "\n")
	}
	return b.String() + e.at(len(e.lines)-1)
}

// at says in parentheses where line i is, or nothing of a log that will be gone.
func (e evidence) at(i int) string {
	if e.file == "" {
		return ""
	}
	return fmt.Sprintf("(%s:%d)", e.file, e.first+i)
}

func parens(text string) string {
	if text == "" {
		return ""
	}
	return "(" + text + ")"
}

// maxSeen keeps a quoted line, which may be a whole crash report, to what one reads.
const maxSeen = 400

func shorten(line string) string {
	if line = strings.TrimSpace(line); len(line) <= maxSeen {
		return line
	}
	return strings.ToValidUTF8(line[:maxSeen], "") + "…"
}

// maxEvidence is how much of a log's end is read.
const maxEvidence = 256 << 10

// sgr matches what sets colours and the like (ECMA-48, SGR), which rebar3 does without a terminal, too. A finding is read elsewhere.
var sgr = lazy(`\x1b\[[0-9;:]*m`)

// readEvidence reads the end of a log, without its colours.
func readEvidence(name, log string) evidence {
	e := evidence{name: name, file: log, first: 1}
	f, err := os.Open(log) //nolint:gosec // in our state directory
	if err != nil {
		return e
	}
	defer f.Close() //nolint:errcheck // read only
	if fi, err := f.Stat(); err == nil && fi.Size() > maxEvidence {
		skipped := io.LimitReader(f, fi.Size()-maxEvidence)
		if n, err := countLines(skipped); err == nil {
			e.first += n
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxEvidence))
	if err != nil {
		return e
	}
	text := strings.TrimRight(strings.ToValidUTF8(string(b), "?"), "\n")
	if text != "" {
		for line := range strings.SplitSeq(text, "\n") {
			at, words := stamped(line)
			e.lines, e.times = append(e.lines, sgr().ReplaceAllString(words, "")), append(e.times, at)
		}
	}
	return e
}

func countLines(r io.Reader) (int, error) {
	buf := make([]byte, 64<<10)
	n := 0
	for {
		k, err := r.Read(buf)
		n += strings.Count(string(buf[:k]), "\n")
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
