//go:build linux || darwin

package dist

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much of what the peer has no room for yet the kernel takes from us. It would take megabytes, all of which a small message
// behind a bulk transfer would have to wait for; two fragments keep the wire as busy.
const maxUnsent = 2 * fragmentSize

// inline writes to a socket without waiting.
type inline struct{ raw syscall.RawConn }

// newInline returns nil for a connection that is no socket.
func newInline(nc net.Conn) *inline {
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
	return &inline{raw}
}

// write writes what the socket takes at once of head and body.
func (i *inline) write(head, body []byte) (n int, err error) {
	rawErr := i.raw.Write(func(fd uintptr) bool {
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
	if rawErr != nil {
		return 0, rawErr
	}
	if err == syscall.EAGAIN { //nolint:errorlint // an errno
		return 0, nil
	}
	return max(n, 0), err
}
