package dist

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
)

// The acceptor's side of the handshake. It also understands protocol version 5 from nodes that have not asked EPMD
// first ('n', OTP 23 and 24): if they speak version 6 after all (HANDSHAKE_23) they complete their flags with 'c'.

const (
	tagComplement = 'c'
	oldVersion    = 5
)

// Status is what the acceptor says to a node that wants to connect, in the protocol's words. (A sixth, named, goes with
// a dynamic name.)
type Status string

// The statuses.
const (
	StatusOK           Status = "ok"
	StatusSimultaneous Status = "ok_simultaneous" // ok, and the acceptor gives up its own attempt to connect to the node
	StatusNotOK        Status = "nok"             // the acceptor's own attempt goes on
	StatusNotAllowed   Status = "not_allowed"
	StatusAlive        Status = "alive" // there is a connection with a node of this name: is that one to end?
)

// An Admission is what the acceptor decides about a node that wants to connect.
type Admission struct {
	Status Status // not used where Name is given
	// Name and Creation are the dynamic name, for a peer that asks for one (FlagNameMe).
	Name     string
	Creation uint32
	// Cookie is the one to be shared with this peer, where it is another than the acceptor's.
	Cookie Cookie
}

type acceptState uint8

const (
	acName acceptState = iota
	acAlive
	acReply
	acDone
	acFailed
)

// Acceptor is the handshake's state machine on the side that was dialled. It does no I/O.
type Acceptor struct {
	local      Identity
	cookie     Cookie
	challenge  uint32
	admit      func(peer Identity) Admission
	state      acceptState
	peer       Identity
	complement bool // the peer sent 'n' and must complete its flags
}

// NewAcceptor makes a handshake for whoever connects to local. admit decides once the peer has said who it is; a peer
// with FlagNameMe has only a host for a name and must be given one.
func NewAcceptor(local Identity, cookie Cookie, challenge uint32, admit func(peer Identity) Admission) *Acceptor {
	return &Acceptor{local: local, cookie: cookie, challenge: challenge, admit: admit}
}

// Done tells whether the handshake is complete.
func (h *Acceptor) Done() bool { return h.state == acDone }

// Local returns who we are.
func (h *Acceptor) Local() Identity { return h.local }

// Peer returns who the peer is, once it has said so (or has been told so).
func (h *Acceptor) Peer() Identity { return h.peer }

// Step names what the handshake is waiting for.
func (h *Acceptor) Step() string {
	switch h.state {
	case acAlive:
		return "status"
	case acReply:
		return "challenge reply"
	case acName, acDone, acFailed:
	}
	return "name"
}

// Start appends nothing: the peer speaks first.
func (h *Acceptor) Start([]byte) ([]byte, error) { return nil, nil }

// Closed says what it means that the peer closed the connection now.
func (h *Acceptor) Closed() error { return h.fail(h.Step(), ErrClosedInHandshake) }

func (h *Acceptor) fail(step string, err error) error {
	h.state = acFailed
	return &HandshakeError{Step: step, Err: err}
}

// Receive takes the peer's next message and returns the answers to send.
func (h *Acceptor) Receive(msg []byte) ([][]byte, error) {
	switch h.state {
	case acName:
		if err := h.name(msg); err != nil {
			return nil, err
		}
		return h.decide()
	case acAlive:
		return h.alive(msg)
	case acReply:
		if h.complement && len(msg) > 0 && msg[0] == tagComplement {
			return nil, h.completed(msg)
		}
		return h.reply(msg)
	case acDone, acFailed:
	}
	return nil, h.fail("order", protocolErrorf("a message that nobody expects"))
}

// name reads send_name: 'N' flags:64 creation:32 length:16 name, or 'n' version:16 flags:32 name.
func (h *Acceptor) name(msg []byte) error {
	const step = "name"
	const fixed, oldFixed = 1 + 8 + 4 + 2, 1 + 2 + 4
	var raw []byte
	switch {
	case len(msg) >= fixed && msg[0] == tagName:
		h.peer.Flags = Flags(binary.BigEndian.Uint64(msg[1:])).normalize()
		h.peer.Creation = binary.BigEndian.Uint32(msg[9:])
		n := int(binary.BigEndian.Uint16(msg[13:]))
		if len(msg) < fixed+n {
			return h.fail(step, protocolErrorf("node name cut short"))
		}
		raw = msg[fixed : fixed+n]
	case len(msg) >= oldFixed && msg[0] == tagOldName:
		if v := binary.BigEndian.Uint16(msg[1:]); v != oldVersion {
			return h.fail(step, protocolErrorf("handshake version %d", v))
		}
		h.peer.Flags = Flags(binary.BigEndian.Uint32(msg[3:])).normalize()
		h.complement = h.peer.Flags.Has(FlagHandshake23)
		raw = msg[oldFixed:]
	default:
		return h.fail(step, protocolErrorf("name starts with %s", firstByte(msg)))
	}
	var err error
	if h.peer.Flags.Has(FlagNameMe) {
		h.peer.Name, err = hostName(raw)
	} else {
		h.peer.Name, err = nodeName(raw)
	}
	if err != nil {
		return h.fail(step, err)
	}
	if missing := Mandatory25 &^ h.peer.Flags; missing != 0 && !h.complement {
		return h.fail(step, fmt.Errorf("%w: %s", ErrMissingFlags, missing))
	}
	return nil
}

// hostName reads the host that a node without a name of its own sends.
func hostName(b []byte) (string, error) {
	name, err := nodeName(append([]byte("x@"), b...))
	if err != nil || strings.Contains(name[2:], "@") {
		return "", protocolErrorf("host %q", clip(string(b)))
	}
	return name[2:], nil
}

func (h *Acceptor) decide() ([][]byte, error) {
	a := h.admit(h.peer)
	if !a.Cookie.IsZero() {
		h.cookie = a.Cookie
	}
	switch {
	case h.peer.Flags.Has(FlagNameMe) && a.Name != "":
		name, err := appendLatin1(nil, a.Name)
		if err != nil {
			return nil, h.fail("status", err)
		}
		h.peer.Name, h.peer.Creation = a.Name, a.Creation
		h.local.Flags |= FlagNameMe // or it takes its own flag as not agreed on, and crashes (dist_util:do_setnode)
		status := append([]byte{tagStatus}, "named:"...)
		status = binary.BigEndian.AppendUint16(status, uint16(len(name))) //nolint:gosec // capped by appendLatin1
		status = binary.BigEndian.AppendUint32(append(status, name...), a.Creation)
		return [][]byte{status, h.challengeMsg()}, nil
	case h.peer.Flags.Has(FlagNameMe), a.Status == StatusNotAllowed:
		return [][]byte{statusMsg(StatusNotAllowed)}, h.fail("status", fmt.Errorf("%w: %s is not wanted", ErrNotAllowed, h.peer.Name))
	case a.Status == StatusNotOK:
		return [][]byte{statusMsg(a.Status)}, h.fail("status", ErrSimultaneous)
	case a.Status == StatusAlive:
		h.state = acAlive
		return [][]byte{statusMsg(a.Status)}, nil
	case a.Status == StatusOK, a.Status == StatusSimultaneous:
		return [][]byte{statusMsg(a.Status), h.challengeMsg()}, nil
	}
	return nil, h.fail("status", fmt.Errorf("dist: unknown admission %q", a.Status))
}

func statusMsg(s Status) []byte { return append([]byte{tagStatus}, s...) }

// alive takes the answer to "there is already a connection of this name": true goes on.
func (h *Acceptor) alive(msg []byte) ([][]byte, error) {
	if string(msg) != "strue" {
		return nil, h.fail("status", fmt.Errorf("%w: the older connection stays", ErrSimultaneous))
	}
	return [][]byte{h.challengeMsg()}, nil
}

// challengeMsg asks the peer to prove the cookie.
func (h *Acceptor) challengeMsg() []byte {
	h.state = acReply
	name, _ := appendLatin1(nil, h.local.Name) // was checked when the node was made
	b := binary.BigEndian.AppendUint64([]byte{tagName}, uint64(h.local.Flags))
	b = binary.BigEndian.AppendUint32(b, h.challenge)
	b = binary.BigEndian.AppendUint32(b, h.local.Creation)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name))) //nolint:gosec // capped by appendLatin1
	return append(b, name...)
}

// completed takes 'c' flagsHigh:32 creation:32.
func (h *Acceptor) completed(msg []byte) error {
	const step = "complement"
	if len(msg) != 1+4+4 {
		return h.fail(step, protocolErrorf("complement of %d bytes", len(msg)))
	}
	h.complement = false
	h.peer.Flags |= (Flags(binary.BigEndian.Uint32(msg[1:])) << 32).normalize()
	h.peer.Creation = binary.BigEndian.Uint32(msg[5:])
	if missing := Mandatory25 &^ h.peer.Flags; missing != 0 {
		return h.fail(step, fmt.Errorf("%w: %s", ErrMissingFlags, missing))
	}
	return nil
}

func (h *Acceptor) reply(msg []byte) ([][]byte, error) {
	const step = "challenge reply"
	if h.complement || len(msg) != 1+challengeLen+digestLen || msg[0] != tagReply {
		return nil, h.fail(step, protocolErrorf("challenge reply starts with %s", firstByte(msg)))
	}
	if subtle.ConstantTimeCompare(msg[1+challengeLen:], digest(h.cookie, h.challenge)) != 1 {
		return nil, h.fail(step, ErrWrongCookie)
	}
	h.state = acDone
	theirs := binary.BigEndian.Uint32(msg[1:])
	return [][]byte{append([]byte{tagAck}, digest(h.cookie, theirs)...)}, nil
}
