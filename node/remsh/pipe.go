package remsh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// MaxLine is how long a line of the input of Pipe may be, in bytes.
const MaxLine = 1 << 20

// Pipe starts the shell, has it evaluate the lines of in as if they were typed, and writes to out what is printed
// meanwhile: results and output, but neither prompts nor what was typed. It ends, with a nil error, when all of in is
// evaluated, or the shell has ended. A mistake in a line is told in out, as at a terminal, and ends nothing; IEx is
// silent on an expression that in breaks off: ErrUnfinished. For other errors, and what is left on the node (nothing),
// see Terminal. in is read line by line when the shell wants one, and perhaps once more after a Pipe that ended before
// in did.
func (s *Shell) Pipe(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := spawn(ctx, s.n, s.Node, s.start(), nil)
	if err != nil {
		return cause(ctx, err)
	}
	defer r.close()
	p := &pipe{remote: r, out: out, tellEOF: s.Language == Elixir, wanted: make(chan struct{}, 1), lines: make(chan lineRead)}
	go guarded(cancel, func() { readLines(in, p.wanted, p.lines, ctx.Done()) })
	messages, wait := r.messages(ctx, cancel)
	defer wait()
	defer cancel(nil)
	for {
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case msg := <-messages:
			err = p.message(ctx, msg)
		case l := <-p.lines:
			p.reading = false
			if l.err != nil {
				return l.err
			}
			p.unread, p.eof = l.text, l.text == nil
			err = p.collect(ctx)
		}
		if err != nil {
			return cause(ctx, err)
		}
	}
}

// lineRead is a line of the input with its newline, nil at the end.
type lineRead struct {
	text []byte
	err  error
}

// readLines reads a line each time one is wanted.
func readLines(in io.Reader, wanted <-chan struct{}, lines chan<- lineRead, stop <-chan struct{}) {
	r := bufio.NewReader(in)
	for {
		select {
		case <-wanted:
		case <-stop:
			return
		}
		l := readLine(r)
		select {
		case lines <- l:
		case <-stop:
			return
		}
	}
}

func readLine(r *bufio.Reader) (l lineRead) {
	for {
		part, err := r.ReadSlice('\n')
		l.text = append(l.text, part...)
		switch {
		case len(l.text) > MaxLine:
			return lineRead{err: fmt.Errorf("%w: more than %d bytes", ErrLineTooLong, MaxLine)}
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return lineRead{err: fmt.Errorf("input: %w", err)}
		}
		return l
	}
}

// maxWaiting is how many processes may wait for input at the same time: those that the user has started.
const maxWaiting = 1000

// pipe is a shell without a terminal: we are its group leader, an Erlang I/O server (stdlib, "The Erlang I/O Protocol").
type pipe struct {
	*remote
	out     io.Writer
	tellEOF bool // the shell ends well at the end of its input; an Erlang shell would halt the node
	wanted  chan struct{}
	lines   chan lineRead
	reading bool // a line is wanted and has not come

	unread  []byte   // of the input; nil: nothing
	left    etf.Term // what the last to be served has left over: characters, nil for none
	eof     bool     // the input has ended
	midway  bool     // who was last told so was IEx within an expression
	binary  bool     // input is wanted as binaries
	waiting []*input // the first is being served
}

// input is a request for input.
type input struct {
	ioRequest
	collect  etf.Atom // the function of io_lib that takes characters until it has enough
	argument etf.Term
	more     bool // see morePrompt
	encoding etf.Atom
	state    etf.Term // collect's
}

// ioRequest is {io_request, From, ReplyAs, Request}.
type ioRequest struct {
	from    etf.Pid
	replyAs etf.Term
}

func (p *pipe) message(ctx context.Context, msg any) error {
	switch msg := msg.(type) {
	case node.Down:
		err := p.ended(msg.Reason)
		if p.midway && errors.Is(err, errEnd) {
			return ErrUnfinished
		}
		return err
	case etf.Tuple:
		if len(msg) != 4 || msg[0] != etf.Atom("io_request") {
			return nil
		}
		from, ok := msg[1].(etf.Pid)
		if !ok {
			return nil
		}
		return p.request(ctx, ioRequest{from, msg[2]}, msg[3])
	}
	return nil
}

// request serves a request, or lets it wait for input.
func (p *pipe) request(ctx context.Context, r ioRequest, req etf.Term) error {
	if in := inputRequest(r, req); in != nil {
		if len(p.waiting) >= maxWaiting {
			return p.reply(ctx, r, failure("terminated"))
		}
		if p.waiting = append(p.waiting, in); len(p.waiting) == 1 {
			return p.collect(ctx)
		}
		return nil
	}
	result, err := p.output(ctx, req)
	if err != nil {
		return err
	}
	return p.reply(ctx, r, result)
}

// start is the state of a collecting function that has taken nothing yet.
const start = etf.Atom("start")

// morePrompt is what IEx's continuation prompt begins with, unless the node has configured another (IEx.configure/1).
// It is what tells that more of an expression is wanted up to Elixir 1.19. Later the function that collects, IEx's
// parser, keeps what is not complete.
const morePrompt = "...("

// inputRequest reads a request for input: {get_line, Encoding, Prompt}, {get_chars, Encoding, Prompt, N} or {get_until,
// Encoding, Prompt, M, F, Args}.
func inputRequest(r ioRequest, req etf.Term) *input {
	name, args := split1(req)
	in := &input{ioRequest: r, state: start}
	switch {
	case name == "get_line" && len(args) == 2:
		in.collect, in.argument = "collect_line", etf.List{}
	case name == "get_chars" && len(args) == 3:
		in.collect, in.argument = "collect_chars", args[2]
	case name == "get_until" && len(args) == 5:
		in.collect, in.argument = "get_until", args[2:]
	default:
		return nil
	}
	in.encoding, _ = args[0].(etf.Atom)
	in.more = bytes.HasPrefix(chars(args[1]), []byte(morePrompt))
	return in
}

// collect serves those who wait for input as long as there is some.
func (p *pipe) collect(ctx context.Context) error {
	for len(p.waiting) > 0 && !p.reading {
		in := p.waiting[0]
		data, ok := p.take()
		if !ok {
			p.reading = true
			p.wanted <- struct{}{}
			return nil
		}
		result, err := p.n.Call(ctx, p.name, "io_lib", in.collect, in.state, data, in.encoding, in.argument)
		if err != nil {
			return err
		}
		stop, ok := result.(etf.Tuple)
		if !ok || len(stop) != 3 || stop[0] != etf.Atom("stop") {
			in.state = result
			continue
		}
		if p.eof && isEOF(stop[1]) {
			if !p.tellEOF {
				return errEnd
			}
			p.midway = in.more || in.state != start
		}
		p.left = nil
		if rest := chars(stop[2]); len(rest) > 0 {
			p.left = stop[2]
		}
		p.waiting = p.waiting[1:]
		if err := p.reply(ctx, in.ioRequest, stop[1]); err != nil {
			return err
		}
	}
	return nil
}

// isEOF recognizes eof and {eof, Location}.
func isEOF(t etf.Term) bool {
	name, _ := split1(t)
	return name == "eof"
}

// take returns characters for a collecting function, the atom eof at the end; false: a line has to be read first.
func (p *pipe) take() (etf.Term, bool) {
	if left := p.left; left != nil {
		p.left = nil
		return left, true
	}
	if p.eof {
		return etf.Atom("eof"), true
	}
	text := p.unread
	if p.unread = nil; text == nil {
		return nil, false
	}
	if p.binary {
		return text, true
	}
	return etf.Charlist(text), true
}

func failure(reason etf.Atom) etf.Term { return etf.Tuple{etf.Atom("error"), reason} }

func (p *pipe) reply(ctx context.Context, r ioRequest, result etf.Term) error {
	return p.p.Send(ctx, r.from, etf.Tuple{etf.Atom("io_reply"), r.replyAs, result})
}

// output serves a request that is not for input, and returns the reply.
func (p *pipe) output(ctx context.Context, req etf.Term) (etf.Term, error) {
	name, args := split1(req)
	switch {
	case name == "put_chars" && (len(args) == 1 || len(args) == 3): // without an encoding: from before OTP R13
		args = append(etf.Tuple{etf.Atom("latin1")}, args...)
		fallthrough
	case name == "put_chars" && (len(args) == 2 || len(args) == 4):
		return p.print(ctx, args)
	case name == "requests" && len(args) == 1:
		list, _ := args[0].(etf.List)
		result := etf.Term(etf.Atom("ok"))
		for _, r := range list {
			if name, _ := split1(r); name == "requests" {
				return failure("request"), nil // they do not nest
			}
			var err error
			if result, err = p.output(ctx, r); err != nil || result != etf.Atom("ok") {
				return result, err
			}
		}
		return result, nil
	case name == "setopts" && len(args) == 1:
		if opts, ok := args[0].(etf.List); ok {
			if v, ok := opts.Lookup("binary"); ok {
				p.binary = v == etf.Atom("true")
			} else if v, ok := opts.Lookup("list"); ok {
				p.binary = v != etf.Atom("true")
			}
		}
		return etf.Atom("ok"), nil
	case name == "getopts" && len(args) == 0:
		return p.options(), nil
	case name == "get_geometry":
		return failure("enotsup"), nil
	}
	return failure("request"), nil
}

// options is what io:getopts/1 returns; it is no terminal.
func (p *pipe) options() etf.Term {
	var opts etf.List
	for name, value := range map[etf.Atom]etf.Term{
		"expand_fun": false, "echo": false, "binary": p.binary, "encoding": etf.Atom("unicode"),
		"terminal": false, "stdin": false, "stdout": false, "stderr": false,
	} {
		opts = append(opts, etf.Tuple{name, value})
	}
	return opts
}

// print is {put_chars, Encoding, Chars} or {put_chars, Encoding, M, F, Args}.
func (p *pipe) print(ctx context.Context, args etf.Tuple) (etf.Term, error) {
	text := args[1]
	if len(args) == 4 {
		module, ok1 := args[1].(etf.Atom)
		function, ok2 := args[2].(etf.Atom)
		list, ok3 := args[3].(etf.List)
		if !ok1 || !ok2 || !ok3 {
			return failure("request"), nil
		}
		made, err := p.n.Call(ctx, p.name, module, function, list...)
		if _, raised := errors.AsType[*node.ErlangError](err); raised {
			return failure(function), nil
		}
		if err != nil {
			return nil, err
		}
		text = made
	}
	b, err := etf.AppendChardata(nil, text, args[0] == etf.Atom("latin1"))
	if err != nil {
		return failure("put_chars"), nil //nolint:nilerr // it is the process's, who is told
	}
	if bannerOf(b) {
		return etf.Atom("ok"), nil
	}
	if _, err := p.out.Write(b); err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return etf.Atom("ok"), nil
}
