// Package epmd is the Erlang Port Mapper Daemon, both sides of it: a [Client], and a [Server] that real Erlang nodes
// register with. It depends on nothing else in this module.
//
// # The protocol
//
// A node that listens for distribution connections registers its alive name (the part before the @) and its port, and
// keeps that TCP connection open: when it closes, the name is free. Everything else is one request and one reply on a
// connection of its own, which the EPMD closes.
//
//	request: a 2-byte length, then        reply
//	120 ALIVE2      register a node       118 with a 32-bit creation if the node speaks version 6, else 121 with 16 bits
//	122 PORT2       where is a node?      119, all that the node registered, or one result byte
//	110 NAMES       who is registered?    the EPMD's port (4 bytes), then "name foo at port 1234\n" for each, then EOF
//	100 DUMP        the same, in detail   the EPMD's port, then lines that end with \n\0, then EOF
//	107 KILL        end the EPMD          "OK" or "NO"
//	115 STOP        unregister a name     "STOPPED", "NOEXIST", or nothing where it is not allowed
//
// Sources: erl_dist_protocol in the ERTS documentation, erts/epmd/src/epmd_srv.c and lib/kernel/src/erl_epmd.erl of
// OTP. Where the documents and a running epmd disagree, this package does what the running one does.
//
// # What the server adds
//
// One registry can be served on many listeners, each of which knows who asks there (see [Server.Listen]); [Hooks] tell the
// owner who came and went, and may change what an asker is told. It listens on loopback only unless told
// otherwise, and its time and memory per client are bounded.
package epmd
