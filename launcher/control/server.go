package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Handler performs one request. It may send events with emit before it returns the result; each is encoded as JSON.
// An [*Error] goes to the client as it is, any other error as CodeFailed. ctx ends when the client hangs up or
// the server closes.
type Handler func(ctx context.Context, req Request, emit func(event any) error) (result any, err error)

// requestTimeout bounds how long a client may take for its request: it is on this machine and knows what it wants.
const requestTimeout = 20 * time.Second

// writeTimeout bounds how long a client may not read: the supervisor has better things to do.
const writeTimeout = 5 * time.Second

// Server answers requests on a unix socket.
type Server struct {
	handler Handler
	ctx     context.Context //nolint:containedctx // the server's own lifetime, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	closed   bool
}

// NewServer makes a server that listens nowhere yet.
func NewServer(h Handler) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{handler: h, ctx: ctx, cancel: cancel}
}

// Listen serves on a new unix socket of mode 0600 at path, until Close.
func (s *Server) Listen(path string) error {
	l, err := (&net.ListenConfig{}).Listen(s.ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	// The directory is closed to others, so nobody gets in between.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return fmt.Errorf("control socket: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return l.Close()
	}
	s.listener = l
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // out of file descriptors, say: what is open may close
				select {
				case <-time.After(10 * time.Millisecond):
					continue
				case <-s.ctx.Done():
					return
				}
			}
			_ = s.Go(conn)
		}
	})
	return nil
}

// Go answers the one request of conn, and closes it. The channel is closed when that is done, or was not asked for.
func (s *Server) Go(conn net.Conn) <-chan struct{} {
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		close(done)
		return done
	}
	s.wg.Go(func() { defer close(done); s.serve(conn) })
	return done
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // whatever is lost now, the client is told by the end of the stream
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	unblock := context.AfterFunc(s.ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer unblock()

	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	r := bufio.NewReader(conn)
	var req Request
	if err := readLine(r, &req); err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if s.ctx.Err() != nil {
		_ = conn.SetReadDeadline(time.Now())
	}
	var hangup sync.WaitGroup
	hangup.Go(func() { // nothing more is to come: whatever Read returns, the client is gone, or out of order
		_, _ = r.ReadByte()
		cancel()
	})
	defer hangup.Wait()
	defer conn.SetReadDeadline(time.Now()) //nolint:errcheck // before Wait: it ends the read

	var mu sync.Mutex
	send := func(a answer) error {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err = conn.Write(append(b, '\n'))
		return err
	}
	emit := func(event any) error {
		b, err := json.Marshal(event)
		if err != nil {
			return err
		}
		return send(answer{Event: b})
	}
	if req.Version != Version {
		_ = send(answer{Error: &Error{
			Code:    CodeVersion,
			Message: fmt.Sprintf("the supervisor speaks version %d of the control protocol, the client %d", Version, req.Version),
		}})
		return
	}
	result, err := s.handler(ctx, req, emit)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: CodeFailed, Message: err.Error()}
		}
		_ = send(answer{Error: e})
		return
	}
	b, err := json.Marshal(result)
	if err != nil {
		_ = send(answer{Error: &Error{Code: CodeFailed, Message: err.Error()}})
		return
	}
	_ = send(answer{Result: b})
}

// Close ends listening and all requests under way, and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.Wait(0)
}

// Wait refuses new requests, and waits for those under way; after timeout they are ended.
func (s *Server) Wait(timeout time.Duration) {
	s.mu.Lock()
	s.closed = true
	l := s.listener
	s.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	t := time.AfterFunc(timeout, s.cancel)
	defer t.Stop()
	s.wg.Wait()
}

var errLineTooLong = errors.New("line too long")

// readLine reads one JSON line into v.
func readLine(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return errLineTooLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return json.Unmarshal(line, v)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}
