// Package node is a hidden Erlang node: it connects to real nodes, proves the cookie, pings, calls,
// sends and monitors.
package node
