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
	opFates  = "fates"  // → []fate
	opChange = "change" // changeArgs; events until it is done
	opPing   = "ping"   // nothing: it answers
	opNote   = "note"   // []Event of what a client has done to nodes
)

// Codes of the errors that cross the control socket.
const (
	codeFinding  = "finding"   // Detail is a checks.Finding, which it may be of other codes, too
	codeNotReady = "not-ready" // its cause is ErrNotReady
	codeEnded    = "ended"     // of a start or change whose cluster somebody ended
	codeNoNode   = "no-node"   // there is no such node
	codeSpec     = "spec"      // what is asked for cannot be a cluster
	codeStale    = "stale"     // the sources are newer than the code
)

// wireCodes are the codes of errors that are one of ours.
var wireCodes = []struct {
	code string
	err  error
}{{codeNotReady, ErrNotReady}, {codeNoNode, ErrNoNode}, {codeSpec, ErrSpec}, {codeStale, ErrStale}}

// toWire makes err cross the socket without losing what kind it is.
func toWire(err error) error {
	if _, ok := errors.AsType[*ending](err); ok {
		return &control.Error{Code: codeEnded, Message: err.Error()}
	}
	code := ""
	for _, c := range wireCodes {
		if errors.Is(err, c.err) {
			code = c.code
		}
	}
	var detail json.RawMessage
	if f, ok := errors.AsType[*checks.Finding](err); ok {
		b, merr := json.Marshal(f)
		if merr != nil {
			return err
		}
		if detail = b; code == "" {
			code = codeFinding
		}
	}
	if code == "" {
		return err
	}
	return &control.Error{Code: code, Message: err.Error(), Detail: detail}
}

// remote is an error of the supervisor's that is also one of ours.
type remote struct {
	wire *control.Error
	is   error
}

func (r remote) Error() string   { return r.wire.Message }
func (r remote) Unwrap() []error { return []error{r.wire, r.is} }

// fromWire is its inverse.
func fromWire(err error) error {
	var e *control.Error
	if !errors.As(err, &e) {
		return err
	}
	var is error
	for _, c := range wireCodes {
		if e.Code == c.code {
			is = c.err
		}
	}
	var f checks.Finding
	if e.Detail != nil && json.Unmarshal(e.Detail, &f) == nil {
		if f.Err = is; f.Error() == e.Message {
			return &f
		}
	}
	if is != nil {
		return remote{e, is}
	}
	return err
}

// startResult is what a start that didn't fail has to say.
type startResult struct {
	Partial *checks.Finding `json:"partial,omitempty"` // nodes that did not start, in a cluster that runs without them
}

// finding makes one of whatever err is.
func finding(err error) *checks.Finding {
	if f, ok := errors.AsType[*checks.Finding](err); ok && f.Error() == err.Error() {
		return f
	}
	return &checks.Finding{What: err.Error(), Err: err}
}

// handle answers the control socket.
func (s *supervisor) handle(ctx context.Context, req control.Request, emit func(any) error) (any, error) {
	switch req.Op {
	case opStart:
		return s.handleStart(ctx, req.Args, emit)
	case opChange:
		return nil, s.handleChange(ctx, req.Args, emit)
	case opStop:
		return nil, s.handleStop(req.Args, emit)
	case opPing:
		return nil, nil
	case opStatus:
		return s.measure(ctx), nil
	case opNote:
		return nil, s.noted(req.Args)
	case opFates:
		return s.fates(ctx), nil
	default:
		return nil, &control.Error{Code: control.CodeUnknown, Message: fmt.Sprintf("the supervisor doesn't know %q", req.Op)}
	}
}

// handleStart has the cluster started, and tells how; of one that is tied, how it ended.
func (s *supervisor) handleStart(ctx context.Context, args json.RawMessage, emit func(any) error) (any, error) {
	var a startArgs
	if err := json.Unmarshal(args, &a); err != nil {
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
	if s.startErr == nil && s.partial != nil {
		return startResult{Partial: finding(s.partial)}, nil
	}
	return nil, toWire(s.startErr)
}

// handleChange starts and stops nodes.
func (s *supervisor) handleChange(ctx context.Context, args json.RawMessage, emit func(any) error) error {
	var a changeArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return err
	}
	events, unfollow := s.events.follow()
	defer unfollow()
	done := make(chan struct{})
	var err error
	go func() { err = s.change(ctx, a); close(done) }()
	relay(events, emit, done)
	return toWire(err)
}

// handleStop ends the cluster.
func (s *supervisor) handleStop(args json.RawMessage, emit func(any) error) error {
	var a stopArgs
	if err := json.Unmarshal(args, &a); err != nil {
		return err
	}
	e := &ending{reason: "it was stopped"}
	if a.Keep {
		e.keep = Stopped
	}
	events, unfollow := s.events.follow()
	defer unfollow()
	s.quit(e)
	relay(events, emit, s.ended)
	return s.endErr
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
