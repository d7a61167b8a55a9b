package dist_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type message struct {
	ctl     dist.Control
	payload []byte
}

// inbox is a Receiver that keeps what comes.
type inbox struct {
	msgs   chan message
	closed chan error
}

func newInbox() *inbox { return &inbox{make(chan message, 1000), make(chan error, 1)} }

func (i *inbox) Receive(_ *dist.Conn, ctl *dist.Control, payload []byte) error {
	i.msgs <- message{*ctl, append([]byte(nil), payload...)}
	return nil
}
func (i *inbox) Closed(_ *dist.Conn, err error) { i.closed <- err }

// connected returns a connection and the scripted peer at its other end.
func connected(t *testing.T, cfg dist.Config) (*dist.Conn, *disttest.Peer, *inbox) {
	t.Helper()
	nc, p := disttest.Pipe(t)
	shaken := make(chan error, 1)
	go func() { shaken <- p.Accept(them, cookie) }()
	in := newInbox()
	cfg.Local, cfg.Peer, cfg.Cookie, cfg.Receiver = us, them.Name, cookie, in
	c, err := dist.Dial(t.Context(), nc, cfg)
	require.NoError(t, err)
	require.NoError(t, <-shaken)
	t.Cleanup(func() { _ = c.Close() })
	return c, p, in
}

var (
	ourPid   = etf.Pid{Node: "us@127.0.0.1", ID: 1, Creation: 5}
	theirPid = etf.Pid{Node: "them@127.0.0.1", ID: 2, Creation: 6}
)

func sendTo(p etf.Pid) *dist.Control { return &dist.Control{Op: dist.OpSend, To: p} }

func encode(t testing.TB, x etf.Term) []byte {
	t.Helper()
	b, err := etf.Append(nil, x)
	require.NoError(t, err)
	return b
}

func TestMessageOnTheWire(t *testing.T) {
	c, p, in := connected(t, dist.Config{})
	go func() { assert.NoError(t, c.Send(t.Context(), sendTo(theirPid), encode(t, etf.Atom("hi")))) }()
	b, err := p.ReadFrame()
	require.NoError(t, err)
	assert.Equal(t, []byte{131, 68, 0}, b[:3])
	var ctl dist.Control
	payload, err := dist.ParseControl(b[3:], &ctl)
	require.NoError(t, err)
	assert.Equal(t, dist.OpSend, ctl.Op)
	assert.Equal(t, theirPid, ctl.To)
	assert.Equal(t, encode(t, etf.Atom("hi")), payload)

	// The same frame is understood by us; so is one of a peer that speaks pass-through.
	require.NoError(t, p.WriteFrame(b))
	m := <-in.msgs
	assert.Equal(t, theirPid, m.ctl.To)
	through := append([]byte{112, 131}, b[3:len(b)-len(payload)]...)
	through = append(append(through, 131), payload...)
	require.NoError(t, p.WriteFrame(through))
	assert.Equal(t, m, <-in.msgs)
}

// A node without fragments gets pass-through frames, also of large messages.
func TestPassThroughOut(t *testing.T) {
	nc, p := disttest.Pipe(t)
	old := them
	old.Flags &^= dist.FlagFragments
	shaken := make(chan error, 1)
	go func() { shaken <- p.Accept(old, cookie) }()
	c, err := dist.Dial(t.Context(), nc, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: newInbox()})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, <-shaken)
	link := &dist.Control{Op: dist.OpLink, From: ourPid, To: theirPid}
	wantLink, err := dist.AppendControl([]byte{112, 131}, link)
	require.NoError(t, err)
	for _, size := range []int{1, 300_000} {
		payload := encode(t, make([]byte, size))
		go func() {
			assert.NoError(t, c.Send(t.Context(), sendTo(theirPid), payload))
			assert.NoError(t, c.Send(t.Context(), link, nil))
		}()
		want, err := dist.AppendControl([]byte{112, 131}, sendTo(theirPid))
		require.NoError(t, err)
		b, err := p.ReadFrame()
		require.NoError(t, err)
		require.True(t, bytes.Equal(append(append(want, 131), payload...), b))
		b, err = p.ReadFrame()
		require.NoError(t, err)
		require.Equal(t, wantLink, b)
	}
}

func fragment(tag byte, seq, num uint64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{131, tag}, seq)
	b = binary.BigEndian.AppendUint64(b, num)
	if tag == 69 {
		b = append(b, 0)
	}
	return append(b, data...)
}

func TestFragmentsInterleaved(t *testing.T) {
	_, p, in := connected(t, dist.Config{})
	msg := func(x etf.Term) []byte {
		b, err := dist.AppendControl(nil, sendTo(ourPid))
		require.NoError(t, err)
		return append(b, encode(t, x)...)
	}
	a, b := msg(bytes.Repeat([]byte("a"), 100)), msg(bytes.Repeat([]byte("b"), 100))
	for _, f := range [][]byte{
		fragment(69, 7, 3, a[:50]), fragment(69, 8, 2, b[:60]), fragment(70, 7, 2, a[50:80]),
		fragment(70, 8, 1, b[60:]), fragment(70, 7, 1, a[80:]), fragment(69, 9, 1, a),
	} {
		require.NoError(t, p.WriteFrame(f))
	}
	for _, want := range []string{"b", "a", "a"} {
		got, _, err := etf.Decode((<-in.msgs).payload)
		require.NoError(t, err)
		assert.Equal(t, bytes.Repeat([]byte(want), 100), got)
	}
}

// What no node sends ends the connection with ErrProtocol.
func TestBadFrames(t *testing.T) {
	good := func() []byte {
		b, err := dist.AppendControl(nil, sendTo(ourPid))
		require.NoError(t, err)
		return append(b, encode(t, int64(1))...)
	}()
	// An exit up to its reason.
	exit := append([]byte{104, 4, 97, 3}, append(encode(t, theirPid), encode(t, ourPid)...)...)
	for name, frames := range map[string][][]byte{
		"not a version":       {{130, 68, 0}},
		"atom cache":          {append([]byte{131, 68, 1}, good...)},
		"unknown kind":        {{131, 71, 0}},
		"no control":          {{131, 68, 0}},
		"control of garbage":  {{131, 68, 0, 255, 255}},
		"control not a tuple": {{131, 68, 0, 97, 1}},
		"unknown op":          {append([]byte{131, 68, 0}, encode(t, etf.Tuple{int64(99)})...)},
		"missing payload":     {append([]byte{131, 68, 0}, encode(t, etf.Tuple{int64(2), etf.Atom(""), ourPid})...)},
		"wrong type":          {append([]byte{131, 68, 0}, append(encode(t, etf.Tuple{int64(2), etf.Atom(""), int64(3)}), 97, 1)...)},
		"fragment 0":          {fragment(69, 1, 0, good)},
		"too many fragments":  {fragment(69, 1, 1<<60, good)},
		"out of order":        {fragment(69, 1, 3, good), fragment(70, 1, 1, good)},
		"begins twice":        {fragment(69, 1, 3, good), fragment(69, 1, 3, good)},
		"no beginning":        {fragment(70, 1, 3, good)},
		"short fragment":      {{131, 69, 0, 0}},
		"short pass-through":  {{112, 131}},
		"deep control":        {append([]byte{131, 68, 0}, bytes.Repeat([]byte{104, 1}, 1_000_000)...)},
		"deep reason":         {append(append([]byte{131, 68, 0}, exit...), bytes.Repeat([]byte{108, 0, 0, 0, 1}, 1_000_000)...)},
		"a bomb for a reason": {append(append([]byte{131, 68, 0}, exit...), 80, 0xff, 0xff, 0xff, 0xff, 0x78, 0x9c)},
		"a list of 2^32":      {append(append([]byte{131, 68, 0}, exit...), 108, 0xff, 0xff, 0xff, 0xff, 106)},
	} {
		t.Run(name, func(t *testing.T) {
			_, p, in := connected(t, dist.Config{})
			begun, before := time.Now(), allocated()
			for _, f := range frames {
				_ = p.WriteFrame(f)
			}
			require.ErrorIs(t, <-in.closed, dist.ErrProtocol)
			assert.Less(t, allocated()-before, uint64(64<<20), "frames of up to 5 MB, and their terms")
			assert.Less(t, time.Since(begun), time.Minute)
		})
	}
}

// A claimed length costs memory only as the bytes come.
func TestHostileLengths(t *testing.T) {
	_, p, in := connected(t, dist.Config{})
	_, err := p.Write([]byte{0xff, 0xff, 0xff, 0xff})
	require.NoError(t, err)
	require.ErrorIs(t, <-in.closed, dist.ErrProtocol)

	_, p, in = connected(t, dist.Config{})
	before := allocated()
	_, err = p.Write(binary.BigEndian.AppendUint32(nil, dist.MaxFrame))
	require.NoError(t, err)
	_, err = p.Write([]byte{131, 68, 0})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.ErrorIs(t, <-in.closed, io.ErrUnexpectedEOF)
	assert.Less(t, allocated()-before, uint64(8<<20), "of 128 MB")
}

// allocated is how much this process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func TestTooManySequences(t *testing.T) {
	_, p, in := connected(t, dist.Config{})
	for i := range uint64(dist.MaxSequences + 1) {
		if p.WriteFrame(fragment(69, i, 2, []byte{104, 0})) != nil {
			break
		}
	}
	require.ErrorIs(t, <-in.closed, dist.ErrProtocol)
}

// A peer that does not read: small sends are taken into a bounded queue, then each waits for its own deadline.
func TestPeerThatDoesNotRead(t *testing.T) {
	c, _, _ := connected(t, dist.Config{})
	payload := encode(t, bytes.Repeat([]byte("x"), 10_000))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	sent := 0
	var err error
	for sent = 0; err == nil && sent < 1000; sent++ {
		err = c.Send(ctx, sendTo(theirPid), payload)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, sent, 100, "about 2 × 256 KiB are queued")
	require.NoError(t, c.Err(), "the connection lives")
}

// A fragmented message whose sender has given up is still finished, so that the peer is not left with half of it, before what that sender sends
// next; others do not wait.
func TestAbandonedFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := connected(t, dist.Config{})
		from := func(id uint32) *dist.Control {
			return &dist.Control{Op: dist.OpSendSender, From: etf.Pid{Node: ourPid.Node, ID: id, Creation: ourPid.Creation}, To: theirPid}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := c.Send(ctx, from(1), encode(t, make([]byte, 2<<20)))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, c.Send(ctx, from(1), encode(t, int64(1))), context.DeadlineExceeded)
		for _, id := range []uint32{1, 2} {
			go func() { assert.NoError(t, c.Send(t.Context(), from(id), encode(t, int64(1)))) }()
			synctest.Wait()
		}
		var got []any
		for len(got) < 33+2 {
			b, err := p.ReadFrame()
			require.NoError(t, err)
			if len(b) == 0 {
				continue // a tick
			}
			if b[1] != 68 {
				got = append(got, binary.BigEndian.Uint64(b[10:18]))
				continue
			}
			var ctl dist.Control
			_, err = dist.ParseControl(b[3:], &ctl)
			require.NoError(t, err)
			if ctl.Op == dist.OpSendSender { // and not a probe
				got = append(got, ctl.From.(etf.Pid).ID)
			}
		}
		assert.Equal(t, uint32(1), got[len(got)-1])
		want := uint64(33)
		for _, g := range got {
			if n, ok := g.(uint64); ok {
				require.Equal(t, want, n)
				want--
			}
		}
		require.NoError(t, c.Close())
	})
}

func TestTicksOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, in := connected(t, dist.Config{TickTime: 8 * time.Second})
		ticks := readTicks(p)
		start := time.Now()
		for range 20 { // the peer ticks, and so we stay
			time.Sleep(time.Second)
			require.NoError(t, p.WriteFrame(nil))
		}
		synctest.Wait()
		assert.GreaterOrEqual(t, len(ticks), 19)
		require.NoError(t, c.Err())
		err := <-in.closed // and now it does not
		require.ErrorIs(t, err, dist.ErrTickTimeout)
		assert.InDelta(t, 28, time.Since(start).Seconds(), 1.1)
		require.NoError(t, c.Close())
	})
}

// readTicks tells when the peer was sent a tick.
func readTicks(p *disttest.Peer) <-chan time.Time {
	ticks := make(chan time.Time, 100)
	go func() {
		for {
			b, err := p.ReadFrame()
			if err != nil {
				return
			}
			if len(b) == 0 {
				ticks <- time.Now()
			}
		}
	}()
	return ticks
}

// A node with a short net_ticktime does not wait for our pace: its ticks are answered.
func TestTickIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := connected(t, dist.Config{})
		ticks := readTicks(p)
		const quarter = 250 * time.Millisecond
		for range 12 { // each second one may be answered by the answer to the one before
			for range 2 {
				time.Sleep(quarter)
				require.NoError(t, p.WriteFrame(nil))
			}
			synctest.Wait()
			require.NotEmpty(t, ticks)
			for range len(ticks) {
				<-ticks
			}
		}
		require.NoError(t, c.Close())
	})
}

// Two of us do not answer each other's answers.
func TestTickAnswersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		counted := disttest.Record(a, "")
		accepted := make(chan *dist.Conn, 1)
		go func() {
			c, err := dist.Accept(t.Context(), b, dist.Config{Local: them, Cookie: cookie, Receiver: newInbox()},
				func(dist.Identity) dist.Admission { return dist.Admission{Status: dist.StatusOK} })
			assert.NoError(t, err)
			accepted <- c
		}()
		c, err := dist.Dial(t.Context(), counted, dist.Config{Local: us, Peer: them.Name, Cookie: cookie, Receiver: newInbox()})
		require.NoError(t, err)
		const seconds = 10
		time.Sleep(seconds * time.Second)
		synctest.Wait()
		_, frames := counted.Trace().Split()
		assert.GreaterOrEqual(t, len(frames), 2*(seconds-1))
		assert.LessOrEqual(t, len(frames), 4*seconds, "a tick each second from both sides, each with one answer at most")
		require.NoError(t, c.Close())
		require.NoError(t, (<-accepted).Close())
	})
}

func TestClose(t *testing.T) {
	c, p, in := connected(t, dist.Config{})
	require.NoError(t, c.Close())
	require.ErrorIs(t, <-in.closed, dist.ErrClosed)
	require.ErrorIs(t, c.Err(), dist.ErrClosed)
	require.ErrorIs(t, c.Send(t.Context(), sendTo(theirPid), []byte{97, 1}), dist.ErrClosed)
	_, err := p.ReadFrame()
	assert.ErrorIs(t, err, io.EOF, "the peer is told: %v", err)
}

func TestCookieIsNeverPrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, sprintf(verb, cookie), "secret")
		assert.NotContains(t, sprintf(verb, struct{ C dist.Cookie }{cookie}), "secret")
		assert.NotContains(t, sprintf(verb, &dist.Config{Cookie: cookie}), "secret")
	}
}
