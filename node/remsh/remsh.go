package remsh

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Language is that of a shell.
type Language string

// The languages that a node may have a shell for.
const (
	Erlang Language = "erlang"
	Elixir Language = "elixir"
)

// Shell is a shell that can be started on a node; see Open.
type Shell struct {
	Node     string
	Language Language
	OTP      int    // the node's release
	Elixir   string // the version of the Elixir that runs on the node, "" for none

	n *node.Node
}

// application is one that runs on the node.
type application struct {
	Name        etf.Atom
	Description etf.Term
	Version     etf.Charlist
}

// whichTimeout is how long the node's application controller may take, in milliseconds; it is
// application:which_applications/0's own.
const whichTimeout = 5000

// Open looks what the node with the given name has, and chooses its shell: that of language, or with "" IEx where
// Elixir runs. It changes nothing on the node; Terminal and Pipe start the shell.
func Open(ctx context.Context, n *node.Node, name string, language Language) (*Shell, error) {
	s := &Shell{Node: name, Language: language, n: n}
	var release etf.Charlist
	if err := n.CallInto(ctx, name, &release, "erlang", "system_info", etf.Atom("otp_release")); err != nil {
		return nil, err
	}
	var err error
	if s.OTP, err = strconv.Atoi(string(release)); err != nil {
		return nil, &node.OpError{Op: "shell", Node: name, Err: err}
	}
	var running []application
	err = n.CallInto(ctx, name, &running, "application", "which_applications", whichTimeout)
	if _, raised := errors.AsType[*node.ErlangError](err); err != nil && !raised { // an ill node's shell is wanted, too
		return nil, err
	}
	for _, a := range running {
		if a.Name == "elixir" {
			s.Elixir = string(a.Version)
		}
	}
	switch {
	case language == Elixir && s.Elixir == "":
		return nil, &node.OpError{Op: "shell", Node: name, Err: ErrNoElixir}
	case language == "" && s.Elixir != "":
		s.Language = Elixir
	case language == "":
		s.Language = Erlang
	}
	return s, nil
}

// start is the function that starts the shell with its caller's group leader, and returns its pid.
func (s *Shell) start() etf.Export {
	switch {
	case s.Language == Erlang:
		return etf.Export{Module: "shell", Function: "start"}
	case s.elixirBefore(1, 15): // there is no module iex
		return etf.Export{Module: "Elixir.IEx", Function: "start"}
	}
	return etf.Export{Module: "iex", Function: "start"}
}

func (s *Shell) elixirBefore(major, minor int) bool {
	parts := strings.SplitN(s.Elixir, ".", 3)
	if len(parts) < 2 {
		return false
	}
	m, err1 := strconv.Atoi(parts[0])
	n, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (m < major || m == major && n < minor)
}

// bannerOf tells whether text is a shell's own greeting, which speaks of keys that do something else here.
func bannerOf(text []byte) bool {
	return strings.HasPrefix(string(text), "Eshell V") || strings.HasPrefix(string(text), "Interactive Elixir (")
}
