package epmd_test

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
)

// peers runs a benchmark against our server and against the system's epmd, each in a process of its own.
func peers(b *testing.B, bench func(*testing.B, *epmd.Client)) {
	b.Run("ours", func(b *testing.B) { bench(b, &epmd.Client{Addr: startOurs(b)}) })
	b.Run("epmd", func(b *testing.B) { bench(b, &epmd.Client{Addr: startEPMD(b)}) })
}

// BenchmarkLookup asks for a registered name, each time on a new connection, as nodes do. "raw" asks by bare system
// calls, so that it is the server that is measured; "client" by our Client.
func BenchmarkLookup(b *testing.B) {
	for _, nodes := range []int{10, 300} {
		for _, clients := range []int{1, 8} {
			b.Run(fmt.Sprintf("raw/nodes=%d/clients=%d", nodes, clients), func(b *testing.B) {
				peers(b, func(b *testing.B, c *epmd.Client) {
					registerMany(b, c, nodes)
					inParallel(b, clients, func() error { return rawLookup(c.Addr, "node5") })
				})
			})
			b.Run(fmt.Sprintf("client/nodes=%d/clients=%d", nodes, clients), func(b *testing.B) {
				peers(b, func(b *testing.B, c *epmd.Client) {
					registerMany(b, c, nodes)
					inParallel(b, clients, func() error {
						_, err := c.Lookup(b.Context(), "node5")
						return err
					})
				})
			})
		}
	}
}

// BenchmarkRegister registers a node and gives the name back.
func BenchmarkRegister(b *testing.B) {
	peers(b, func(b *testing.B, c *epmd.Client) {
		for i := 0; b.Loop(); i++ {
			r, err := c.Register(b.Context(), epmd.Node{Name: fmt.Sprintf("node%d", i), Port: 4711})
			require.NoError(b, err)
			require.NoError(b, r.Close())
		}
	})
}

func registerMany(b *testing.B, c *epmd.Client, n int) {
	b.Helper()
	for i := range n {
		r, err := c.Register(b.Context(), epmd.Node{Name: fmt.Sprintf("node%d", i), Port: 4711})
		require.NoError(b, err)
		b.Cleanup(func() { _ = r.Close() })
	}
}

// rawLookup does what ei does: blocking system calls, until the EPMD closes the connection.
func rawLookup(addr, name string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	p, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd) //nolint:errcheck // a socket
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: p, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, append([]byte{0, byte(1 + len(name)), 122}, name...)); err != nil {
		return err
	}
	b := make([]byte, 512)
	for got := 0; ; {
		n, err := syscall.Read(fd, b[got:])
		if err != nil {
			return err
		}
		if got += n; n == 0 {
			if want := 12 + len(name) + 2; got != want || b[1] != 0 {
				return fmt.Errorf("a reply of %d bytes, not %d: %q", got, want, b[:got])
			}
			return nil
		}
	}
}

// inParallel shares the benchmark's calls of f among n goroutines.
func inParallel(b *testing.B, n int, f func() error) {
	b.Helper()
	work := make(chan struct{}, 1024)
	errs := make(chan error, n)
	for range n {
		go func() {
			var err error
			for range work {
				if e := f(); e != nil {
					err = e
				}
			}
			errs <- err
		}()
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	for range n {
		require.NoError(b, <-errs)
	}
}
