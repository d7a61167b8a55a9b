package remsh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// silence is how long an interrupted node may say nothing before the user is told how to get out without it.
const silence = 3 * time.Second

// firstWithEdit26 is the release whose line editor edits several lines.
const firstWithEdit26 = 26

// Terminal is what the user sits at: an xterm or its like, in raw mode.
type Terminal struct {
	In  io.Reader // keys; it is read until it ends, and perhaps once more after the session
	Out io.Writer
	// Size returns the terminal's size; 0, 0: unknown, which is taken for 80x24.
	Size func() (columns, rows int)
	// Resized tells, if it is not nil, that the size may have changed.
	Resized <-chan struct{}
}

// Terminal starts the shell and has the user work with it, until Ctrl-D at an empty prompt, Ctrl-\ at any time, or the
// end of t.In: then the error is nil. It is nil, too, when the shell ends by itself. Otherwise it is ctx's cause, or
// that the node went down (node.ErrNodeDown). A shell that crashes, as completion makes those of some releases do, is
// told, and replaced by a new one. In every case what runs on the node for the session has ended, or ends as soon as
// the node notices; processes that the user has spawned go on.
//
// Ctrl-C interrupts what the shell evaluates. Ctrl-G asks what to do.
//
// The node of the Shell answers calls of group:whereis_shell/0 from then on, for the last such session.
func (s *Shell) Terminal(ctx context.Context, t Terminal) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := newSession(s, t)
	defer x.restore()
	// It may wait for a key until long after the session, and is not waited for.
	go guarded(cancel, func() { readKeys(t.In, x.typed, ctx.Done(), cancel) })
	for {
		err := x.run(ctx)
		exit, crashed := errors.AsType[*node.ExitError](err)
		if !crashed || !x.spoken || ctx.Err() != nil {
			return cause(ctx, err)
		}
		x.canvas.leave()
		x.canvas.screen.note("*** The shell has crashed: %s. This is a new one.", reasonOf(exit.Reason))
	}
}

// session is a user at a terminal. Everything is done by one goroutine; two more wait for keys and for messages.
type session struct {
	*remote
	shell    *Shell
	terminal Terminal
	typed    chan key
	canvas   *canvas
	editor   editor
	silent   *time.Timer // runs while an interrupted node says nothing
	menu     bool        // the next key is an answer to Ctrl-G

	// Of the present shell.
	spoken bool     // it has said something
	reason etf.Term // why it has ended, when that is told before its group ends
}

func newSession(s *Shell, t Terminal) *session {
	cols, rows := t.Size()
	c := &canvas{screen: newScreen(t.Out, cols, rows)}
	c.clear()
	x := &session{shell: s, terminal: t, typed: make(chan key), canvas: c, editor: edit23{c}, silent: time.NewTimer(silence)}
	x.silent.Stop()
	if s.OTP >= firstWithEdit26 {
		c.bare, x.editor = true, edit26{c}
	}
	c.screen.write(bracketedPasteOn)
	return x
}

// restore leaves the terminal with the cursor below all that was written.
func (x *session) restore() {
	x.silent.Stop()
	x.canvas.leave()
	if x.canvas.screen.origin > 0 {
		x.canvas.screen.print([]byte("\n"))
	}
	x.canvas.screen.write(bracketedPasteOff)
	_ = x.canvas.screen.flush()
}

// run starts a shell, and returns why it has ended.
func (x *session) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	x.spoken, x.reason = false, nil
	if x.remote, err = spawn(ctx, x.shell.n, x.shell.Node, x.shell.start(), etf.List{}); err != nil {
		cancel(nil)
		return err
	}
	defer x.close()
	messages, wait := x.messages(ctx, cancel)
	defer wait()
	defer cancel(nil)
	for {
		if err := x.canvas.screen.flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case k := <-x.typed:
			err = x.key(ctx, k)
		case msg := <-messages:
			x.silent.Stop()
			err = x.message(ctx, msg)
		case <-x.terminal.Resized:
			x.canvas.resize(x.terminal.Size())
		case <-x.silent.C:
			x.canvas.leave()
			x.canvas.screen.note("*** %s does not answer. Ctrl-\\ leaves.", x.name)
		}
		if err != nil {
			return err
		}
	}
}

// reasonOf is an exit reason without the stack that it may have.
func reasonOf(reason etf.Term) string {
	if t, ok := reason.(etf.Tuple); ok && len(t) == 2 {
		if stack, ok := t[1].(etf.List); ok && len(stack) > 0 {
			return brief(t[0])
		}
	}
	return brief(reason)
}

// key does what a key, or some text, asks for.
func (x *session) key(ctx context.Context, k key) error {
	if x.menu {
		return x.choose(ctx, k)
	}
	switch k.key {
	case keyInterrupt:
		return x.interrupt(ctx)
	case keyMenu:
		x.menu = true
		x.canvas.screen.leave()
		x.canvas.screen.print([]byte("\n(c)ontinue, (i)nterrupt what runs, (q)uit this shell: "))
		return nil
	case keyEOF:
		if x.canvas.blank() {
			return errEnd
		}
		k.text = string(rune(keyEOF))
	}
	// A list, and not the binary that later releases send themselves: all take it, as ssh_cli has always sent it.
	return x.send(ctx, etf.Tuple{x.us, etf.Tuple{etf.Atom("data"), etf.Charlist(k.text)}})
}

// choose answers the question that Ctrl-G asks.
func (x *session) choose(ctx context.Context, k key) error {
	x.menu = false
	x.canvas.screen.print([]byte("\n"))
	x.canvas.show()
	switch answer := strings.ToLower(k.text); {
	case k.key == keyEOF || strings.HasPrefix(answer, "q"):
		return errEnd
	case k.key == keyInterrupt || strings.HasPrefix(answer, "i"):
		return x.interrupt(ctx)
	}
	return nil
}

func (x *session) interrupt(ctx context.Context) error {
	if !x.canvas.empty() { // the group forgets the line, and does not say so
		x.canvas.leave()
		x.canvas.screen.print([]byte("\n"))
	}
	x.silent.Reset(silence)
	if err := x.p.Kill(ctx, x.first, etf.Atom("interrupt")); err != nil {
		return x.failed(err)
	}
	return nil
}

func (x *session) send(ctx context.Context, msg etf.Term) error { return x.p.Send(ctx, x.first, msg) }

// message does what a message to our process asks for.
func (x *session) message(ctx context.Context, msg any) error {
	switch msg := msg.(type) {
	case node.Down:
		if x.reason != nil && msg.Reason != etf.Atom("noconnection") {
			msg.Reason = x.reason
		}
		return x.ended(msg.Reason)
	case node.Exit: // since OTP 28 the group tells so why the shell has ended
		if x.reason == nil {
			x.reason = msg.Reason
		}
	case etf.Tuple:
		switch {
		case len(msg) == 2 && msg[0] == x.keeper:
			shell := msg[1]
			x.n.Handle("group", "whereis_shell", func(context.Context, []etf.Term) (etf.Term, error) { return shell, nil })
		case len(msg) >= 2 && msg[0] == x.first:
			if !x.spoken {
				x.spoken = true
				if err := x.p.Send(ctx, x.keeper, etf.Atom("group")); err != nil {
					return err
				}
			}
			return x.asked(ctx, msg[1:])
		}
	}
	return nil
}

// asked does what the group asks of its driver; see user_drv:server/3.
func (x *session) asked(ctx context.Context, args etf.Tuple) error {
	name, more := split1(args[0])
	switch name {
	case "tty_geometry":
		cols, rows := x.canvas.screen.cols, x.canvas.screen.rows
		return x.answer(ctx, name, etf.Tuple{cols, rows})
	case "get_unicode_state", "set_unicode_state":
		return x.answer(ctx, name, etf.Atom("true"))
	case "get_terminal_state":
		return x.answer(ctx, name, terminalState(x.shell.OTP))
	case "open_editor": // the line as it was, without the newline at its end: there is no editor here
		if len(more) == 1 {
			x.canvas.screen.beep()
			text := bytes.TrimSuffix(chars(more[0]), []byte("\n"))
			return x.send(ctx, etf.Tuple{x.us, etf.Tuple{etf.Atom("editor_data"), etf.Charlist(text)}})
		}
	case "put_chars_sync":
		if len(more) == 3 {
			return x.print(ctx, more)
		}
	case "put_ansi_sync":
		if len(more) == 3 {
			return x.printAnsi(ctx, more)
		}
	default:
		x.editor.request(args[0])
	}
	return nil
}

// terminalState tells which of the standard streams are terminals.
func terminalState(otp int) etf.Term {
	if otp <= firstWithEdit26 {
		return etf.Atom("true")
	}
	yes := etf.Atom("true")
	return etf.Map{{Key: etf.Atom("stdin"), Value: yes}, {Key: etf.Atom("stdout"), Value: yes}, {Key: etf.Atom("stderr"), Value: yes}}
}

// answer is what a request without an own reference is answered with.
func (x *session) answer(ctx context.Context, name etf.Atom, value etf.Term) error {
	return x.send(ctx, etf.Tuple{x.us, name, value})
}

// print is {put_chars_sync, Encoding, Chars, ReplyTo}: what a program prints. It waits for the reply.
func (x *session) print(ctx context.Context, args etf.Tuple) error {
	text, err := etf.AppendChardata(nil, args[1], args[0] == etf.Atom("latin1"))
	if err == nil && !bannerOf(text) {
		x.canvas.print(text)
		if err := x.canvas.screen.flush(); err != nil {
			return err
		}
	}
	return x.reply(ctx, args[2], etf.Atom("ok"))
}

// printAnsi is {put_ansi_sync, Options, Ansi, ReplyTo}, since OTP 29. What sequences that makes is left to the node.
func (x *session) printAnsi(ctx context.Context, args etf.Tuple) error {
	options := args[0]
	if list, ok := options.(etf.List); ok {
		options = append(etf.List{etf.Tuple{etf.Atom("reset"), etf.Atom("false")}}, list...)
	}
	text, err := x.n.Call(ctx, x.name, "io_ansi", "format", etf.List{args[1]}, etf.List{}, options)
	if err != nil {
		return x.reply(ctx, args[2], etf.Tuple{etf.Atom("error"), etf.Tuple{etf.Atom("put_ansi"), etf.Atom("unicode"), args[1]}})
	}
	return x.print(ctx, etf.Tuple{etf.Atom("unicode"), text, args[2]})
}

func (x *session) reply(ctx context.Context, to, result etf.Term) error {
	if x.shell.OTP < firstWithEdit26 { // to has the result in it
		return x.send(ctx, etf.Tuple{etf.Atom("reply"), to})
	}
	return x.send(ctx, etf.Tuple{etf.Atom("reply"), to, result})
}
