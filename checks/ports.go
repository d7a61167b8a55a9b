package checks

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ProbePort tells whether a port can be had on every address, without listening on it for even a moment. With reuse, what
// a server of ours left in TIME_WAIT is no hindrance; without, it is: not every server reuses addresses.
func ProbePort(port int, reuse bool) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	var addr unix.Sockaddr = &unix.SockaddrInet6{Port: port}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if err != nil { // no IPv6 here
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
			return fmt.Errorf("port %d: %w", port, err)
		}
		addr = &unix.SockaddrInet4{Port: port}
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	unix.CloseOnExec(fd)
	if reuse {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err := unix.Bind(fd, addr); err != nil {
		return fmt.Errorf("port %d: %w", port, err)
	}
	return nil
}

// EphemeralPorts are those that the kernel gives to outgoing connections.
type EphemeralPorts struct {
	Lo, Hi   int
	Reserved [][2]int // but for these, both ends included
}

// Has tells whether the kernel may give the port to any outgoing connection.
func (e EphemeralPorts) Has(port int) bool {
	for _, r := range e.Reserved {
		if r[0] <= port && port <= r[1] {
			return false
		}
	}
	return e.Lo <= port && port <= e.Hi
}

// KernelPorts reads, once, the kernel's ephemeral range, without what an administrator has reserved.
func KernelPorts() EphemeralPorts { return kernelPorts() }

var kernelPorts = sync.OnceValue(func() EphemeralPorts {
	e := EphemeralPorts{Lo: 32768, Hi: 65535} // where it cannot be read: every system's range is in there
	if f := strings.Fields(readFile("/proc/sys/net/ipv4/ip_local_port_range")); len(f) == 2 {
		lo, err1 := strconv.Atoi(f[0])
		hi, err2 := strconv.Atoi(f[1])
		if err1 == nil && err2 == nil {
			e.Lo, e.Hi = lo, hi
		}
	}
	for part := range strings.SplitSeq(strings.TrimSpace(readFile("/proc/sys/net/ipv4/ip_local_reserved_ports")), ",") {
		lo, hi, ranged := strings.Cut(part, "-")
		if !ranged {
			hi = lo
		}
		l, err1 := strconv.Atoi(lo)
		h, err2 := strconv.Atoi(hi)
		if err1 == nil && err2 == nil {
			e.Reserved = append(e.Reserved, [2]int{l, h})
		}
	}
	return e
})

func readFile(path string) string {
	b, err := os.ReadFile(path) //nolint:gosec // under /proc
	if err != nil {
		return ""
	}
	return string(b)
}
