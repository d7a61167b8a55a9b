package launcher

import (
	"slices"
	"strings"
	"time"
)

// lastMoment is how long before its end a node that ran says what ends it: an application gives up in less.
const lastMoment = 5 * time.Second

// crashCause says in a line why m, which had been started, is down: what the catalogue knows, else its last words; and where the
// crash dump is. Of a node that was ready, only what it said of trouble in its last moment can be that. It is called when m has just ended.
func (s *supervisor) crashCause(m *member, l *life) string {
	e := s.evidence(m)
	e.exit = &l.exit
	ran := l.ready.Load()
	if ran {
		e.since(time.Now().Add(-lastMoment))
		e.dropMild()
	}
	if ran && l.exit.Signal != 0 { // who is shot has no last words
		e.lines = nil
	}
	cause := e.explain().Cause
	if cause == "" && l.exit.Signal == 0 && e.dump == "" { // a dump has better words
		e.dropMild()
		cause = e.lastWords()
	}
	return strings.Trim(cause+"; "+strings.TrimSpace(e.dump), "; ")
}

// since leaves of the evidence the lines from then on: a log has those of all lives of a node.
func (e *evidence) since(t time.Time) {
	t = t.Truncate(time.Millisecond) // as the lines are stamped
	first := slices.IndexFunc(e.times, func(at time.Time) bool { return !at.Before(t) })
	if first < 0 {
		first = len(e.lines)
	}
	e.lines, e.times, e.first = e.lines[first:], e.times[first:], e.first+first
}

// logHead is how an entry of the loggers of OTP and Elixir begins, in their own formats and in those that are usual: with its level.
var logHead = lazy(`^(?:=([A-Z]+)(?: [A-Z]+)* REPORT====|(?:(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d\S* )?(?:\S+=\S+ )*\[?(debug|info|notice|warning|warn|error|critical|alert|emergency)(?:\]|:))`)

// mildLevels are those of entries that end nothing.
var mildLevels = []string{"debug", "info", "notice", "warning", "warn", "progress"}

// sameEntry is within what time all lines of one entry come, which is written at once.
const sameEntry = 100 * time.Millisecond

// heads returns, for each line, the index of the line that begins its log entry, and that entry's level. A line of no entry is its own head,
// without a level.
func (e *evidence) heads() (of []int, levels []string) {
	head, level := -1, ""
	for i, line := range e.lines {
		if m := logHead().FindStringSubmatch(line); m != nil {
			head, level = i, strings.ToLower(m[1]+m[2])
		} else if head >= 0 && e.times[i].Sub(e.times[head]) > sameEntry {
			head = -1
		}
		if head < 0 {
			of, levels = append(of, i), append(levels, "")
		} else {
			of, levels = append(of, head), append(levels, level)
		}
	}
	return of, levels
}

// dropMild empties the lines of log entries that tell of no error; they keep their numbers.
func (e *evidence) dropMild() {
	_, levels := e.heads()
	e.lines = slices.Clone(e.lines)
	for i, level := range levels {
		if slices.Contains(mildLevels, level) {
			e.lines[i] = ""
		}
	}
}

// lastWords returns the last line, or the beginning of the log entry that it belongs to; "": there is none.
func (e *evidence) lastWords() string {
	of, _ := e.heads()
	for i, line := range slices.Backward(e.lines) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		head := of[i]
		if strings.HasSuffix(e.lines[head], "===") && head < i { // "=ERROR REPORT==== … ===" says nothing itself
			head++
		}
		return shorten(e.lines[head])
	}
	return ""
}
