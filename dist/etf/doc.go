// Package etf reads and writes the External Term Format (erl_ext_dist of the runtime's user's guide), and prints and
// parses terms as Erlang and Elixir write them. It does no I/O and knows nothing of connections.
//
// A term is an any that holds one of the types listed at [Term]. There are three ways in:
//
//   - [Decode] and [Append] work on terms as they are in distribution frames, without the version byte;
//     [DecodeWithAtoms] resolves what a frame's atom cache holds.
//   - [Unmarshal] and [Marshal] are binary_to_term and term_to_binary, for Go values of any shape; [Assign] does the same
//     with a term that is decoded already.
//   - [Skip] and [Raw] pass a term through without looking into it.
//
// All tags that any release has written are read; what current releases write is written. [Equal] is =:=, [Format] is
// ~0tp and [FormatElixir] is inspect; [Parse], [ParseElixir] and [ParseCall] read what people type.
//
// Input is taken to be hostile. What a term may cost is bounded by its encoding ([MaxExpansion], [MaxDepth],
// [MaxInflated], [MaxAtomRunes], [MaxBigBytes]), and whatever the bytes are, reading them returns a term or an error.
package etf
