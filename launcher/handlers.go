package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher/control"
)

// The operations of the control socket.
const (
	opStart  = "start"  // startArgs; events until the cluster is ready; once, over the socket that the supervisor is born with
	opStop   = "stop"   // stopArgs; events until nothing is left
	opStatus = "status" // → Status
)

// Codes of the errors that cross the control socket.
const (
	codeFinding  = "finding"   // Detail is a checks.Finding
	codeNotReady = "not-ready" // the same, and its cause is ErrNotReady
	codeEnded    = "ended"     // of a start that somebody ended
)

// toWire makes err cross the socket without losing what kind it is.
func toWire(err error) error {
	var f *checks.Finding
	var e *ending
	switch {
	case errors.As(err, &e):
		return &control.Error{Code: codeEnded, Message: err.Error()}
	case errors.As(err, &f):
		b, merr := json.Marshal(f)
		if merr != nil {
			return err
		}
		code := codeFinding
		if errors.Is(err, ErrNotReady) {
			code = codeNotReady
		}
		return &control.Error{Code: code, Message: err.Error(), Detail: b}
	default:
		return err
	}
}

// fromWire is its inverse.
func fromWire(err error) error {
	var e *control.Error
	if !errors.As(err, &e) || (e.Code != codeFinding && e.Code != codeNotReady) {
		return err
	}
	var f checks.Finding
	if json.Unmarshal(e.Detail, &f) != nil {
		return err
	}
	if e.Code == codeNotReady {
		f.Err = ErrNotReady
	}
	return &f
}

// handle answers the control socket.
func (s *supervisor) handle(ctx context.Context, req control.Request, emit func(any) error) (any, error) {
	switch req.Op {
	case opStart:
		var a startArgs
		if err := json.Unmarshal(req.Args, &a); err != nil {
			return nil, err
		}
		events, unfollow := s.events.follow()
		defer unfollow()
		select {
		case s.begin <- a: // has room for one
		default:
			return nil, errors.New("started already")
		}
		// The client takes the start back by hanging up, however that happens.
		abort := context.AfterFunc(ctx, func() { s.quit(&ending{reason: "whoever started it went away"}) })
		relay(events, emit, s.started)
		if a.Tied && s.startErr == nil {
			relay(events, emit, s.ended)
			abort()
			return nil, s.endErr
		}
		abort()
		return nil, toWire(s.startErr)
	case opStop:
		var a stopArgs
		if err := json.Unmarshal(req.Args, &a); err != nil {
			return nil, err
		}
		e := &ending{reason: "it was stopped"}
		if a.Keep {
			e.keep = Stopped
		}
		events, unfollow := s.events.follow()
		defer unfollow()
		s.quit(e)
		relay(events, emit, s.ended)
		return nil, s.endErr
	case opStatus:
		return s.measure(ctx), nil
	default:
		return nil, &control.Error{Code: control.CodeUnknown, Message: fmt.Sprintf("the supervisor doesn't know %q", req.Op)}
	}
}

// relay emits events until over is closed. A client that doesn't listen any more changes nothing here.
func relay(events <-chan Event, emit func(any) error, over <-chan struct{}) {
	for {
		select {
		case e := <-events:
			_ = emit(e)
		case <-over:
			for {
				select {
				case e := <-events:
					_ = emit(e)
				default:
					return
				}
			}
		}
	}
}
