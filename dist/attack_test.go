package dist_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
)

// shaken is how many bytes an acceptor called them says in the handshake.
var shaken = 2 + 3 + 2 + 19 + len(them.Name) + 2 + 17

// small is what a real node said in a session after the handshake, without large terms, and where its messages end.
func small(t *testing.T) (stream []byte, ends []int) {
	t.Helper()
	_, frames := traces(t)["otp25.trace"].Split()
	for _, m := range frames {
		if !m.Out && len(m.Bytes) < 1000 {
			stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(m.Bytes))), m.Bytes...)
			ends = append(ends, len(stream))
		}
	}
	require.GreaterOrEqual(t, len(ends), 5)
	return stream, ends
}

// faulty plays a session over a connection with a fault, and returns what came of it: messages, and the error that ended it.
func faulty(t *testing.T, stream []byte, fault *disttest.Faulty) (messages int, err error) {
	t.Helper()
	nc, p := disttest.Pipe(t)
	fault.Conn = nc
	played := make(chan struct{})
	go func() {
		defer close(played)
		if p.Accept(them, cookie) == nil {
			_, _ = p.Write(stream)
		}
		_ = p.Close()
	}()
	in := newInbox()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := dist.Dial(ctx, fault, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: in})
	if err == nil {
		err = <-in.closed
		_ = c.Close()
	}
	<-played
	return len(in.msgs), err
}

// A session cut at every byte ends there, with what had come whole.
func TestSessionCutAnywhere(t *testing.T) {
	stream, ends := small(t)
	for cut := 1; cut <= len(stream); cut++ {
		got, err := faulty(t, stream, &disttest.Faulty{Cut: shaken + cut})
		want := 0
		for want < len(ends) && ends[want] <= cut {
			want++
		}
		require.Equal(t, want, got, "cut at %d", cut)
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "cut at %d: %v", cut, err)
	}
}

// A session with a wrong bit in any byte ends with an error, at the latest with the connection; what came before is what was said.
func TestSessionFlippedAnywhere(t *testing.T) {
	stream, ends := small(t)
	for at := 1; at <= shaken+len(stream); at++ {
		got, err := faulty(t, stream, &disttest.Faulty{Flip: at})
		require.Error(t, err, "byte %d", at)
		before := 0
		for before < len(ends) && shaken+ends[before] < at {
			before++
		}
		require.GreaterOrEqual(t, got, before, "byte %d: %v", at, err)
		require.LessOrEqual(t, got, len(ends))
	}
}

// Handshake messages of any length that is too long are refused for what they say, not read.
func TestHandshakeTooLong(t *testing.T) {
	for _, long := range []bool{false, true} { // over TLS the length has 4 bytes
		head := []byte{0xff, 0xff}
		if long {
			head = []byte{0xff, 0xff, 0xff, 0xff}
		}
		for _, accept := range []bool{false, true} {
			nc, p := disttest.Pipe(t)
			go func() { _, _ = io.Copy(io.Discard, p) }()
			go func() { _, _ = p.Write(head) }()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			before := allocated()
			cfg := dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: nobody{}, TLS: long}
			var err error
			if accept {
				_, err = dist.Accept(ctx, nc, cfg, ok)
			} else {
				_, err = dist.Dial(ctx, nc, cfg)
			}
			cancel()
			require.ErrorIs(t, err, dist.ErrProtocol)
			assert.Less(t, allocated()-before, uint64(1<<20))
		}
	}
}

// A peer that speaks TLS is told from one that speaks nonsense, by what it answers a plain handshake and by how it begins its own.
func TestHandshakeWithTLS(t *testing.T) {
	for _, c := range []struct {
		record []byte
		tls    bool
	}{
		{[]byte{22, 3, 1, 0, 5}, true},        // a hello
		{[]byte{21, 3, 3, 0, 2, 2, 10}, true}, // a fatal alert: unexpected_message
		{[]byte{22, 4, 1, 0, 5}, false},       // there is no such version
	} {
		nc, p := disttest.Pipe(t)
		go func() { _, _ = io.Copy(io.Discard, p) }()
		go func() { _, _ = p.Write(c.record) }()
		_, err := dist.Dial(t.Context(), nc, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: nobody{}})
		require.ErrorIs(t, err, dist.ErrProtocol)
		assert.Equal(t, c.tls, errors.Is(err, dist.ErrSpeaksTLS))
	}
}

// A peer that falls silent at any point of the handshake costs the acceptor its deadline, to the moment, and nothing after it.
func TestAcceptSilence(t *testing.T) {
	for step, want := range []string{"name", "challenge reply"} {
		synctest.Test(t, func(t *testing.T) {
			nc, p := disttest.Pipe(t)
			go func() {
				if step > 0 {
					i := dist.NewInitiator(us, them.Name, cookie, 1, false)
					first, _ := i.Start(nil)
					_ = p.WriteHandshake(first)
				}
				_, _ = io.Copy(io.Discard, p)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			defer cancel()
			begun := time.Now()
			_, err := dist.Accept(ctx, nc, dist.Config{Local: them, Cookie: cookie, Receiver: nobody{}}, ok)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, want)
			assert.Equal(t, 7*time.Second, time.Since(begun))
		})
	}
	// So does one that sends a byte now and then: the deadline is the handshake's, not the message's.
	synctest.Test(t, func(t *testing.T) {
		nc, p := disttest.Pipe(t)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = p.Write([]byte{0, 200})
			for err := error(nil); err == nil; time.Sleep(time.Second) {
				_, err = p.Write([]byte{'N'})
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		_, err := dist.Accept(ctx, nc, dist.Config{Local: them, Cookie: cookie, Receiver: nobody{}}, ok)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-over
	})
}
