package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	// ErrNoServer says that nobody listens on the socket.
	ErrNoServer = errors.New("no supervisor answers")
	// ErrHungUp says that the supervisor closed the connection before the result: it has ended, or was killed.
	ErrHungUp = errors.New("the supervisor hung up")
)

// Call asks the server at the unix socket path; see [Do].
func Call(ctx context.Context, path, op string, args any, onEvent func(json.RawMessage)) (json.RawMessage, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	return Do(ctx, conn, op, args, onEvent)
}

// Do performs one operation over conn, which it closes, and returns its result. onEvent, unless nil, gets what comes
// before. Errors are *Error as the operation returned it, ErrHungUp, or ctx's.
func Do(ctx context.Context, conn net.Conn, op string, args any, onEvent func(json.RawMessage)) (json.RawMessage, error) {
	defer conn.Close() //nolint:errcheck // everything was read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()

	raw, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	req, err := json.Marshal(Request{Version: Version, Op: op, Args: raw})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if _, err := conn.Write(append(req, '\n')); err != nil {
		return nil, failure(ctx, op, err)
	}
	r := bufio.NewReader(conn)
	for {
		var a answer
		if err := readLine(r, &a); err != nil {
			return nil, failure(ctx, op, err)
		}
		switch {
		case a.Error != nil:
			return nil, a.Error
		case a.Event == nil:
			return a.Result, nil
		case onEvent != nil:
			onEvent(a.Event)
		}
	}
}

// failure tells why the stream broke: our own ctx, the other side, or something else.
func failure(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	var opErr *net.OpError
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &opErr) {
		return fmt.Errorf("%s: %w", op, ErrHungUp)
	}
	return fmt.Errorf("%s: %w", op, err)
}
