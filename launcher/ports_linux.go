package launcher

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// lockPort reserves a port against all other beamctl processes, whoever's they are, by a unix socket in the abstract
// namespace. Such a name belongs to one socket at a time, in the same network namespace that the port is in, and
// it is free when the process that has it is gone, however it went: no file, nothing to be stale.
func lockPort(port int) (release func(), err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@beamctl/port/" + strconv.Itoa(port)}); err != nil {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRINUSE) {
			err = errReserved
		}
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	return func() { _ = unix.Close(fd) }, nil
}
