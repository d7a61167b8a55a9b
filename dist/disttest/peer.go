package disttest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/beamctl/beamctl/dist"
)

// Peer is a scripted node: one end of a connection on which a test says, byte for byte, what the other node does.
type Peer struct {
	net.Conn
	T testing.TB
}

// Pipe returns the two ends of a connection in memory: nc for the code under test, and a scripted peer. Both are
// closed at the end of the test.
func Pipe(t testing.TB) (nc net.Conn, p *Peer) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, &Peer{Conn: b, T: t}
}

// ReadHandshake reads one handshake message (2-byte length).
func (p *Peer) ReadHandshake() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(p, msg)
	return msg, err
}

// WriteHandshake writes one handshake message.
func (p *Peer) WriteHandshake(msg []byte) error {
	_, err := p.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)) //nolint:gosec // a test's own message
	return err
}

// ReadFrame reads one frame (4-byte length); an empty one is a tick.
func (p *Peer) ReadFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(p, b)
	return b, err
}

// WriteFrame writes one frame.
func (p *Peer) WriteFrame(b []byte) error {
	_, err := p.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)) //nolint:gosec // a test's own frame
	return err
}

// Accept runs the acceptor's side of the handshake as id, letting everybody in who has the cookie.
func (p *Peer) Accept(id dist.Identity, cookie dist.Cookie) error {
	h := dist.NewAcceptor(id, cookie, 0x12345678, func(peer dist.Identity) dist.Admission {
		if peer.Flags.Has(dist.FlagNameMe) {
			return dist.Admission{Name: "dyn1@" + peer.Name, Creation: 77}
		}
		return dist.Admission{Status: dist.StatusOK}
	})
	for !h.Done() {
		msg, err := p.ReadHandshake()
		if err != nil {
			return fmt.Errorf("disttest: %w", err)
		}
		replies, err := h.Receive(msg)
		for _, r := range replies {
			if werr := p.WriteHandshake(r); werr != nil {
				return werr
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
