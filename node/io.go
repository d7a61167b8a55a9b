package node

import (
	"context"
	"io"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// ioRequest is a request of the Erlang I/O protocol (stdlib, "The Erlang I/O Protocol"): {io_request, From, ReplyAs,
// Request}.
type ioRequest struct {
	from    etf.Pid
	replyAs etf.Term
	request etf.Term
}

var (
	ioOK         = etf.Term(etf.Atom("ok"))
	ioTerminated = etf.Term(etf.Tuple{etf.Atom("error"), etf.Atom("terminated")})
	ioNoSupport  = etf.Term(etf.Tuple{etf.Atom("error"), etf.Atom("enotsup")})
	ioRequestErr = etf.Term(etf.Tuple{etf.Atom("error"), etf.Atom("request")})
	ioEOF        = etf.Term(etf.Atom("eof"))
)

// maxPrinting is how many processes of one call may wait for their output to be taken at the same time: each waits for
// its reply before it asks again.
const maxPrinting = 256

func parseIORequest(msg etf.Tuple) (ioRequest, bool) {
	if len(msg) != 4 || msg[0] != etf.Atom("io_request") {
		return ioRequest{}, false
	}
	from, ok := msg[1].(etf.Pid)
	return ioRequest{from, msg[2], msg[3]}, ok
}

// offerIO hands a request to the goroutine of the call that to stands for, false if there is none, it takes none or has
// too many.
func (l *link) offerIO(to etf.Pid, req ioRequest) bool {
	l.mu.Lock()
	defer l.mu.Unlock() // so that finish, after it has forgotten the call, finds every request that was offered
	p := l.calls[pidNumber(to)]
	if p == nil || p.prints == nil || len(p.io) >= maxPrinting {
		return false
	}
	p.io = append(p.io, req)
	p.wantsToPrint()
	return true
}

// takeIO takes the first of what a call's processes want to print, and says in p.prints that there is more: what has
// not been taken counts against maxPrinting, and whoever takes can look for other things in between.
func (l *link) takeIO(p *pending) (ioRequest, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p.io) == 0 {
		return ioRequest{}, false
	}
	req := p.io[0]
	p.io[0] = ioRequest{}
	p.io = p.io[1:]
	if len(p.io) > 0 {
		p.wantsToPrint()
	}
	return req, true
}

// wantsToPrint wakes the goroutine of a call.
func (p *pending) wantsToPrint() {
	select {
	case p.prints <- struct{}{}:
	default:
	}
}

func (l *link) answerIO(req ioRequest, result etf.Term) error {
	return l.answer(dist.Control{Op: dist.OpSend, To: req.from}, etf.Tuple{etf.Atom("io_reply"), req.replyAs, result})
}

// serveIO answers a request of the process that runs a call, writing what it prints to w.
func (l *link) serveIO(ctx context.Context, req ioRequest, w io.Writer) error {
	text, result := l.ioText(ctx, req.request)
	if len(text) > 0 && w != nil {
		if _, err := w.Write(text); err != nil {
			result = ioTerminated
		}
	}
	return l.answerIO(req, result)
}

// ioText evaluates a request: what is to be printed, and the reply.
func (l *link) ioText(ctx context.Context, request etf.Term) ([]byte, etf.Term) {
	req, ok := request.(etf.Tuple)
	if !ok || len(req) == 0 {
		return nil, ioNoSupport
	}
	switch req[0] {
	case etf.Atom("put_chars"):
		return l.putChars(ctx, req)
	case etf.Atom("requests"):
		return l.ioRequests(ctx, req)
	case etf.Atom("get_line"), etf.Atom("get_chars"), etf.Atom("get_until"):
		return nil, ioEOF
	}
	return nil, ioNoSupport
}

// putChars: {put_chars, Encoding, Chars} | {put_chars, Encoding, M, F, A} | {put_chars, Chars}.
func (l *link) putChars(ctx context.Context, req etf.Tuple) ([]byte, etf.Term) {
	latin1 := len(req) == 2 || req[1] == etf.Atom("latin1")
	var chars etf.Term
	switch len(req) {
	case 2:
		chars = req[1]
	case 3:
		chars = req[2]
	case 5:
		m, ok1 := req[2].(etf.Atom)
		f, ok2 := req[3].(etf.Atom)
		args, ok3 := req[4].(etf.List)
		if !ok1 || !ok2 || !ok3 {
			return nil, ioRequestErr
		}
		var err error // mute: a function that makes text and prints doing so would have us call it for ever deeper
		if chars, err = l.call(ctx, &Request{Module: m, Function: f, Args: args, mute: true}); err != nil {
			return nil, ioRequestErr
		}
	default:
		return nil, ioRequestErr
	}
	text, err := etf.AppendChardata(nil, chars, latin1)
	if err != nil {
		return nil, ioRequestErr
	}
	return text, ioOK
}

// ioRequests: {requests, [Request]}, until one fails.
func (l *link) ioRequests(ctx context.Context, req etf.Tuple) (text []byte, result etf.Term) {
	if len(req) != 2 {
		return nil, ioRequestErr
	}
	reqs, ok := req[1].(etf.List)
	if !ok {
		return nil, ioRequestErr
	}
	result = ioOK
	for _, r := range reqs {
		if t, isTuple := r.(etf.Tuple); isTuple && len(t) > 0 && t[0] == etf.Atom("requests") {
			return text, ioRequestErr // they do not nest
		}
		var part []byte
		part, result = l.ioText(ctx, r)
		text = append(text, part...)
		if result != ioOK {
			break
		}
	}
	return text, result
}
