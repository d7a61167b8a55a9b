package node

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// fuzzTarget is a node with something to hit: a process, a server, a function and an alias. A peer is connected to it in memory.
type fuzzTarget struct {
	t     *testing.T
	n     *Node
	peer  net.Conn
	echo  chan struct{} // closed when the node ends the connection
	terms []etf.Term    // what control messages may hold
}

const fuzzCookie = "fuzz"

func newFuzzTarget(t *testing.T) *fuzzTarget {
	t.Helper()
	n, err := Start(Config{Name: "go@127.0.0.1", Cookie: dist.NewCookie(fuzzCookie)})
	require.NoError(t, err)
	plain, err := n.NewProcess()
	require.NoError(t, err)
	plain.TrapExit(true)
	require.NoError(t, n.Register("plain", plain))
	_, err = n.StartServer("server", Server{Call: func(_ context.Context, _ Caller, req etf.Term) (etf.Term, error) { return req, nil }})
	require.NoError(t, err)
	n.Handle("go", "echo", func(_ context.Context, args []etf.Term) (etf.Term, error) { return etf.List(args), nil })
	alias, err := plain.Alias(t.Context(), "go@127.0.0.1")
	require.NoError(t, err)
	them := etf.Pid{Node: "raw@127.0.0.1", ID: 1, Creation: 1}
	ours := plain.Self()
	old := ours
	old.Creation++
	return &fuzzTarget{t: t, n: n, echo: make(chan struct{}), terms: []etf.Term{
		ours, n.Whereis("server").Self(), old, pidOf(n.identity(nil), 1), pidOf(n.identity(nil), 0), them,
		etf.Atom("plain"), etf.Atom("server"), etf.Atom("net_kernel"), etf.Atom("rex"), globalServer, etf.Atom("nobody"),
		alias, refOf(n.identity(nil), 1, refOfCall), refOf(n.identity(nil), 1, refOfMonitor),
		etf.Ref{Node: "raw@127.0.0.1", Creation: 1, Len: 3, ID: [etf.MaxRefWords]uint32{1, 2, 3}},
		etf.Atom("monitor"), etf.Atom("link"), etf.Atom("erpc"), etf.Atom("execute_call"), etf.Atom("execute_cast"),
		etf.Atom("go"), etf.Atom("echo"), etf.Atom("kill"), etf.Atom("normal"), int64(0), int64(4),
		etf.List{},
		etf.List{int64(1)},
		etf.Atom("$gen_call"), etf.Atom("$gen_cast"), etf.Atom("is_auth"), etf.Atom("call"), etf.Atom("system"), etf.Atom("io_request"),
		etf.Atom("put_chars"), etf.Atom("unicode"), []byte("text"),
		etf.Tuple{them, etf.Atom("tag")},
		etf.Atom("init_connect"),
	}}
}

// connect performs the handshake over a pipe and takes all that the node says from then on.
func (f *fuzzTarget) connect() {
	f.t.Helper()
	ours, theirs := net.Pipe()
	f.peer = theirs
	l := newLink(f.n)
	accepted := make(chan error, 1)
	go func() {
		var err error
		l.conn, err = dist.Accept(context.Background(), ours, dist.Config{
			Local:  dist.Identity{Name: f.n.cfg.Name, Creation: f.n.creation, Flags: f.n.flags()},
			Cookie: f.n.cfg.Cookie, Receiver: l,
		}, f.n.admit)
		if err == nil {
			err = f.n.install(l, true)
		}
		accepted <- err
	}()
	h := dist.NewInitiator(dist.Identity{Name: "raw@127.0.0.1", Creation: 1, Flags: f.n.flags()}, f.n.cfg.Name, f.n.cfg.Cookie, 1, true)
	msg, err := h.Start(nil)
	require.NoError(f.t, err)
	say := func(msg []byte) {
		_, err := theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
		require.NoError(f.t, err)
	}
	for say(msg); !h.Done(); {
		var head [2]byte
		_, err := io.ReadFull(theirs, head[:])
		require.NoError(f.t, err)
		msg := make([]byte, binary.BigEndian.Uint16(head[:]))
		_, err = io.ReadFull(theirs, msg)
		require.NoError(f.t, err)
		replies, err := h.Receive(msg)
		require.NoError(f.t, err)
		for _, r := range replies {
			say(r)
		}
	}
	require.NoError(f.t, <-accepted)
	go func() { defer close(f.echo); _, _ = io.Copy(io.Discard, theirs) }()
}

// frame sends one frame; false if the node has ended the connection.
func (f *fuzzTarget) frame(b []byte) bool {
	_ = f.peer.SetWriteDeadline(time.Now().Add(fuzzTime))
	_, err := f.peer.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	if err != nil {
		require.ErrorIs(f.t, err, io.ErrClosedPipe, "the node does not read")
	}
	return err == nil
}

// script turns bytes into terms and control messages: small numbers choose from what is there.
type script struct {
	b     []byte
	terms []etf.Term
}

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) pick() etf.Term { return s.terms[int(s.byte())%len(s.terms)] }

// term is one of the terms, or a tuple or list of some.
func (s *script) term(depth int) etf.Term {
	c := s.byte()
	if n := int(c & 7); depth < 4 && c >= 192 {
		elems := make([]etf.Term, n)
		for i := range elems {
			elems[i] = s.term(depth + 1)
		}
		if c >= 224 {
			return etf.List(elems)
		}
		return etf.Tuple(elems)
	}
	return s.terms[int(c)%len(s.terms)]
}

// operations are all that a peer may send, with those that no Go node sends.
var operations = []byte{1, 2, 3, 4, 6, 7, 8, 19, 20, 21, 22, 24, 26, 28, 29, 31, 33, 35, 36, 12, 13, 16, 18, 23, 25, 27, 30, 32, 34}

// arity is the number of elements behind the operation.
var arity = map[byte]int{
	1: 2, 2: 2, 3: 3, 4: 2, 6: 3, 7: 2, 8: 3, 12: 3, 13: 4, 16: 4, 18: 4, 19: 3, 20: 3, 21: 4, 22: 2, 23: 3, 24: 2, 25: 3, 26: 2, 27: 3,
	28: 3, 29: 5, 30: 6, 31: 4, 32: 5, 33: 2, 34: 3, 35: 3, 36: 3,
}

// next is a frame: a control message with a payload, or the rest of the bytes as they are.
func (s *script) next() []byte {
	b := []byte{131, 68, 0}
	c := s.byte()
	if c == 255 {
		b = append(b, s.b...)
		s.b = nil
		return b
	}
	op := operations[int(c)%len(operations)]
	ctl := etf.Tuple{int64(op)}
	for range arity[op] {
		ctl = append(ctl, s.pick())
	}
	if op == 29 || op == 30 { // MFA and options, or it would hardly ever be one
		ctl[4] = etf.Tuple{s.pick(), s.pick(), int64(s.byte() & 7)}
		ctl[5] = etf.List{s.pick()}
	}
	b, err := etf.Append(b, ctl)
	if err == nil && dist.Op(op).HasPayload() {
		b, err = etf.Append(b, s.term(0))
	}
	if err != nil {
		return nil // a tick
	}
	return b
}

// A peer costs at most this for one byte that it sends: every byte may be a request, which has an answer.
const (
	fuzzPerByte = 4 << 10
	fuzzFixed   = 4 << 20 // the connection's own buffers, the node, the test
	// fuzzTime is what a script may take; a scheduler that is busy with other things included.
	fuzzTime = time.Minute
)

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Whatever signals a peer sends, in whatever order: no panic, bounded memory, the node still serves others and itself, Close ends, and
// no goroutine is left.
func FuzzSignals(f *testing.F) {
	f.Add([]byte{0, 5, 0, 17, 5, 0, 15, 1, 0, 7, 5, 0, 15})
	f.Add([]byte{4, 5, 24, 8, 195, 29, 38, 194, 31, 5, 4, 5, 0, 9, 195, 29, 38, 197, 32, 21, 22, 27, 5})
	f.Add([]byte{14, 15, 5, 5, 18, 19, 4, 16, 231, 25, 21, 22, 28, 14, 15, 5, 5, 21, 22, 1, 17, 226, 25, 25})
	f.Add([]byte{255, 104, 3, 97, 2, 119, 0, 106, 106})
	f.Add([]byte{1, 11, 0, 255, 104, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		goroutines := runtime.NumGoroutine()
		before, begun := allocated(), time.Now()
		target := newFuzzTarget(t)
		target.connect()
		s := &script{b: b, terms: target.terms}
		for len(s.b) > 0 && target.frame(s.next()) {
		}
		// The node goes on, for itself at least.
		p, err := target.n.NewProcess()
		require.NoError(t, err)
		require.NoError(t, p.Send(t.Context(), p.Self(), etf.Atom("alive")))
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		got, err := p.Receive(ctx)
		require.NoError(t, err)
		require.Equal(t, etf.Atom("alive"), got)

		require.NoError(t, target.n.Close())
		_ = target.peer.Close()
		<-target.echo
		require.Less(t, allocated()-before, uint64(fuzzFixed+fuzzPerByte*len(b)))
		for end := time.Now().Add(fuzzTime); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
			require.True(t, time.Now().Before(end), "goroutines are left")
		}
		require.Less(t, time.Since(begun), fuzzTime)
	})
}
