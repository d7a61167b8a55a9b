package diagnose

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Source is a file to read, of a node or of the whole cluster.
type Source struct {
	Node string // "": of the cluster
	Name string // what it is called in the report and in a bundle: nodes/node1/console.log
	Open func() (io.ReadCloser, error)
}

// LogFile is one log that was read.
type LogFile struct {
	Name    string `json:"name"`
	Node    string `json:"node,omitempty"`
	Lines   int    `json:"lines"`
	Bytes   int64  `json:"bytes"`
	Problem string `json:"problem,omitempty"` // it could not be read, or not to its end
}

// Group is all entries of the logs that say the same, but for pids, numbers and the like.
type Group struct {
	Kind    Kind      `json:"kind"`
	Level   string    `json:"level"` // of the logger: error, warning…
	Title   string    `json:"title"`
	Count   int       `json:"count"`
	Nodes   []string  `json:"nodes"`
	Due     int       `json:"due"`            // how many are due to nodes that were down then, or to guests that came and went
	First   time.Time `json:"first,omitzero"` // zero: the log has no times
	Last    time.Time `json:"last,omitzero"`
	Where   string    `json:"where"`   // file:line of the last
	Example string    `json:"example"` // the last one, cut; without states and messages

	times []time.Time // of some, for a plot
	text  string      // the whole example
}

// Logs is what the logs have to say.
type Logs struct {
	Files   []LogFile `json:"files"`
	Entries int       `json:"entries"` // of any level
	Groups  []Group   `json:"groups"`  // of level warning and above: the gravest kind first, then the most frequent
	More    int       `json:"more"`    // entries that are in no group, since there are too many different ones
}

const (
	// maxLogBytes is how much of one log is read: its end, which is of interest, is a launched node's whole log, and a
	// day of most others.
	maxLogBytes = 64 << 20
	// maxGroups bounds what is kept: nobody reads more, and a log may be hostile.
	maxGroups = 500
	// maxEntry is what is kept of one entry: a crash report with its stack.
	maxEntry = 16 << 10
	// maxTimes is how many times of a group are kept for a plot.
	maxTimes = 500
)

// kinds returns the most frequent group of each kind, of those which are not due.
func (l *Logs) kinds() map[Kind]*Group {
	m := map[Kind]*Group{}
	for i := range l.Groups {
		if g := &l.Groups[i]; m[g.Kind] == nil && g.Due < g.Count {
			m[g.Kind] = g
		}
	}
	return m
}

// entry is one thing that was logged.
type entry struct {
	time   time.Time
	level  string
	origin string // what the lines of one entry have in common, where each has a header of its own
	text   strings.Builder
	line   int
}

// scanner groups the entries of several logs.
type scanner struct {
	r      *Report // knows when nodes were down
	since  time.Time
	hide   *Redactor
	out    Logs
	groups map[string]*Group
}

// scanLogs reads logs in any of the formats of OTP's and Elixir's loggers, of lager and of RabbitMQ, with or without
// beamctl's time before each line.
func (r *Report) scanLogs(sources []Source, since time.Time, hide *Redactor) Logs {
	s := &scanner{r: r, since: since, hide: hide, out: Logs{Files: []LogFile{}, Groups: []Group{}}, groups: map[string]*Group{}}
	for _, src := range sources {
		s.out.Files = append(s.out.Files, s.file(src))
	}
	for _, g := range s.groups {
		g.Example, g.text = hide.Text(quote(g.text)), ""
		s.out.Groups = append(s.out.Groups, *g)
	}
	slices.SortFunc(s.out.Groups, func(a, b Group) int {
		if d := a.Kind.rank() - b.Kind.rank(); d != 0 {
			return d
		}
		if d := b.Count - a.Count; d != 0 {
			return d
		}
		return strings.Compare(a.Title, b.Title)
	})
	return s.out
}

func (s *scanner) file(src Source) LogFile {
	f := LogFile{Name: src.Name, Node: src.Node}
	r, err := src.Open()
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	defer r.Close() //nolint:errcheck // read only
	cut, err := skipToLast(r)
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if cut {
		f.Problem = fmt.Sprintf("only the last %s of it were read", Size(maxLogBytes))
	}
	in := &section{s: s, src: src}
	err = eachLine(io.LimitReader(r, maxLogBytes), func(line string, left int64) bool {
		f.Lines++
		f.Bytes += int64(len(line)) + left + 1
		in.read(line, f.Lines)
		return true
	})
	in.end()
	if err != nil {
		f.Problem = errors.Join(errors.New("not read to its end"), err).Error()
	}
	return f
}

// skipToLast leaves out of a file, if it can, what stands before its last maxLogBytes, and tells whether that is anything.
func skipToLast(r io.Reader) (cut bool, err error) {
	file, ok := r.(io.Seeker)
	if !ok {
		return false, nil
	}
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return false, nil //nolint:nilerr // a pipe: it is read from where it is
	}
	_, err = file.Seek(max(0, end-maxLogBytes), io.SeekStart)
	return end > maxLogBytes, err
}

// section is one log being read.
type section struct {
	s    *scanner
	src  Source
	now  *entry // not complete yet
	last class  // of the entry before: a crash is told by a server, then by its process
}

var (
	ansi = lazy("\x1b\\[[0-9;]*m")
	// 2026-11-22T23:47:34.216Z, which beamctl writes before each line.
	stamp = lazy(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `)
	// =ERROR REPORT==== 22-Nov-2026::23:47:32.892612 ===
	reportHead = lazy(`^=([A-Z ]+) REPORT==== (\d{1,2}-[A-Z][a-z]{2}-\d{4}::\d\d:\d\d:\d\d)`)
	// 2026-11-22T23:47:34.216702+00:00 error: text; 2026-11-22 23:47:34.216702+00:00 [error] <0.1.0>@mod:fun:12 text
	isoHead = lazy(`^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?) \[?(debug|info|notice|warning|warn|error|critical|alert|emergency)(?:\]|:) ?(<[\d.]+>)?(?:@\S+)? ?(.*)`)
	// 23:47:37.166 request_id=x [error] text
	elixirHead = lazy(`^(\d\d:\d\d:\d\d\.\d+) (?:\S+=\S+ )*\[(debug|info|notice|warning|warn|error|critical|alert|emergency)\] +(.*)`)
	// What the VM itself says, without a header.
	fatalHead = lazy(`^(?:Kernel pid terminated|Runtime terminating during boot|[{(]?"?[iI]nit terminating in do_boot|Could not start kernel pid|\w+: Cannot (?:re)?allocate |no more index entries in |[a-z_]+: Cannot allocate)`)
)

// levels are the loggers' levels for the words of the old headers; unknown ones are errors.
var levels = map[string]string{
	"ERROR": "error", "CRASH": "error", "SUPERVISOR": "error", "WARNING": "warning", "INFO": "info", "PROGRESS": "info", "NOTICE": "notice", "DEBUG": "debug",
	"CRITICAL": "critical", "ALERT": "alert", "EMERGENCY": "emergency",
}

// read takes the next line.
func (in *section) read(line string, number int) {
	if strings.Contains(line, "\x1b[") {
		line = ansi().ReplaceAllString(line, "")
	}
	var at time.Time
	if m := stamp().FindString(line); m != "" {
		at, _ = time.Parse("2006-01-02T15:04:05.000Z ", m)
		line = line[len(m):]
	}
	e := header(line)
	if e == nil {
		if in.now != nil && in.now.text.Len() < maxEntry {
			in.now.text.WriteString(line + "\n")
		}
		return
	}
	if e.origin != "" && in.now != nil && in.now.origin == e.origin { // RabbitMQ repeats the header in every line
		if in.now.text.Len() < maxEntry {
			in.now.text.WriteString(e.text.String())
		}
		return
	}
	in.end()
	if !at.IsZero() {
		e.time = at // with a date and a zone
	}
	e.line = number
	in.now = e
}

// header returns the entry that the line begins, nil if it begins none.
func header(line string) *entry {
	if line == "" {
		return nil
	}
	e := &entry{}
	switch c := line[0]; {
	case c == '=':
		m := reportHead().FindStringSubmatch(line)
		if m == nil {
			return nil
		}
		e.level = levels[m[1]]
		if e.level == "" {
			e.level = "error"
		}
		e.time, _ = time.ParseInLocation("2-Jan-2006::15:04:05", m[2], time.Local)
	case c >= '0' && c <= '9':
		if m := isoHead().FindStringSubmatch(line); m != nil {
			e.time, e.level = isoTime(m[1]), m[2]
			if m[3] != "" {
				e.origin = m[1] + m[3]
			}
			e.text.WriteString(m[4] + "\n")
		} else if m := elixirHead().FindStringSubmatch(line); m != nil {
			e.level = m[2] // its time has no date
			e.text.WriteString(m[3] + "\n")
		} else {
			return nil
		}
	default:
		if !fatalHead().MatchString(line) {
			return nil
		}
		e.level = "emergency"
		e.text.WriteString(line + "\n")
	}
	if e.level == "warn" {
		e.level = "warning"
	}
	return e
}

// isoTime reads a time with or without a zone; without one it is this machine's.
func isoTime(s string) time.Time {
	s = strings.Replace(strings.Replace(s, " ", "T", 1), ",", ".", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t
		}
	}
	return time.Time{}
}

// end completes the entry that is being read.
func (in *section) end() {
	e := in.now
	in.now = nil
	if e == nil || (!e.time.IsZero() && e.time.Before(in.s.since)) {
		return
	}
	in.s.out.Entries++
	text := strings.TrimSpace(e.text.String())
	c := classify(e.level, text)
	if c.kind == "" {
		return
	}
	folded := c.kind == KindProcess && c.who != "" && c.who == in.last.who
	if in.last = c; folded {
		return // the same crash, told by proc_lib as well
	}
	in.s.count(in.src, e, c, text)
}

// count adds an entry to its group.
func (s *scanner) count(src Source, e *entry, c class, text string) {
	title := s.hide.Text(c.title)
	key := string(c.kind) + normal(title)
	g := s.groups[key]
	if g == nil {
		if len(s.groups) == maxGroups {
			s.out.More++
			return
		}
		g = &Group{Kind: c.kind, Level: e.level, Title: title, Nodes: []string{}}
		s.groups[key] = g
	}
	g.Count++
	if s.r.due(c, e.time) {
		g.Due++
	}
	if src.Node != "" && !slices.Contains(g.Nodes, src.Node) {
		g.Nodes = append(g.Nodes, src.Node)
	}
	if at := e.time.UTC(); !e.time.IsZero() {
		if g.First.IsZero() || at.Before(g.First) {
			g.First = at
		}
		if len(g.times) < maxTimes {
			g.times = append(g.times, at)
		}
		if at.Before(g.Last) {
			return
		}
		g.Last = at
	}
	g.Where = fmt.Sprintf("%s:%d", src.Name, e.line)
	g.text = text
}

var changing = []struct {
	what pattern
	by   string
}{
	{lazy(`#?(?:PID|Ref|Port|Reference|Function)?<[\d.]+>`), "<>"},
	{lazy(`#(?:Ref|Port|Fun|Function)<[^>]*>`), "<>"},
	{lazy(`\b0x[0-9a-fA-F]+\b`), "0x"},
	{lazy(`\b\d+(?:\.\d+)?\b`), "0"},
}

// normal makes texts equal that differ only in what changes each time.
func normal(s string) string {
	for _, c := range changing {
		s = c.what().ReplaceAllString(s, c.by)
	}
	return s
}
