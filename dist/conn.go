package dist

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultTickTime is how long a silent peer is believed: OTP's default net_ticktime.
	DefaultTickTime = 60 * time.Second
	// tickPace is how often we make sure that the peer hears from us. A second serves every net_ticktime from 4 s up
	// (OTP counts silence in quarters of it) without asking the peer for its setting. With a shorter one it is enough
	// to answer its ticks, of which a hidden node that says nothing gets one every quarter (dist_util:need_to_tick).
	tickPace = time.Second
	// CloseFlush is how long Close tries to deliver what is queued.
	CloseFlush = 500 * time.Millisecond
)

// A Receiver takes what a peer sends. Receive is called by the connection's one reader, in the order of the wire;
// payload is a term without version byte, valid only during the call unless ctl.Owned. An error ends the connection.
// Closed is called once, after the last Receive.
type Receiver interface {
	Receive(c *Conn, ctl *Control, payload []byte) error
	Closed(c *Conn, err error)
}

// Config says how to talk to a peer.
type Config struct {
	Local    Identity // who we are; a Name without "@" asks for a dynamic name
	Peer     string   // the node that must answer
	Cookie   Cookie
	Evict    bool // replace a connection that the peer has with a node of our name
	TickTime time.Duration
	Receiver Receiver
	TLS      bool // nc is a TLS connection, on which the handshake's messages have a length of 4 bytes instead of 2
}

// Conn is one connection with another node after its handshake. All methods are safe for concurrent use.
type Conn struct {
	local, peer Identity
	nc          net.Conn
	w           *writer
	sock        *socket
	in          reader
	recv        Receiver
	tickTime    time.Duration
	seq         atomic.Uint64
	pacer       pacer
	unfinished  unfinished
	loops       sync.WaitGroup
	loopsMu     sync.Mutex
	over        bool          // no more loops: Close may be waiting; guarded by loopsMu
	done        chan struct{} // closed when the connection is over, for whatever reason
	once        sync.Once
	err         error // why; set before done is closed
}

// handshake is what both sides' state machines have in common.
type handshake interface {
	Start(dst []byte) ([]byte, error)
	Receive(msg []byte) ([][]byte, error)
	Closed() error
	Step() string
	Done() bool
	Local() Identity
	Peer() Identity
}

// Dial performs the handshake over nc as the side that connected, and starts the connection's loops. It owns nc from
// the call on. Errors: *HandshakeError around the sentinels of this package, or ctx's cause with the step that it
// waited for.
func Dial(ctx context.Context, nc net.Conn, cfg Config) (*Conn, error) {
	return establish(ctx, nc, cfg, func(challenge uint32) handshake {
		return NewInitiator(cfg.Local, cfg.Peer, cfg.Cookie, challenge, cfg.Evict)
	})
}

// Accept is Dial for the side that was connected to; admit decides about the peer, see NewAcceptor. Peer and Evict of
// cfg are not used.
func Accept(ctx context.Context, nc net.Conn, cfg Config, admit func(peer Identity) Admission) (*Conn, error) {
	return establish(ctx, nc, cfg, func(challenge uint32) handshake {
		return NewAcceptor(cfg.Local, cfg.Cookie, challenge, admit)
	})
}

func establish(ctx context.Context, nc net.Conn, cfg Config, machine func(challenge uint32) handshake) (*Conn, error) {
	challenge, err := randomUint32()
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	h := machine(challenge)
	if err := shake(ctx, handshakeConn{nc, cfg.TLS}, h); err != nil {
		_ = nc.Close()
		return nil, err
	}
	c := &Conn{
		local: h.Local(), peer: h.Peer(), nc: nc, sock: newSocket(nc), recv: cfg.Receiver,
		tickTime: cfg.TickTime, done: make(chan struct{}),
	}
	if c.tickTime <= 0 {
		c.tickTime = DefaultTickTime
	}
	c.w = newWriter(nc, c.sock)
	c.in.stream = newStream()
	c.loops.Go(func() {
		if err := c.w.flush(c.done); err != nil {
			c.end(err)
		}
	})
	c.loops.Go(c.tickLoop)
	c.loops.Go(c.readLoop)
	return c, nil
}

func randomUint32() (uint32, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("challenge: %w", err)
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

// shake runs the handshake's state machine over nc.
func shake(ctx context.Context, nc handshakeConn, h handshake) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		switch {
		case stop():
			_ = nc.SetDeadline(time.Time{})
		case err == nil: // the last instant: nc has a deadline in the past, or is about to
			err = shakeError(ctx, h, context.Cause(ctx))
		}
	}()
	first, err := h.Start(nil)
	if err != nil {
		return err
	}
	if len(first) > 0 {
		if err := nc.write(first); err != nil {
			return shakeError(ctx, h, err)
		}
	}
	for !h.Done() {
		msg, err := nc.read()
		if err != nil {
			return shakeError(ctx, h, err)
		}
		replies, err := h.Receive(msg)
		for _, r := range replies {
			if werr := nc.write(r); werr != nil && err == nil {
				return shakeError(ctx, h, werr)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shakeError says what an I/O error means at this point of the handshake.
func shakeError(ctx context.Context, h handshake, err error) error {
	switch {
	case ctx.Err() != nil:
		return &HandshakeError{Step: h.Step(), Err: fmt.Errorf("no answer: %w", context.Cause(ctx))}
	case errors.Is(err, ErrProtocol):
		return &HandshakeError{Step: h.Step(), Err: err}
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err):
		return h.Closed()
	}
	return &HandshakeError{Step: h.Step(), Err: err}
}

// The first two bytes of a TLS record (RFC 8446, 5.1): its type, alert or handshake, and the major version, which is
// always 3. As lengths of a message of ours both are far above MaxHandshakeFrame.
const (
	tlsAlert = 21<<8 | 3
	tlsHello = 22<<8 | 3
)

// handshakeConn frames the handshake's messages: by 2 bytes of length, over TLS by 4 (inet_tls_dist has {packet, 4}
// from the first one on).
type handshakeConn struct {
	net.Conn
	long bool
}

func (c handshakeConn) write(msg []byte) error {
	b := make([]byte, 0, 4+len(msg))
	if c.long {
		b = append(b, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(msg))) //nolint:gosec // at most MaxHandshakeFrame
	_, err := c.Write(append(b, msg...))
	return err
}

func (c handshakeConn) read() ([]byte, error) {
	head := make([]byte, 4)
	if !c.long {
		head = head[2:]
	}
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	n := uint64(0)
	for _, b := range head {
		n = n<<8 | uint64(b)
	}
	if !c.long && (n == tlsAlert || n == tlsHello) {
		return nil, ErrSpeaksTLS
	}
	if n > MaxHandshakeFrame {
		return nil, protocolErrorf("handshake message of %d bytes", n)
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(c, msg)
	return msg, err
}

// Local returns who we are on this connection. The name may be one that the peer assigned.
func (c *Conn) Local() Identity { return c.local }

// Peer returns who the other side is.
func (c *Conn) Peer() Identity { return c.peer }

// RemoteAddr returns the peer's network address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Done is closed when the connection is over; Err says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection is over, nil while it is not.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close delivers what is queued, ends the connection and waits for its goroutines. It must not be called by the Receiver.
func (c *Conn) Close() error {
	c.w.drain(CloseFlush)
	c.end(ErrClosed)
	c.loops.Wait()
	return nil
}

// end makes the connection over, once, and says why in the same words whoever notices it first.
func (c *Conn) end(err error) {
	c.once.Do(func() {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) {
			err = fmt.Errorf("%s closed the connection: %w", c.peer.Name, err)
		}
		c.err = err
		c.w.fail(err)
		_ = c.nc.Close()
		c.loopsMu.Lock()
		c.over = true
		c.loopsMu.Unlock()
		close(c.done)
	})
}

// goLoop runs f in a goroutine that Close waits for; false if the connection is over.
func (c *Conn) goLoop(f func()) bool {
	c.loopsMu.Lock()
	defer c.loopsMu.Unlock()
	if !c.over {
		c.loops.Go(f)
	}
	return !c.over
}

// tickLoop keeps the peer convinced of us and notices when it is silent for too long. One that ticks more slowly than
// that, having a long net_ticktime, is asked half-way whether it is there.
func (c *Conn) tickLoop() {
	t := time.NewTicker(min(tickPace, c.tickTime/4))
	defer t.Stop()
	seen, since, asked := c.in.reads.Load(), time.Now(), false
	for {
		select {
		case <-c.done:
			return
		case now := <-t.C:
			c.w.tick()
			silence := now.Sub(since)
			switch n := c.in.reads.Load(); {
			case n != seen:
				seen, since, asked = n, now, false
			case silence >= c.tickTime:
				c.end(fmt.Errorf("%w for %v", ErrTickTimeout, c.tickTime))
				return
			case silence >= c.tickTime/2 && !asked:
				asked = true
				c.ask()
			}
		}
	}
}
