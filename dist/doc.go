// Package dist speaks the Erlang distribution protocol over one connection: handshake, framing,
// fragments, ticks and control messages. It knows nothing of names, EPMD, calls or reconnecting; that is package node's.
//
// [Dial] and [Accept] perform the handshake over a net.Conn that is there, and give a [Conn]. What the peer sends goes
// to a [Receiver], one message after the other; [Conn.Send] sends: a [Control] says what the message is, and the
// payload is a term as package etf encodes it. The handshake ([Initiator], [Acceptor]) and the control messages
// ([AppendControl], [ParseControl]) can be had without a connection.
//
// A Conn ticks, answers ticks, and gives up a peer that is silent. It cuts large messages into fragments and puts them
// together; small ones pass between them. Messages of one sender arrive in their order. A peer that does not read makes
// those wait who send to it, each as long as its ctx. What a peer can make this side hold is bounded by [MaxFrame],
// [MaxAssembly] and [MaxSequences].
//
// No atom cache is advertised. What was not negotiated ends the connection with [ErrProtocol].
package dist
