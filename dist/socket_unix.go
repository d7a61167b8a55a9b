//go:build linux || darwin

package dist

import (
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much of what the peer has no room for yet the kernel takes from us. It would take megabytes, all of
// which a small message behind a bulk transfer would have to wait for; two fragments keep the wire as busy.
const maxUnsent = 2 * fragmentSize

// socket reads and writes without waiting.
type socket struct {
	raw syscall.RawConn
	got attempt
	try func(fd uintptr) // got.now, made once: Poll tries often
}

// attempt is one to read.
type attempt struct {
	p   []byte
	n   int
	err error
}

func (a *attempt) now(fd uintptr) { a.n, a.err = readNow(fd, a.p) }

// newSocket returns nil for a connection that is no socket.
func newSocket(nc net.Conn) *socket {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) { // only makes it quicker
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		boundUnread(int(fd))
	})
	s := &socket{raw: raw}
	s.try = s.got.now
	return s
}

// write writes what the socket takes at once of head and body.
func (s *socket) write(head, body []byte) (n int, err error) {
	rawErr := s.raw.Write(func(fd uintptr) bool {
		for {
			if len(body) == 0 {
				n, err = syscall.Write(int(fd), head)
			} else {
				n, err = unix.Writev(int(fd), [][]byte{head, body})
			}
			if err != syscall.EINTR { //nolint:errorlint // an errno
				return true
			}
		}
	})
	return result(n, err, rawErr)
}

// read reads what has come; 0: nothing has. One reads at a time.
func (s *socket) read(p []byte) (int, error) {
	s.got = attempt{p: p}
	rawErr := s.raw.Control(s.try)
	return result(s.got.n, s.got.err, rawErr)
}

// await waits until something has come and reads it into room. It holds mu while it reads, and when it returns, but not
// while it waits: who holds mu meanwhile may read what this one is woken for.
func (s *socket) await(mu *sync.Mutex, room func() []byte) (n int, err error) {
	for {
		held := false
		rawErr := s.raw.Read(func(fd uintptr) bool {
			if held = mu.TryLock(); !held {
				return true
			}
			n, err = readNow(fd, room())
			if held = err != syscall.EAGAIN; !held { //nolint:errorlint // an errno
				mu.Unlock()
			}
			return held
		})
		if held {
			return result(n, err, rawErr)
		}
		mu.Lock() // not above: who holds it may be closing the socket, which waits until nobody is up there
		if rawErr == nil {
			n, rawErr = s.read(room())
		}
		if n > 0 || rawErr != nil {
			return n, rawErr
		}
		mu.Unlock()
	}
}

func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if n == 0 && err == nil {
			return 0, io.EOF
		}
		if err != syscall.EINTR { //nolint:errorlint // an errno
			return n, err
		}
	}
}

// result is that of an attempt; 0: it would have had to wait.
func result(n int, err, rawErr error) (int, error) {
	switch {
	case rawErr != nil:
		return 0, rawErr
	case err == syscall.EAGAIN: //nolint:errorlint // an errno
		return 0, nil
	}
	return max(n, 0), err
}
