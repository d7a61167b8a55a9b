package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/remsh"
)

// shellTimeout is how long it may take to get in, if --timeout doesn't say otherwise.
const shellTimeout = 30 * time.Second

func (a *app) shellCmd() *cobra.Command {
	var (
		at   attachment
		lang string
	)
	cmd := &cobra.Command{
		Use:   "shell [NODE]",
		Short: "Open the Erlang shell or IEx of a node",
		Long: `Shell opens a shell on a node, the cluster's first if none is named: IEx where Elixir runs, else the Erlang shell. Any
other node is named in full (name@host), with --cookie-file. No erl is needed here, and the node shows it to nobody: it is
not in nodes().

Keys, history and completion are those of the node's own shell. Besides:
  Ctrl-C   interrupts what is being evaluated
  Ctrl-D   at an empty prompt leaves the shell
  Ctrl-\   leaves at any time, also when the node no longer answers
  Ctrl-G   asks whether to continue, interrupt or quit
Leaving ends the shell and what it evaluates, and nothing else; the node goes on, as do processes that you have spawned. But
q(), init:stop() and System.halt() stop the node, as they do in any remote shell.

Without a terminal, in a pipe, it evaluates its input line by line and prints what that prints, results included. Such a
shell ends with its input. What is wrong in a line is printed, too, and is no error of beamctl;
but an input that ends in the middle of an expression of Elixir is one.

--timeout is for getting in; what comes then takes as long as it takes.`,
		Example: `  beamctl shell
  beamctl shell node2
  echo 'nodes().' | beamctl shell node2 --lang erlang
  beamctl shell rabbit@db1 --cookie-file /var/lib/rabbitmq/.erlang.cookie`,
		Annotations: map[string]string{annotationOutputs: "table"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("shell opens one node's: beamctl shell NODE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			language := remsh.Language(lang)
			if lang != "" {
				if err := oneOf("lang", lang, string(remsh.Erlang), string(remsh.Elixir)); err != nil {
					return err
				}
			}
			t, err := a.shellTarget(args, at)
			if err != nil {
				return err
			}
			return a.shell(cmd.Context(), t, language)
		},
	}
	at.attachFlag(cmd.Flags())
	at.cookieFlag(cmd.Flags())
	cmd.Flags().StringVar(&lang, "lang", "", "which shell: erlang or elixir (default: elixir where it runs)")
	return cmd
}

// shellTarget is the node that is named, or the first.
func (a *app) shellTarget(args []string, at attachment) (checks.Target, error) {
	if len(at.nodes) == 0 && len(args) == 1 {
		return a.target(args[0], at)
	}
	var (
		targets []checks.Target
		err     error
	)
	if len(at.nodes) > 0 {
		targets, err = at.targets()
	} else {
		targets, err = a.clusterTargets()
	}
	if err != nil {
		return checks.Target{}, err
	}
	if len(args) == 0 {
		return targets[0], nil
	}
	i := slices.IndexFunc(targets, func(t checks.Target) bool {
		alive, _, _ := strings.Cut(t.Name, "@")
		return args[0] == t.Name || args[0] == alive
	})
	if i < 0 {
		return checks.Target{}, usagef("%s is none of the nodes that --attach names", args[0])
	}
	return targets[i], nil
}

func (a *app) shell(ctx context.Context, t checks.Target, language remsh.Language) error {
	n, err := node.Start(node.Config{})
	if err != nil {
		return err
	}
	defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
	if err := n.AddPeer(t.Peer()); err != nil {
		return err
	}
	ctx, stop := signalled(ctx)
	defer stop()
	timeout := shellTimeout
	if a.timeout > 0 {
		timeout = a.timeout
	}
	getIn, cancel := context.WithTimeout(ctx, timeout)
	s, err := remsh.Open(getIn, n, t.Name, language)
	cancel()
	if err == nil {
		in, isFile := a.in.(*os.File)
		if isFile && a.outTTY && term.IsTerminal(int(in.Fd())) {
			err = a.terminal(ctx, s, in)
		} else {
			err = s.Pipe(ctx, a.in, a.out)
		}
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, remsh.ErrLineTooLong) || errors.Is(err, remsh.ErrUnfinished) {
		return err
	}
	return shellFailed(a.explained(ctx, t)[0], err)
}

// shellFailed explains what has ended a shell, or kept it from starting.
func shellFailed(t checks.Target, err error) error {
	f := checks.Unreachable(t, err)
	switch {
	case errors.Is(err, remsh.ErrNoElixir):
		f.What, f.Fix = t.Name+" has no IEx: Elixir does not run there", "take the Erlang shell: --lang erlang"
	case errors.Is(err, node.ErrNodeDown):
		f.What = "the connection to " + t.Name + " is lost"
		if t.Down == nil {
			f.Cause = "the node has stopped or crashed, or stood still or was cut off for longer than its ticks allow"
			f.Fix = "see whether it runs, and look at its log: beamctl status, beamctl logs"
		}
	}
	return f
}

// signalled returns a context that ends with the signals that would end us, so that a terminal is left as it was.
func signalled(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// terminal has the user work with the shell at our terminal.
func (a *app) terminal(ctx context.Context, s *remsh.Shell, in *os.File) error {
	fd := int(in.Fd())
	elixir, stops := "", "q()"
	if s.Elixir != "" {
		elixir = ", Elixir " + s.Elixir
	}
	if s.Language == remsh.Elixir {
		stops = "System.halt()"
	}
	a.say(`Connected to %s (OTP %d%s). Ctrl-D leaves, Ctrl-\ at any time, and the node goes on; %s would stop it.`, s.Node, s.OTP, elixir, stops)
	was, err := term.MakeRaw(fd)
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	defer term.Restore(fd, was) //nolint:errcheck // there is nobody left to tell
	resized, stop := windowChanges()
	defer stop()
	return s.Terminal(ctx, remsh.Terminal{
		In: in, Out: a.out, Resized: resized,
		Size: func() (columns, rows int) {
			columns, rows, _ = term.GetSize(fd)
			return columns, rows
		},
	})
}

// windowChanges tells when the terminal's size changes. Changes that come together are told once.
func windowChanges() (<-chan struct{}, func()) {
	signals, changed, done := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case changed <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return changed, func() { signal.Stop(signals); close(done) }
}
