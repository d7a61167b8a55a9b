package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// Why a node could not be reached, or a call not be answered. Test with errors.Is. The handshake's own reasons are
// package dist's: dist.ErrNotAllowed, dist.ErrWrongName, dist.ErrProtocol and others come through unchanged.
var (
	// ErrUnresolved: the host part of the name (or the given address) does not resolve.
	ErrUnresolved = errors.New("host does not resolve")
	// ErrNoEPMD: nothing answers as EPMD where the node should be registered.
	ErrNoEPMD = errors.New("no EPMD answers")
	// ErrNoSuchName: the EPMD answers and does not know the name.
	ErrNoSuchName = errors.New("no such name is registered")
	// ErrRefused: the name is registered, and nothing listens on its distribution port.
	ErrRefused = errors.New("connection refused")
	// ErrWrongCookie: the node does not accept our cookie.
	ErrWrongCookie = dist.ErrWrongCookie
	// ErrTimeout: the deadline passed; the text says what was being waited for.
	ErrTimeout = errors.New("timed out")
	// ErrNodeDown: the connection ended while something was expected from the node.
	ErrNodeDown = errors.New("node down")
	// ErrClosed: this node is closed.
	ErrClosed = errors.New("node closed")
	// ErrBadName: not a node name, name@host.
	ErrBadName = errors.New("not a node name (name@host)")
	// ErrNoName: what was asked for needs a Config.Name.
	ErrNoName = errors.New("this node has no name of its own")
	// ErrNameTaken: another process is registered under the name, or the process under another.
	ErrNameTaken = errors.New("name already registered")
	// ErrTLS: the two nodes do not agree on TLS, or on the other's certificate.
	ErrTLS = errors.New("TLS handshake failed")
)

// OpError is the error of every operation of this package: what was tried, on which node, and why it failed.
type OpError struct {
	Op   string // "connect", "ping", "call kv:get/1"
	Node string
	Err  error
}

func (e *OpError) Error() string {
	if e.Node == "" { // it did not come to a node
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Node, e.Op, e.Err)
}

func (e *OpError) Unwrap() error { return e.Err }

// NameError is an ErrNoSuchName with what the EPMD does know.
type NameError struct {
	EPMD  string   // host:port
	Alive string   // the name that it was asked for
	Known []string // the names that it has; nil if it did not tell
}

// maxNames is how many names an error lists: a line's worth.
const maxNames = 12

func (e *NameError) Error() string {
	text := fmt.Sprintf("%v with the EPMD at %s as %q", ErrNoSuchName, e.EPMD, e.Alive)
	switch n := len(e.Known); {
	case e.Known == nil:
		return text
	case n == 0:
		return text + "; it knows no name"
	case n > maxNames:
		text += fmt.Sprintf("; it knows %s and %d more", strings.Join(e.Known[:maxNames], ", "), n-maxNames)
	default:
		text += "; it knows " + strings.Join(e.Known, ", ")
	}
	return strings.Map(func(r rune) rune { // the names are whatever the EPMD says
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func (e *NameError) Unwrap() error { return ErrNoSuchName }

// ErlangError is an exception that a called function raised.
type ErlangError struct {
	Class  etf.Atom // throw, exit or error
	Reason etf.Term
	Stack  etf.List // [{M, F, ArityOrArgs, Location}]; nil unless Class is error
}

// Error gives class and reason as Erlang writes them, and where it happened when that is known.
func (e *ErlangError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Class, etf.Format(e.Reason))
	if at := e.top(); at != "" {
		b.WriteString(" in " + at)
	}
	return b.String()
}

// top is the innermost frame of the stack as M:F/A.
func (e *ErlangError) top() string {
	if len(e.Stack) == 0 {
		return ""
	}
	f, ok := e.Stack[0].(etf.Tuple)
	if !ok || len(f) < 3 {
		return ""
	}
	arity := f[2]
	if args, ok := arity.(etf.List); ok {
		arity = int64(len(args))
	}
	return fmt.Sprintf("%s:%s/%s", etf.Format(f[0]), etf.Format(f[1]), etf.Format(arity))
}

// timeout turns the end of ctx into ErrTimeout with what was being waited for; other ends stay what they are.
func timeout(ctx context.Context, waiting string) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w waiting for %s: %w", ErrTimeout, waiting, err)
	}
	return fmt.Errorf("waiting for %s: %w", waiting, err)
}
