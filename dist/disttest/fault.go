package disttest

import (
	"io"
	"net"
	"sync"
)

// Faulty is a net.Conn that breaks in a chosen way. The zero values break nothing.
type Faulty struct {
	net.Conn
	// Cut closes the stream towards the reader after so many bytes. 0: never.
	Cut int
	// Dribble gives one byte a Read, as a slow network may.
	Dribble bool
	// Flip inverts the lowest bit of the byte at this position of what is read, counted from 1. 0: none.
	Flip int

	mu   sync.Mutex
	seen int
}

// Read reads through the faults.
func (f *Faulty) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Dribble && len(b) > 1 {
		b = b[:1]
	}
	if f.Cut > 0 {
		if f.seen >= f.Cut {
			_ = f.Close()
			return 0, io.EOF
		}
		b = b[:min(len(b), f.Cut-f.seen)]
	}
	n, err := f.Conn.Read(b)
	if at := f.Flip - f.seen - 1; f.Flip > 0 && at >= 0 && at < n {
		b[at] ^= 1
	}
	f.seen += n
	return n, err
}
