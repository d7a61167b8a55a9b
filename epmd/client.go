package epmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Errors that are answers of a working EPMD. They come wrapped, with the name and the EPMD's address.
var (
	// ErrNotRegistered: no node of that name is registered.
	ErrNotRegistered = errors.New("name not registered")
	// ErrNameTaken: another node holds the name (an EPMD gives no other reason for a refusal, nor does OTP assume any).
	ErrNameTaken = errors.New("name already registered")
	// ErrRefused: the EPMD does not allow it (see -relaxed_command_check of epmd).
	ErrRefused = errors.New("refused by the EPMD")
)

// OpError says that an EPMD could not be asked or gave no proper answer: it is not there, it is silent, or it is
// something else. That a name is free or taken is an answer, not an OpError.
type OpError struct {
	Op   string // "lookup", "names", "dump", "kill", "stop", "register"
	Addr string // of the EPMD
	Err  error
}

func (e *OpError) Error() string { return fmt.Sprintf("epmd %s: %s: %v", e.Addr, e.Op, e.Err) }
func (e *OpError) Unwrap() error { return e.Err }

const (
	// replyTimeout is how long OTP waits for an EPMD's answer (erl_epmd.erl). The caller's ctx can only shorten it.
	replyTimeout = 10 * time.Second
	// maxListing bounds the reply to NAMES and DUMP: 4,096 names of the greatest length, or some 100,000 usual ones.
	maxListing = 4 << 20
	// maxReply bounds every other reply: the longest is PORT2_RESP, a tag and a result before what ALIVE2_REQ has.
	maxReply = maxRequest + 1
)

// Dialer is the part of [net.Dialer] that a [Client] needs.
type Dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client asks one EPMD. Every call uses a connection of its own, so a Client may be used by many goroutines at once. A call
// ends when ctx does, and after 10 seconds in any case.
type Client struct {
	Addr   string // host:port of the EPMD
	Dialer Dialer // nil: a [net.Dialer]
}

// defaultDialer sends no keep-alives: a lookup is over before the first, a registration is held on the same machine.
var defaultDialer Dialer = &net.Dialer{KeepAlive: -1} //nolint:gochecknoglobals // never changed

// Lookup returns what the node of that alive name registered. The error is ErrNotRegistered if there is none, an
// [*OpError] if the EPMD could not be asked.
func (c *Client) Lookup(ctx context.Context, alive string) (Node, error) {
	b, err := appendRequest(nil, request{op: opPort, name: alive})
	if err != nil {
		return Node{}, err
	}
	var n Node
	err = c.ask(ctx, "lookup", b, maxReply, func(reply []byte, _ bool) (err error) {
		n, err = parsePortReply(reply)
		return err
	})
	switch {
	case errors.Is(err, ErrNotRegistered):
		return Node{}, fmt.Errorf("epmd %s: %w: %s", c.Addr, ErrNotRegistered, alive)
	case err != nil:
		return Node{}, err
	case n.Name != alive:
		return Node{}, &OpError{"lookup", c.Addr, fmt.Errorf("%w: asked for %q, told of %q", ErrProtocol, alive, n.Name)}
	}
	return n, nil
}

// Names returns the registered names, as the EPMD lists them (epmd: the newest first).
func (c *Client) Names(ctx context.Context) (names []NamePort, err error) {
	err = c.ask(ctx, "names", []byte{0, 1, opNames}, maxListing, whole(func(reply []byte) (err error) {
		names, err = parseNames(reply)
		return err
	}))
	return names, err
}

// Dump returns the registered names and those remembered of earlier registrations.
func (c *Client) Dump(ctx context.Context) (entries []DumpEntry, err error) {
	err = c.ask(ctx, "dump", []byte{0, 1, opDump}, maxListing, whole(func(reply []byte) (err error) {
		entries, err = parseDump(reply)
		return err
	}))
	return entries, err
}

// Kill ends the EPMD. ErrRefused: it does not allow that (epmd does while no name is registered).
func (c *Client) Kill(ctx context.Context) error {
	answer, err := c.word(ctx, "kill", []byte{0, 1, opKill})
	switch {
	case err != nil:
		return err
	case answer == "OK":
		return nil
	case answer == "NO":
		return fmt.Errorf("epmd %s: kill: %w", c.Addr, ErrRefused)
	default:
		return &OpError{"kill", c.Addr, fmt.Errorf("%w: reply %q", ErrProtocol, answer)}
	}
}

// Stop unregisters a name that another holds. ErrRefused: the EPMD does not allow that, ErrNotRegistered: it
// has no such name.
func (c *Client) Stop(ctx context.Context, alive string) error {
	b, err := appendRequest(nil, request{op: opStop, name: alive})
	if err != nil {
		return err
	}
	answer, err := c.word(ctx, "stop", b)
	switch {
	case err != nil:
		return err
	case answer == "STOPPED":
		return nil
	case answer == "": // epmd closes the connection
		return fmt.Errorf("epmd %s: stop %s: %w", c.Addr, alive, ErrRefused)
	case strings.HasPrefix(answer, "NOEXIST"): // epmd sends STOPPED after it
		return fmt.Errorf("epmd %s: %w: %s", c.Addr, ErrNotRegistered, alive)
	default:
		return &OpError{"stop", c.Addr, fmt.Errorf("%w: reply %q", ErrProtocol, answer)}
	}
}

// word asks for a reply that is a word.
func (c *Client) word(ctx context.Context, op string, req []byte) (answer string, err error) {
	err = c.ask(ctx, op, req, maxReply, whole(func(reply []byte) error {
		answer = string(reply)
		return nil
	}))
	return answer, err
}

// ask sends a request on a new connection and gives the reply to parse, as receive does.
func (c *Client) ask(ctx context.Context, op string, req []byte, limit int, parse func([]byte, bool) error) error {
	conn, err := c.exchange(ctx, op, req, limit, parse)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// exchange is ask that leaves the connection open, for a registration, unless it returns an error.
func (c *Client) exchange(
	ctx context.Context, op string, req []byte, limit int, parse func([]byte, bool) error,
) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	dialer := c.Dialer
	if dialer == nil {
		dialer = defaultDialer
	}
	conn, err := dialer.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, &OpError{op, c.Addr, err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if _, err = conn.Write(req); err == nil {
		err = receive(conn, limit, parse)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx) // the AfterFunc may be about to set its deadline: the connection is of no use
	}
	if err == nil {
		return conn, nil
	}
	_ = conn.Close()
	if errors.Is(err, ErrNotRegistered) || errors.Is(err, ErrNameTaken) {
		return nil, err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return nil, &OpError{op, c.Addr, err}
}

// receive reads until parse has an opinion: anything but errShort. At the end of the input parse is told so.
func receive(r io.Reader, limit int, parse func(b []byte, end bool) error) error {
	b := make([]byte, 0, 512)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return err
		}
		if n > 0 || end {
			if perr := parse(b, end); !errors.Is(perr, errShort) {
				return perr
			}
		}
		switch {
		case end:
			return io.ErrUnexpectedEOF
		case len(b) >= limit:
			return fmt.Errorf("%w: a reply of more than %d bytes", ErrProtocol, limit)
		case len(b) == cap(b):
			b = append(make([]byte, 0, min(2*cap(b), limit)), b...)
		}
	}
}

// whole is for replies that end with the connection.
func whole(parse func([]byte) error) func([]byte, bool) error {
	return func(b []byte, end bool) error {
		if !end {
			return errShort
		}
		return parse(b)
	}
}
