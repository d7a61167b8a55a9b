package dist

import "golang.org/x/sys/unix"

const (
	// maxUnread is about how much the kernel takes in that we have yet to read. It would grow to what it may, 33 MB
	// have been seen, all of which a small message behind a bulk transfer would have to wait for.
	maxUnread = 512 << 10
	// nearby is the shortest time to a peer and back, in µs, up to which so much is enough: half a gigabyte a second.
	// Farther ones need more under way.
	nearby = 1000
)

// boundUnread bounds what the kernel takes in for a connection with a peer that is near.
func boundUnread(fd int) {
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Min_rtt <= nearby {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, maxUnread)
	}
}
