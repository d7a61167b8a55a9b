package remsh

import (
	"errors"

	"github.com/beamctl/beamctl/dist/etf"
)

var (
	// ErrNoElixir says that a node has no Elixir whose shell could be started.
	ErrNoElixir = errors.New("the node has no Elixir")
	// ErrNotStarted says that the shell ended before it began.
	ErrNotStarted = errors.New("the shell did not start")
	// ErrProtocol says that the node said what no release of OTP says.
	ErrProtocol = errors.New("unexpected message")
	// ErrLineTooLong says that a line of the input of Pipe has more than MaxLine bytes.
	ErrLineTooLong = errors.New("line too long")
	// ErrUnfinished says that the input of Pipe ended where IEx wanted more of an expression, which it drops without a
	// word.
	ErrUnfinished = errors.New("the input ended in the middle of an expression")

	// errEnd ends a session well: the user wants out, or the shell has ended.
	errEnd = errors.New("end")
)

// briefLength is how much of a term an error shows.
const briefLength = 200

func brief(t etf.Term) string {
	s := []rune(etf.Format(t))
	if len(s) > briefLength {
		return string(s[:briefLength]) + "…"
	}
	return string(s)
}
