package epmd

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Lookups are what an EPMD is asked all the time, and each is a connection of its own: what a connection costs is what a
// lookup costs. So on Linux a listener of Listen is served as epmd's is, by system calls on bare descriptors, in a thread
// that waits in accept: no net.Conn, no goroutine and no poller between (which take half as long again as
// everything else). TCP_DEFER_ACCEPT hands out a connection when its request is there; one read and one write do.
// Whatever is not a whole lookup by then becomes a net.Conn and goes the usual way.

// deferAccept is for how many seconds the kernel keeps a connection that says nothing. Then it is accepted as it is, so
// that RequestTimeout and MaxPending see it. (When the server ends meanwhile, such a client learns of it when it
// speaks.)
const deferAccept = 1

// rawAcceptor accepts on a blocking descriptor.
type rawAcceptor struct {
	s     *Server
	asker string
	f     *os.File
	fd    int
	in    [requestBuffer]byte
	out   []byte
}

// newAcceptor takes l over, which nobody else has.
func newAcceptor(s *Server, l *net.TCPListener, asker string) (acceptor, error) {
	defer l.Close() //nolint:errcheck // File has duplicated it
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("epmd listen: %w", err)
	}
	a := &rawAcceptor{s: s, asker: asker, f: f, fd: int(f.Fd())} // Fd makes it blocking
	if err := unix.SetsockoptInt(a.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("epmd listen: TCP_DEFER_ACCEPT: %w", err)
	}
	return a, nil
}

// stop ends accept: for a listening socket Linux lets shutdown do what close would not.
func (a *rawAcceptor) stop() { _ = unix.Shutdown(a.fd, unix.SHUT_RDWR) }

func (a *rawAcceptor) close() { _ = a.f.Close() }

// accept answers lookups, and returns the next connection that is none, with what was read of it.
func (a *rawAcceptor) accept() (net.Conn, []byte, error) {
	for {
		fd, err := untilDone(func() (int, error) {
			fd, _, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			return fd, err
		})
		if err != nil {
			return nil, nil, os.NewSyscallError("accept4", err)
		}
		n, err := untilDone(func() (int, error) { return unix.Read(fd, a.in[:]) })
		if err != nil {
			n = 0 // EAGAIN: it said nothing in time. Anything else shows again
		}
		if a.lookup(fd, a.in[:n]) {
			_ = unix.Close(fd)
			continue
		}
		f := os.NewFile(uintptr(fd), "epmd client")
		conn, err := net.FileConn(f) // duplicates it
		_ = f.Close()
		if err != nil {
			return nil, nil, err
		}
		return conn, append([]byte(nil), a.in[:n]...), nil
	}
}

// lookup answers if b is a lookup. The reply fits into a new socket's buffer.
func (a *rawAcceptor) lookup(fd int, b []byte) bool {
	body, err := splitRequest(b)
	if err != nil || body[0] != opPort {
		return false
	}
	if r, err := parseRequest(body); err == nil {
		a.out = a.s.appendLookup(a.out[:0], r.name, a.asker)
		_, _ = untilDone(func() (int, error) { return unix.Write(fd, a.out) })
	}
	return true
}

func untilDone(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // an errno
			return n, err
		}
	}
}
