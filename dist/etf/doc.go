// Package etf reads and writes the External Term Format, and prints and parses terms as Erlang and
// Elixir write them. It does no I/O.
package etf
