package epmd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

// script is a Dialer to a peer that runs f on its end of each connection.
type script func(conn net.Conn)

func (f script) DialContext(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close() //nolint:errcheck // a pipe
		f(there)
	}()
	return here, nil
}

// replying reads the request's first bytes and sends reply.
func replying(reply string) script {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = io.WriteString(conn, reply)
	}
}

// calls are all calls of a Client.
func calls(ctx context.Context, c *epmd.Client) map[string]func() error {
	return map[string]func() error{
		"lookup":   func() error { _, err := c.Lookup(ctx, "x"); return err },
		"names":    func() error { _, err := c.Names(ctx); return err },
		"dump":     func() error { _, err := c.Dump(ctx); return err },
		"kill":     func() error { return c.Kill(ctx) },
		"stop":     func() error { return c.Stop(ctx, "x") },
		"register": func() error { _, err := c.Register(ctx, epmd.Node{Name: "x"}); return err },
	}
}

// TestUnreachable: an EPMD that is not there is another error than a name that is not.
func TestUnreachable(t *testing.T) {
	e := epmdtest.Start(t)
	require.NoError(t, e.Server.Close())
	for op, call := range calls(t.Context(), e.Client()) {
		err := call()
		opErr, ok := errors.AsType[*epmd.OpError](err)
		require.True(t, ok, "%s: %v", op, err)
		assert.Equal(t, op, opErr.Op)
		assert.Equal(t, e.Addr, opErr.Addr)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NotErrorIs(t, err, epmd.ErrNotRegistered)
	}
}

// TestBadPeer: what is no EPMD's answer is an OpError that says so.
func TestBadPeer(t *testing.T) {
	for name, reply := range map[string]string{
		"ssh":          "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
		"http":         "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400",
		"other name":   "w\x00\x12\x67M\x00\x00\x06\x00\x05\x00\x01y\x00\x00",
		"half a reply": "w\x00\x12",
		"endless":      strings.Repeat("w\x00\x12\x67M\x00\x00\x06\x00\x05\xff\xff", 1<<19),
	} {
		c := &epmd.Client{Addr: "test:1", Dialer: replying(reply)}
		for op, call := range calls(t.Context(), c) {
			err := call()
			opErr, ok := errors.AsType[*epmd.OpError](err)
			require.True(t, ok, "%s: %s: %v", name, op, err)
			assert.Equal(t, op, opErr.Op)
			if name != "half a reply" {
				require.ErrorIs(t, err, epmd.ErrProtocol, "%s: %s", name, op)
			}
		}
	}
}

// TestSilentPeer: a caller's ctx ends every call, and so do 10 seconds.
func TestSilentPeer(t *testing.T) {
	silent := script(func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for op := range calls(t.Context(), nil) {
		synctest.Test(t, func(t *testing.T) {
			c := &epmd.Client{Dialer: silent}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, calls(ctx, c)[op](), context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(start))

			require.ErrorIs(t, calls(t.Context(), c)[op](), context.DeadlineExceeded)
			assert.Equal(t, 11*time.Second, time.Since(start))

			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			require.ErrorIs(t, calls(ctx, c)[op](), context.Canceled)
			assert.Equal(t, 12*time.Second, time.Since(start))
		})
	}
}

func TestBadNames(t *testing.T) {
	c := &epmd.Client{} // never dialled
	_, err := c.Lookup(t.Context(), "x@host")
	require.ErrorIs(t, err, epmd.ErrBadName)
	_, err = c.Register(t.Context(), epmd.Node{})
	require.ErrorIs(t, err, epmd.ErrBadName)
	require.ErrorIs(t, c.Stop(t.Context(), "a\nb"), epmd.ErrBadName)
	_, err = c.Register(t.Context(), epmd.Node{Name: "x", Extra: make([]byte, 1021)})
	require.Error(t, err)
}

// TestOldReply: an EPMD from before OTP 23 answers with 16 bits.
func TestOldReply(t *testing.T) {
	c := &epmd.Client{Dialer: replying("y\x00\x00\x03")}
	r, err := c.Register(t.Context(), epmd.Node{Name: "x"})
	require.NoError(t, err)
	assert.EqualValues(t, 3, r.Creation())
	require.NoError(t, r.Close())
}

// TestKeepRetries scripts an EPMD that ends after a second and then refuses twice: Keep comes back every 2 seconds.
func TestKeepRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var tried []time.Duration
		c := &epmd.Client{Dialer: script(func(conn net.Conn) {
			tried = append(tried, time.Since(start))
			_, _ = conn.Read(make([]byte, 1024))
			switch len(tried) {
			case 1:
				_, _ = io.WriteString(conn, "v\x00\x00\x00\x00\x09")
				time.Sleep(time.Second)
			case 2:
				_, _ = io.WriteString(conn, "v\x01\x00\x00\x00\x63")
			case 4:
				_, _ = io.WriteString(conn, "v\x00\x00\x00\x00\x0a")
				_, _ = io.Copy(io.Discard, conn)
			}
		})}
		var changes []error
		k, err := c.Keep(t.Context(), epmd.Node{Name: "x"}, func(err error) { changes = append(changes, err) })
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, 3 * time.Second, 5 * time.Second, 7 * time.Second}, tried)
		require.Len(t, changes, 4)
		require.ErrorIs(t, changes[0], net.ErrClosed)
		require.ErrorIs(t, changes[1], epmd.ErrNameTaken)
		require.ErrorIs(t, changes[2], io.ErrUnexpectedEOF)
		require.NoError(t, changes[3])
		assert.EqualValues(t, 9, k.Creation(), "the running node's creation stays")
		require.NoError(t, k.Close())
		require.NoError(t, k.Close())
	})
}

// TestKeepClose ends a Kept while it waits, and while it registers.
func TestKeepClose(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			c := &epmd.Client{Dialer: script(func(conn net.Conn) {
				_, _ = conn.Read(make([]byte, 1024))
				if calls++; calls == 1 {
					_, _ = io.WriteString(conn, "v\x00\x00\x00\x00\x09")
					return
				}
				_, _ = io.Copy(io.Discard, conn) // never answers
			})}
			k, err := c.Keep(t.Context(), epmd.Node{Name: "x"}, nil)
			require.NoError(t, err)
			time.Sleep(after)
			start := time.Now()
			require.NoError(t, k.Close())
			assert.Zero(t, time.Since(start))
		})
	}
	_, err := (&epmd.Client{Dialer: replying("v\x01\x00\x00\x00\x63")}).Keep(t.Context(), epmd.Node{Name: "x"}, nil)
	require.ErrorIs(t, err, epmd.ErrNameTaken, "the first registration's error is returned")
}

// TestKeepThroughRestart restarts the server on its port.
func TestKeepThroughRestart(t *testing.T) {
	e := epmdtest.Start(t)
	changes := make(chan error, 10)
	k, err := e.Client().Keep(t.Context(), epmd.Node{Name: "x", Port: 4711}, func(err error) { changes <- err })
	require.NoError(t, err)
	defer k.Close() //nolint:errcheck // nil
	require.NoError(t, e.Server.Close())
	require.Error(t, <-changes)
	e = epmdtest.StartAt(t, e.Addr, epmd.Config{})
	eventuallyNames(t, e.Client(), "x")
}
