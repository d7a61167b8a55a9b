package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// What nodes print goes through a pipe to the guardian, and from there into their logs, rather than into the files directly:
// only so does each line get the time at which it was written (by which the logs of several nodes can be merged), can a log be
// rotated without losing anything, and does a full disk cost lines instead of giving the node an error for its output. When the guardian
// dies, the nodes do, too, so nobody is left who would write into a broken pipe.

const (
	// maxLog is how large a log becomes before it is rotated: days of a quiet node, minutes of one that runs wild, and what
	// an editor still opens.
	maxLog = 8 << 20
	// oldSuffix is the previous log's; with it, a node has 2*maxLog at most.
	oldSuffix = ".1"
	// maxStampedLine is after how much of a line without end the log may be rotated all the same.
	maxStampedLine = 1 << 20
	// pipeBuffer is what is read at once: half a pipe's capacity on Linux.
	pipeBuffer = 32 << 10
)

// stampLayout is what stands before each line, UTC: fixed in length, ordered as text, with the milliseconds that tell cause from effect.
const stampLayout = "2006-01-02T15:04:05.000Z "

// stamped splits a line of a log into its time and its text. A line without a time is all text.
func stamped(line string) (time.Time, string) {
	if len(line) < len(stampLayout) {
		return time.Time{}, line
	}
	t, err := time.Parse(stampLayout, line[:len(stampLayout)])
	if err != nil {
		return time.Time{}, line
	}
	return t, line[len(stampLayout):]
}

// logFile is a log with a time before each line. The pipes of several lives of a node may write to it.
type logFile struct {
	mu   sync.Mutex
	path string
	file *os.File // nil if it cannot be opened; it is tried again
	size int64
	line int    // bytes of the unfinished line
	buf  []byte // reused
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.size, l.line = f, fi.Size(), 0
	return nil
}

// reopen opens the file anew if it isn't there any more.
func (l *logFile) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		mine, err1 := l.file.Stat()
		named, err2 := os.Stat(l.path)
		if err1 == nil && err2 == nil && os.SameFile(mine, named) {
			return nil
		}
		_ = l.file.Close()
		l.file = nil
	}
	return l.open()
}

// write appends what a node has printed. Errors (the disk is full) cost what cannot be written.
func (l *logFile) write(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stamp := time.Now().UTC().AppendFormat(nil, stampLayout)
	out := l.buf[:0]
	for len(b) > 0 {
		if l.line == 0 {
			out = append(out, stamp...)
		}
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			end = len(b)
		}
		out = append(out, b[:end]...)
		l.line += end
		if b[end-1] == '\n' {
			l.line = 0
		}
		b = b[end:]
	}
	l.buf = out
	if l.file == nil && l.open() != nil {
		return
	}
	n, _ := l.file.Write(out)
	l.size += int64(n)
	if l.size > maxLog && (l.line == 0 || l.line > maxStampedLine) {
		l.rotate()
	}
}

// rotate begins a new file.
func (l *logFile) rotate() {
	if os.Rename(l.path, l.path+oldSuffix) != nil {
		return
	}
	_ = l.file.Close()
	l.file = nil
	_ = l.open() // or at the next write
}

// logPipe takes what one process, and those that it starts, print.
type logPipe struct {
	r       *os.File
	drained chan struct{} // gets one for each drain
}

// newLogPipe returns a pipe into l, and the end that the process gets.
func newLogPipe(l *logFile) (p *logPipe, w *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("log pipe: %w", err)
	}
	p = &logPipe{r: r, drained: make(chan struct{}, 1)}
	go p.copy(l)
	return p, w, nil
}

// copy ends when the last process that has the pipe's other end has ended.
func (p *logPipe) copy(l *logFile) {
	defer p.r.Close() //nolint:errcheck // read only
	defer close(p.drained)
	buf := make([]byte, pipeBuffer)
	for {
		n, err := p.r.Read(buf)
		l.write(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = p.r.SetReadDeadline(time.Time{})
			p.readRest(l, buf)
			p.drained <- struct{}{}
		case err != nil:
			return
		}
	}
}

// maxRest bounds what is read of a process that has ended: a pipe's capacity, as large as root may make it.
const maxRest = 1 << 20

// readRest reads what is in the pipe, and doesn't wait for more.
func (p *logPipe) readRest(l *logFile, buf []byte) {
	conn, err := p.r.SyscallConn()
	if err != nil {
		return
	}
	for rest := maxRest; rest > 0; {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			n, _ = syscall.Read(int(fd), buf)
			return true // also if there was nothing
		})
		if err != nil || n <= 0 {
			return
		}
		l.write(buf[:n])
		rest -= n
	}
}

// drainTimeout bounds the wait for a log: its disk may hang.
const drainTimeout = 5 * time.Second

// drain returns when everything that was printed before is in the log.
func (p *logPipe) drain() {
	if p.r.SetReadDeadline(time.Now()) != nil {
		return // it is read to its end
	}
	select {
	case <-p.drained:
	case <-time.After(drainTimeout):
	}
}
