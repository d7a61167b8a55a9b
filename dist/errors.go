package dist

import (
	"errors"
	"fmt"
)

// What ends a handshake or a connection. Test with errors.Is.
var (
	// ErrWrongCookie: the two sides do not share a cookie. A real node says so by closing the connection right
	// after our challenge reply (dist_util:recv_challenge_reply); its log then has "Invalid challenge reply".
	ErrWrongCookie = errors.New("wrong cookie")
	// ErrNotAllowed: the peer refuses this node (status not_allowed): its net_kernel:allow/1 list, or flags it insists on.
	ErrNotAllowed = errors.New("the node does not allow this connection")
	// ErrSimultaneous: the peer has a connection with a node of our name and keeps it, or is about to have one: it is
	// connecting to us itself at this moment, or another node of our name to it (status nok).
	ErrSimultaneous = errors.New("the node already has, or is making, a connection with a node of this name")
	// ErrNoDynamicName: the peer cannot assign a name (OTP 22 and earlier, or it has none to give).
	ErrNoDynamicName = errors.New("the node does not assign dynamic names (OTP 23 or later does)")
	// ErrMissingFlags: the peer lacks capabilities that we need.
	ErrMissingFlags = errors.New("the node lacks required distribution flags")
	// ErrProtocol: bytes that no Erlang node sends. It is wrapped with what was seen.
	ErrProtocol = errors.New("not the Erlang distribution protocol")
	// ErrSpeaksTLS: a TLS record came, an alert or a hello, where a message of the handshake was expected. It is an
	// ErrProtocol.
	ErrSpeaksTLS = fmt.Errorf("%w: a TLS record came", ErrProtocol)
	// ErrWrongName: the node that answered has another name than the one dialled.
	ErrWrongName = errors.New("another node answered")
	// ErrClosedInHandshake: the peer closed the connection before it had an opinion on us.
	ErrClosedInHandshake = errors.New("the node closed the connection during the handshake")
	// ErrTickTimeout: nothing came from the peer for a whole tick time.
	ErrTickTimeout = errors.New("no tick from the node")
	// ErrClosed: this side closed the connection.
	ErrClosed = errors.New("connection closed")
)

// HandshakeError says in which step of the handshake the connection failed.
type HandshakeError struct {
	// Step is what was awaited, in the words of erl_dist_protocol without "send_" and "recv_": "name", "status",
	// "complement", "challenge", "challenge reply" or "challenge ack"; "order" for a message after the last one.
	Step string
	Err  error
}

func (e *HandshakeError) Error() string { return fmt.Sprintf("handshake (%s): %v", e.Step, e.Err) }
func (e *HandshakeError) Unwrap() error { return e.Err }

// WrongNameError is an ErrWrongName that knows the names.
type WrongNameError struct {
	Got  string // what the node that answered calls itself
	Want string // who was to answer
}

func (e *WrongNameError) Error() string {
	return fmt.Sprintf("%v: %s instead of %s", ErrWrongName, e.Got, e.Want)
}
func (e *WrongNameError) Unwrap() error { return ErrWrongName }

func protocolErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}
