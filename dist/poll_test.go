//go:build linux

package dist_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
)

// ledger is a Receiver that notes who hands it what.
type ledger struct {
	t      *testing.T
	inside atomic.Int32
	over   atomic.Bool
	polled atomic.Int64          // messages that came by Poll
	got    atomic.Int64          // messages
	closed chan error            // takes one
	take   func(m message) error // may be nil
}

func newLedger(t *testing.T) *ledger { return &ledger{t: t, closed: make(chan error, 1)} }

func (l *ledger) Receive(_ *dist.Conn, ctl *dist.Control, payload []byte) error {
	assert.EqualValues(l.t, 1, l.inside.Add(1), "one at a time")
	defer l.inside.Add(-1)
	assert.False(l.t, l.over.Load(), "nothing after Closed")
	if byPoll() {
		l.polled.Add(1)
	}
	var err error
	if l.take != nil {
		err = l.take(message{*ctl, payload})
	}
	l.got.Add(1)
	return err
}

func (l *ledger) Closed(_ *dist.Conn, err error) {
	assert.Zero(l.t, l.inside.Load())
	assert.False(l.t, l.over.Swap(true), "Closed comes once")
	l.closed <- err
}

// byPoll tells whether it is called by Poll, not by the connection's goroutine.
func byPoll() bool {
	stack := make([]byte, 4096)
	return strings.Contains(string(stack[:runtime.Stack(stack, false)]), "(*Conn).Poll(")
}

// socketed is connected over a socket, which is what can be polled.
func socketed(t *testing.T, l *ledger) (*dist.Conn, *disttest.Peer) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	other, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	p := &disttest.Peer{Conn: other, T: t}
	shaken := make(chan error, 1)
	go func() { shaken <- p.Accept(them, cookie) }()
	c, err := dist.Dial(t.Context(), nc, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: l})
	require.NoError(t, err)
	require.NoError(t, <-shaken)
	t.Cleanup(func() { _ = c.Close() })
	return c, p
}

// framed is a message on the wire, to a process of ours, with a payload that starts with a number.
func framed(t *testing.T, number, size int) []byte {
	t.Helper()
	b, err := dist.AppendControl([]byte{131, 68, 0}, sendTo(ourPid))
	require.NoError(t, err)
	b = append(b, encode(t, numbered(number, size))...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func numbered(number, size int) etf.Term {
	return append(binary.BigEndian.AppendUint32(nil, uint32(number)), make([]byte, size)...)
}

func numberOf(t *testing.T, m message) int {
	got, _, err := etf.Decode(m.payload)
	if err != nil {
		t.Error(err)
		return -1
	}
	return int(binary.BigEndian.Uint32(got.([]byte)))
}

// until polls until that is so, or the test's patience ends.
func until(t *testing.T, c *dist.Conn, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		c.Poll(done)
		require.True(t, time.Now().Before(end))
	}
}

// Messages come one at a time and in order, whoever reads them, however they are cut, with ticks between them.
func TestPollOrder(t *testing.T) {
	const messages = 6000
	l := newLedger(t)
	l.take = func(m message) error {
		assert.Equal(t, int(l.got.Load()), numberOf(t, m))
		return nil
	}
	c, p := socketed(t, l)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range messages {
			size := 10
			if i%1000 == 999 {
				size = 300_000 // more than the read buffer
			}
			b := framed(t, i, size)
			if i%7 == 0 {
				b = append([]byte{0, 0, 0, 0}, b...)
			}
			for _, part := range [][]byte{b[:1+i%len(b)], b[1+i%len(b):]} {
				if _, err := p.Write(part); err != nil {
					return
				}
			}
			if i%50 == 0 {
				time.Sleep(time.Duration(i%3) * 150 * time.Microsecond) // so that either falls asleep
			}
		}
	})
	for range 2 { // a second caller comes while the first reads
		all.Go(func() {
			for l.got.Load() < messages && c.Err() == nil {
				want := l.got.Load() + 3
				c.Poll(func() bool { return l.got.Load() >= want })
				runtime.Gosched()
			}
		})
	}
	all.Wait()
	require.EqualValues(t, messages, l.got.Load())
	assert.Positive(t, l.polled.Load())
}

// What one read brings is all handed on before Poll returns: there may be no other reason to look at it for long.
func TestPollHandsOnAll(t *testing.T) {
	l := newLedger(t)
	c, p := socketed(t, l)
	for polled := false; !polled; {
		before := l.got.Load()
		b := append(framed(t, 1, 0), 0, 0, 0, 0)
		b = append(append(b, framed(t, 2, 0)...), framed(t, 3, 0)...)
		go func() { _, _ = p.Write(b) }()
		polled = c.Poll(func() bool { return l.got.Load() > before })
		if polled {
			require.Equal(t, before+3, l.got.Load())
		}
		require.Eventually(t, func() bool { return l.got.Load() == before+3 }, time.Minute, time.Millisecond)
	}
}

// Poll gives up when nothing comes; what comes then, or began to come before, is read by the connection.
func TestPollInVain(t *testing.T) {
	l := newLedger(t)
	c, p := socketed(t, l)
	b := framed(t, 0, 300_000)
	for _, part := range [][]byte{nil, b[:3], b[3:100], b[100:290_000]} {
		_, err := p.Write(part)
		require.NoError(t, err)
		for range 10 {
			require.False(t, c.Poll(func() bool { return l.got.Load() > 0 }))
		}
	}
	_, err := p.Write(b[290_000:])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return l.got.Load() == 1 }, time.Minute, time.Millisecond)
	assert.Zero(t, l.polled.Load())
}

// Poll does not wait for who reads already.
func TestPollBesideReader(t *testing.T) {
	l := newLedger(t)
	reading, goOn := make(chan struct{}), make(chan struct{})
	l.take = func(message) error {
		close(reading)
		<-goOn
		return nil
	}
	c, p := socketed(t, l)
	_, err := p.Write(framed(t, 0, 0))
	require.NoError(t, err)
	<-reading
	require.False(t, c.Poll(func() bool { assert.Fail(t, "asked for nothing"); return false }))
	close(goOn)
}

// Closed waits for a Receive that Poll has called.
func TestPollBeforeClosed(t *testing.T) {
	l := newLedger(t)
	polling := make(chan *dist.Conn, 1)
	l.take = func(message) error {
		if byPoll() {
			c := <-polling
			go func() { _ = c.Close() }()
			<-c.Done()
			time.Sleep(10 * time.Millisecond) // time for a Closed that comes too early
		}
		return nil
	}
	c, p := socketed(t, l)
	polling <- c
	for i := 0; c.Err() == nil; i++ {
		require.Less(t, i, 10_000)
		b := framed(t, i, 0)
		go func() { _, _ = p.Write(b) }()
		c.Poll(func() bool { return l.got.Load() > int64(i) })
		require.Eventually(t, func() bool { return l.got.Load() > int64(i) }, time.Minute, 100*time.Microsecond)
	}
	require.ErrorIs(t, <-l.closed, dist.ErrClosed)
}

// However a connection ends while it is polled, Closed comes once, after all messages, and says why.
func TestPollToTheEnd(t *testing.T) {
	refused := errors.New("not that")
	for name, end := range map[string]struct {
		do   func(c *dist.Conn, p *disttest.Peer)
		want error
	}{
		"closed by us": {func(c *dist.Conn, _ *disttest.Peer) { _ = c.Close() }, dist.ErrClosed},
		"closed by the peer": {func(_ *dist.Conn, p *disttest.Peer) {
			_, _ = p.Write(framed(t, 0, 0))
			_ = p.Close()
		}, io.EOF},
		"cut within a frame": {func(_ *dist.Conn, p *disttest.Peer) {
			_, _ = p.Write(framed(t, 0, 0)[:9])
			_ = p.Close()
		}, io.ErrUnexpectedEOF},
		"nonsense": {func(_ *dist.Conn, p *disttest.Peer) { _, _ = p.Write([]byte{0, 0, 0, 1, 7}) }, dist.ErrProtocol},
		"refused by the receiver": {func(_ *dist.Conn, p *disttest.Peer) {
			_, _ = p.Write(append(framed(t, 13, 0), framed(t, 14, 0)...))
		}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			byPolling := false
			refuses := end.want == refused                     //nolint:errorlint // the one above
			for i := 0; i < 20 || refuses && !byPolling; i++ { // either may notice
				require.Less(t, i, 10_000)
				l := newLedger(t)
				l.take = func(m message) error {
					switch numberOf(t, m) {
					case 13:
						byPolling = byPolling || byPoll()
						return refused
					case 14:
						assert.Fail(t, "nothing comes after an error")
					}
					return nil
				}
				c, p := socketed(t, l)
				go end.do(c, p)
				until(t, c, func() bool { return c.Err() != nil })
				require.ErrorIs(t, <-l.closed, end.want)
				require.ErrorIs(t, c.Err(), end.want)
				require.NoError(t, c.Close())
				require.False(t, c.Poll(func() bool { return false }))
			}
		})
	}
}
