package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/launcher"
)

const joinHelp = `The variables are
  ERL_EPMD_PORT         the cluster's EPMD, for your own nodes (erl reads it by itself)
  BEAMCTL_NODES         the nodes' full names, comma-separated
  BEAMCTL_COOKIE_FILE   the file that holds their cookie; never put it on a command line, where others can read it
  BEAMCTL_CLUSTER_NAME  the cluster's name
  ERL_FLAGS             where the nodes speak TLS or IPv6: yours, and what makes your own nodes do so, too`

// guestHelp is about --as-node.
const guestHelp = `With --as-node NAME the BEAM that the command is, or the first that it runs (erl, mix, rebar3, escript, ct_run), becomes a node of
the cluster, connected with all others: visible, or as a hidden node with --hidden. Its code doesn't change, and BEAMs that
it starts itself (peers, port programs) don't inherit the name. A remote shell (erl -remsh, iex --remsh) is one as well, with another HOME.
It is an error if NAME never registers.`

// guestFlags are those of commands that run a command.
type guestFlags struct {
	asNode string
	hidden bool
}

func (g *guestFlags) register(f *pflag.FlagSet) {
	f.StringVar(&g.asNode, "as-node", "", "make the command's BEAM the node of this name (name, or name@host)")
	f.BoolVar(&g.hidden, "hidden", false, "make it a hidden one")
}

// check refuses flags that mean nothing without others.
func (g *guestFlags) check() error {
	if g.hidden && g.asNode == "" {
		return usagef("--hidden is about the node that --as-node makes of the command: give it a name with --as-node NAME")
	}
	return nil
}

// execConfig is what the launcher gets to run.
func (a *app) execConfig(g guestFlags, argv []string) launcher.ExecConfig {
	return launcher.ExecConfig{
		Streams: launcher.Streams{In: a.in, Out: a.out, Err: a.err}, Argv: argv, AsNode: g.asNode, Hidden: g.hidden,
	}
}

func (a *app) execCmd() *cobra.Command {
	var (
		guest guestFlags
		stale bool
	)
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG...]",
		Short: "Run a command that can reach the cluster",
		Long: `Exec runs a command with what it needs to reach the nodes in its environment, and returns its exit code.
Signals are passed on.

It refuses (125) when a source was changed and not compiled since, or a node runs another version of a module than the disk has: a test
would test old code. "beamctl sync" brings the nodes up to date; --stale goes on with what they run. Of a node that was stopped, has crashed,
does not answer, or does not run its applications it warns on stderr, and runs the command all the same.

` + guestHelp + "\n\n" + joinHelp,
		Example: `  beamctl exec -- mix test --only real_nodes
  beamctl exec --as-node tests -- mix test
  beamctl exec -- escript test/cluster_test.escript
  beamctl exec --timeout 5m -- make system-test`,
		Args:        needCommand,
		Annotations: map[string]string{annotationOutputs: "table"}, // what there is to read is the command's
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := guest.check(); err != nil {
				return err
			}
			c, err := a.open()
			if err != nil {
				return &statusError{launcher.ExecFailed, err}
			}
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if a.timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, a.timeout)
			}
			defer cancel()
			st := look(ctx, c)
			if !stale {
				if err := c.Fresh(st); err != nil {
					return &statusError{launcher.ExecFailed, err}
				}
			}
			a.warn(append(absent(st), troubles(st)...))
			status, err := c.Exec(ctx, a.execConfig(guest, args))
			if status == launcher.ExecTimedOut && errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%s timed out after %s", args[0], a.timeout)
			}
			if status == 0 && err == nil {
				return nil
			}
			return &statusError{status, err}
		},
	}
	guest.register(cmd.Flags())
	staleFlag(cmd.Flags(), &stale)
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

// look returns a cluster's status; nil: its supervisor does not answer, which is another command's matter.
func look(ctx context.Context, c *launcher.Cluster) *launcher.Status {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	return st
}

func (a *app) envCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print what a shell needs to reach the cluster",
		Long:  "Env prints the variables that exec gives its command, for a shell to evaluate.\n\n" + joinHelp,
		Example: `  eval "$(beamctl env)"
  beamctl env -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.open()
			if err != nil {
				return err
			}
			env := c.Env()
			if a.output == "json" {
				return a.json(env)
			}
			for _, k := range slices.Sorted(maps.Keys(env)) {
				if _, err := fmt.Fprintf(a.out, "export %s=%s\n", k, shellQuote(env[k])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// shellQuote makes one word of s for any POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:@%+=", r)
	}
	if s != "" && !strings.ContainsFunc(s, plain) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
