package dist

import (
	"crypto/md5" //nolint:gosec // the protocol's digest
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The handshake of protocol version 6 (erl_dist_protocol, "Distribution Handshake"), initiator's side:
//
//	us                                    peer
//	'N' flags creation name        ──►
//	                               ◄──    's' ok | ok_simultaneous | nok | not_allowed | alive | named:
//	's' true|false (only after alive) ──►
//	                               ◄──    'N' flags challenge creation name
//	'r' challenge digest           ──►
//	                               ◄──    'a' digest        (or it closes: wrong cookie)

const (
	tagName      = 'N'
	tagOldName   = 'n'
	tagStatus    = 's'
	tagReply     = 'r'
	tagAck       = 'a'
	digestLen    = md5.Size
	challengeLen = 4
)

// MaxNameLen bounds a node name in the handshake: a name is an atom, 255 characters, and the handshake writes
// it in latin1, a byte each.
const MaxNameLen = 255

// MaxHandshakeFrame bounds a handshake message: the largest is a name with its fixed fields.
const MaxHandshakeFrame = 64 + MaxNameLen

// Identity is what one side of a connection is.
type Identity struct {
	// Name is the full node name, name@host. As the initiator, a Name without "@" is a host, and asks for a dynamic name.
	Name     string
	Creation uint32
	Flags    Flags
}

// Host returns the part of a node name behind the "@".
func Host(name string) string {
	_, host, _ := strings.Cut(name, "@")
	return host
}

type hsState uint8

const (
	hsStart hsState = iota
	hsStatus
	hsChallenge
	hsAck
	hsDone
	hsFailed
)

// Initiator is the handshake's state machine on the side that dials. It does no I/O: Start gives the first message,
// Receive takes each of the peer's messages (without the length prefix) and gives the answers.
type Initiator struct {
	local     Identity
	peerName  string // the name that must answer
	cookie    Cookie
	challenge uint32
	evict     bool
	evicting  bool // we said that the peer is to end its older connection
	state     hsState
	peer      Identity
}

// NewInitiator makes a handshake from local to the node named peer. challenge is this side's random challenge.
// With evict a connection that the peer already has with a node of our name is replaced (status alive → true).
func NewInitiator(local Identity, peer string, cookie Cookie, challenge uint32, evict bool) *Initiator {
	return &Initiator{local: local, peerName: peer, cookie: cookie, challenge: challenge, evict: evict}
}

// Start appends the first message, send_name.
func (h *Initiator) Start(dst []byte) ([]byte, error) {
	creation := h.local.Creation
	if !strings.Contains(h.local.Name, "@") {
		h.local.Flags |= FlagNameMe
		creation = 0
	}
	name, err := appendLatin1(nil, h.local.Name)
	if err != nil {
		return nil, h.fail("name", err)
	}
	h.state = hsStatus
	dst = append(dst, tagName)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.local.Flags))
	dst = binary.BigEndian.AppendUint32(dst, creation)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(name))) //nolint:gosec // capped by appendLatin1
	return append(dst, name...), nil
}

// Done tells whether the handshake is complete.
func (h *Initiator) Done() bool { return h.state == hsDone }

// Local returns who we are on this connection; with a dynamic name, once the peer has given it.
func (h *Initiator) Local() Identity { return h.local }

// Peer returns who the peer said it is, once it has.
func (h *Initiator) Peer() Identity { return h.peer }

// Receive takes the peer's next message and returns the answers to send, each a message of its own without length prefix.
func (h *Initiator) Receive(msg []byte) (replies [][]byte, err error) {
	switch h.state {
	case hsStatus:
		return h.status(msg)
	case hsChallenge:
		return h.challenged(msg)
	case hsAck:
		return nil, h.ack(msg)
	case hsStart, hsDone, hsFailed:
	}
	return nil, h.fail("order", protocolErrorf("a message that nobody expects"))
}

// Closed says what it means that the peer closed the connection now.
func (h *Initiator) Closed() error {
	switch h.state {
	case hsAck:
		return h.fail("challenge ack", ErrWrongCookie)
	case hsStatus:
		return h.fail("status", ErrClosedInHandshake)
	case hsChallenge:
		if h.evicting { // OTP 23, after waiting for it in vain
			return h.fail("challenge", fmt.Errorf("%w: it keeps the older connection", ErrSimultaneous))
		}
	case hsStart, hsDone, hsFailed:
	}
	return h.fail("challenge", ErrClosedInHandshake)
}

// Step names what the handshake is waiting for.
func (h *Initiator) Step() string {
	switch h.state {
	case hsStatus:
		return "status"
	case hsChallenge:
		return "challenge"
	case hsAck:
		return "challenge ack"
	case hsStart, hsDone, hsFailed:
	}
	return "name"
}

func (h *Initiator) fail(step string, err error) error {
	h.state = hsFailed
	return &HandshakeError{Step: step, Err: err}
}

func (h *Initiator) status(msg []byte) ([][]byte, error) {
	if len(msg) == 0 || msg[0] != tagStatus {
		return nil, h.fail("status", protocolErrorf("status starts with %s", firstByte(msg)))
	}
	word := string(msg[1:])
	if rest, ok := strings.CutPrefix(word, "named:"); ok {
		return nil, h.named([]byte(rest))
	}
	status := Status(word)
	if h.local.Flags.Has(FlagNameMe) && (status == StatusOK || status == StatusSimultaneous) {
		return nil, h.fail("status", ErrNoDynamicName)
	}
	switch status {
	case StatusOK, StatusSimultaneous:
		h.state = hsChallenge
		return nil, nil
	case StatusNotOK:
		return nil, h.fail("status", ErrSimultaneous)
	case StatusNotAllowed:
		return nil, h.fail("status", ErrNotAllowed)
	case StatusAlive:
		if !h.evict {
			return [][]byte{[]byte("sfalse")}, h.fail("status", ErrSimultaneous)
		}
		h.state, h.evicting = hsChallenge, true
		return [][]byte{[]byte("strue")}, nil
	}
	return nil, h.fail("status", protocolErrorf("unknown status %q", clip(word)))
}

// named takes the dynamic name: length (2 bytes), name, creation (4 bytes).
func (h *Initiator) named(b []byte) error {
	if !h.local.Flags.Has(FlagNameMe) {
		return h.fail("status", protocolErrorf("a dynamic name that we did not ask for"))
	}
	if len(b) < 2 {
		return h.fail("status", protocolErrorf("dynamic name cut short"))
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n+4 {
		return h.fail("status", protocolErrorf("dynamic name cut short"))
	}
	name, err := nodeName(b[:n])
	if err != nil {
		return h.fail("status", err)
	}
	h.local.Name = name
	h.local.Creation = binary.BigEndian.Uint32(b[n:])
	h.state = hsChallenge
	return nil
}

func (h *Initiator) challenged(msg []byte) ([][]byte, error) {
	const step = "challenge"
	const fixed = 1 + 8 + challengeLen + 4 + 2
	if len(msg) == 0 || msg[0] != tagName {
		if len(msg) > 0 && msg[0] == tagOldName {
			return nil, h.fail(step, fmt.Errorf("%w: it speaks the handshake of OTP 22 and earlier", ErrMissingFlags))
		}
		return nil, h.fail(step, protocolErrorf("challenge starts with %s", firstByte(msg)))
	}
	if len(msg) < fixed {
		return nil, h.fail(step, protocolErrorf("challenge of %d bytes", len(msg)))
	}
	h.peer.Flags = Flags(binary.BigEndian.Uint64(msg[1:])).normalize()
	challenge := binary.BigEndian.Uint32(msg[9:])
	h.peer.Creation = binary.BigEndian.Uint32(msg[13:])
	n := int(binary.BigEndian.Uint16(msg[17:]))
	if len(msg) < fixed+n {
		return nil, h.fail(step, protocolErrorf("node name cut short"))
	}
	name, err := nodeName(msg[fixed : fixed+n])
	if err != nil {
		return nil, h.fail(step, err)
	}
	if h.peer.Name = name; h.peerName != "" && name != h.peerName {
		return nil, h.fail(step, &WrongNameError{Got: name, Want: h.peerName})
	}
	if missing := Mandatory25 &^ h.peer.Flags; missing != 0 {
		return nil, h.fail(step, fmt.Errorf("%w: %s", ErrMissingFlags, missing))
	}
	reply := append(make([]byte, 0, 1+challengeLen+digestLen), tagReply)
	reply = binary.BigEndian.AppendUint32(reply, h.challenge)
	reply = append(reply, digest(h.cookie, challenge)...)
	h.state = hsAck
	return [][]byte{reply}, nil
}

func (h *Initiator) ack(msg []byte) error {
	const step = "challenge ack"
	if len(msg) != 1+digestLen || msg[0] != tagAck {
		return h.fail(step, protocolErrorf("challenge ack starts with %s", firstByte(msg)))
	}
	if subtle.ConstantTimeCompare(msg[1:], digest(h.cookie, h.challenge)) != 1 {
		return h.fail(step, ErrWrongCookie)
	}
	h.state = hsDone
	return nil
}

// digest is MD5(cookie ++ challenge in decimal) (dist_util:gen_digest).
func digest(c Cookie, challenge uint32) []byte {
	sum := md5.Sum(strconv.AppendUint([]byte(c.Secret()), uint64(challenge), 10)) //nolint:gosec // the protocol's digest
	return sum[:]
}

// nodeName reads a name that a peer sent: latin1, name@host, bounded.
func nodeName(b []byte) (string, error) {
	if len(b) > MaxNameLen {
		return "", protocolErrorf("node name of %d bytes", len(b))
	}
	r := make([]rune, len(b))
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			return "", protocolErrorf("control character in node name %q", clip(string(b)))
		}
		r[i] = rune(c)
	}
	name := string(r)
	if i := strings.IndexByte(name, '@'); i < 1 || i == len(name)-1 {
		return "", protocolErrorf("node name %q is not name@host", clip(name))
	}
	return name, nil
}

// appendLatin1 writes a name as the handshake wants it.
func appendLatin1(dst []byte, name string) ([]byte, error) {
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxNameLen {
		return nil, fmt.Errorf("node name of %d characters (1 to %d are possible)", n, MaxNameLen)
	}
	for _, r := range name {
		if r > 0xff {
			return nil, fmt.Errorf("node name %q has characters outside latin1", name)
		}
		dst = append(dst, byte(r))
	}
	return dst, nil
}

func firstByte(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	return strconv.QuoteRuneToASCII(rune(b[0]))
}

// clip shortens what a peer sent for an error message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
