// Package dist speaks the Erlang distribution protocol over one connection: handshake, framing,
// fragments, ticks and control messages. It knows nothing of names, EPMD, calls or reconnecting; that is package node's.
package dist
