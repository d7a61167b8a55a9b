package disttest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// A trace is what the two ends of a connection said to each other, as text: one message a line,
//
//	> name      4e…              N flags 0x… creation … a@127.0.0.1
//	< message   836400…          {1,<0.1.0>,<0.2.0>} hello
//
// with the direction as the side sees it that dialled, the kind, the bytes without their length, and what they mean.
// Repeated bytes are written once: (61)*65000. A comment begins with #.

// Message is one line of a trace.
type Message struct {
	Out   bool   // said by the side that dialled
	Kind  string // name, status, challenge, reply, ack; then message, first, next (fragments), through, tick
	Bytes []byte // without their length
}

// Text is what the message means, for people and to compare two traces by.
func (m Message) Text() string {
	switch m.Kind {
	case "tick":
		return ""
	case "name", "challenge":
		return nameText(m.Kind, m.Bytes)
	case "status":
		return strings.Trim(strconv.QuoteToASCII(string(m.Bytes)), `"`)
	case "message":
		return controlText(m.Bytes[min(3, len(m.Bytes)):], false)
	case "through":
		return controlText(m.Bytes[min(2, len(m.Bytes)):], true)
	case "first", "next":
		if len(m.Bytes) < 18 {
			return "cut short"
		}
		seq, num := binary.BigEndian.Uint64(m.Bytes[2:]), binary.BigEndian.Uint64(m.Bytes[10:])
		text := fmt.Sprintf("sequence %d fragment %d", seq, num)
		if m.Kind == "first" {
			text += " " + controlText(m.Bytes[min(19, len(m.Bytes)):], false)
		}
		return text
	}
	return ""
}

func nameText(kind string, b []byte) string {
	fixed, challenge := 15, 0
	if kind == "challenge" {
		fixed, challenge = 19, 4
	}
	if len(b) < fixed {
		return "version 5"
	}
	return fmt.Sprintf("flags %#x creation %d %s", binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9+challenge:]), b[fixed:])
}

// maxText bounds what a line shows of a payload.
const maxText = 200

// controlText writes a control tuple and its payload, or as much of it as has come, as Erlang does.
func controlText(b []byte, through bool) string {
	ctl, rest, err := etf.Decode(b)
	if err != nil {
		return err.Error()
	}
	text := etf.FormatOptions{MaxBytes: maxText}.Format(ctl)
	if through && len(rest) > 0 {
		rest = rest[1:] // the version
	}
	if len(rest) == 0 {
		return text
	}
	payload, _, err := etf.Decode(rest)
	if err != nil {
		return text + " … (" + strconv.Itoa(len(rest)) + " bytes of it)"
	}
	return text + " " + etf.FormatOptions{MaxBytes: maxText}.Format(payload)
}

// Trace is a recorded session.
type Trace struct {
	Title    string
	Messages []Message
}

// Format writes the trace as text.
func (t *Trace) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", t.Title)
	for _, m := range t.Messages {
		dir := '<'
		if m.Out {
			dir = '>'
		}
		line := fmt.Sprintf("%c %-9s %s  %s", dir, m.Kind, appendHex(nil, m.Bytes), m.Text())
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// minRun is from how many equal bytes on they are written once.
const minRun = 16

func appendHex(dst, b []byte) []byte {
	for len(b) > 0 {
		run := 1
		for run < len(b) && b[run] == b[0] {
			run++
		}
		if run >= minRun {
			dst = fmt.Appendf(dst, "(%02x)*%d,", b[0], run)
			b = b[run:]
			continue
		}
		dst = hex.AppendEncode(dst, b[:1])
		b = b[1:]
	}
	return bytes.TrimSuffix(dst, []byte(","))
}

// maxBytes bounds a message in a text: no connection takes a larger one.
const maxBytes = dist.MaxFrame

func parseHex(s string) ([]byte, error) {
	var b []byte
	for s != "" {
		n, two := 1, ""
		if s[0] == '(' {
			inside, rest, ok := strings.Cut(s[1:], ")*")
			count, after, _ := strings.Cut(rest, ",")
			var err error
			if n, err = strconv.Atoi(count); !ok || err != nil || n < 0 || n > maxBytes-len(b) {
				return nil, fmt.Errorf("disttest: run %q", s[:min(len(s), 20)])
			}
			two, s = inside, after
		} else {
			if len(s) < 2 {
				return nil, fmt.Errorf("disttest: half a byte: %q", s)
			}
			two, s = s[:2], s[2:]
		}
		c, err := hex.DecodeString(two)
		if err != nil {
			return nil, err
		}
		b = append(b, bytes.Repeat(c, n)...)
	}
	return b, nil
}

// ParseTrace reads what Format wrote. The last column is not read: it follows from the bytes.
func ParseTrace(text string) (*Trace, error) {
	t := &Trace{}
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if title, ok := strings.CutPrefix(line, "#"); ok {
			t.Title = strings.TrimSpace(title)
			continue
		}
		dir, rest, _ := strings.Cut(line, " ")
		if dir != ">" && dir != "<" {
			return nil, fmt.Errorf("disttest: line %d has no direction", n+1)
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return nil, fmt.Errorf("disttest: line %d has no kind", n+1)
		}
		m := Message{Out: dir == ">", Kind: fields[0]}
		if m.Kind != "tick" {
			if len(fields) < 2 {
				return nil, fmt.Errorf("disttest: line %d has no bytes", n+1)
			}
			var err error
			if m.Bytes, err = parseHex(fields[1]); err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
		}
		t.Messages = append(t.Messages, m)
	}
	return t, nil
}

// Split divides the messages into those of the handshake and the others.
func (t *Trace) Split() (handshake, frames []Message) {
	i := slices.IndexFunc(t.Messages, func(m Message) bool { return m.Kind == "ack" }) + 1
	return t.Messages[:i], t.Messages[i:]
}

// Recorder is a net.Conn that keeps what goes through it in a trace. It stands at the side that dialled.
type Recorder struct {
	net.Conn

	mu      sync.Mutex
	trace   Trace
	in, out cutter
}

// cutter cuts one direction of a connection into messages.
type cutter struct {
	buf    []byte
	frames bool // the handshake is over
}

// Record wraps a connection over which nothing has gone yet.
func Record(nc net.Conn, title string) *Recorder {
	return &Recorder{Conn: nc, trace: Trace{Title: title}}
}

// Read reads, and keeps, what the other side says.
func (r *Recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.keep(&r.in, false, b[:n])
	return n, err
}

// Write keeps, and writes, what this side says.
func (r *Recorder) Write(b []byte) (int, error) {
	r.keep(&r.out, true, b)
	return r.Conn.Write(b)
}

// Trace returns what has been said so far.
func (r *Recorder) Trace() *Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Trace{Title: r.trace.Title, Messages: slices.Clone(r.trace.Messages)}
}

func (r *Recorder) keep(c *cutter, out bool, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.buf = append(c.buf, b...)
	for {
		head := 2
		if c.frames {
			head = 4
		}
		if len(c.buf) < head {
			return
		}
		n := 0
		for _, x := range c.buf[:head] {
			n = n<<8 | int(x)
		}
		if len(c.buf) < head+n {
			return
		}
		m := Message{Out: out, Bytes: slices.Clone(c.buf[head : head+n])}
		c.buf = c.buf[head+n:]
		m.Kind = r.kind(c, m)
		r.trace.Messages = append(r.trace.Messages, m)
	}
}

// kind names a message. The challenge reply is the last that the dialling side sends in the handshake, the ack the last
// that it gets.
func (r *Recorder) kind(c *cutter, m Message) string {
	b := m.Bytes
	switch {
	case !c.frames && len(b) > 0:
		switch {
		case b[0] == 's':
			return "status"
		case b[0] == 'r':
			c.frames = true
			return "reply"
		case b[0] == 'a':
			c.frames = true
			return "ack"
		case b[0] == 'c':
			return "complement"
		case m.Out:
			return "name"
		}
		return "challenge"
	case len(b) == 0:
		return "tick"
	case b[0] == 112:
		return "through"
	case len(b) > 1 && b[1] == 69:
		return "first"
	case len(b) > 1 && b[1] == 70:
		return "next"
	}
	return "message"
}
