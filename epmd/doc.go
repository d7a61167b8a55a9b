// Package epmd is the Erlang Port Mapper Daemon: a client, and a server that real nodes register with.
// It depends on nothing else in this module.
package epmd
