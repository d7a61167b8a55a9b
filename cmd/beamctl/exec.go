package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

const joinHelp = `The variables are
  ERL_EPMD_PORT         the cluster's EPMD, for your own nodes (erl reads it by itself)
  BEAMCTL_NODES         the nodes' full names, comma-separated
  BEAMCTL_COOKIE_FILE   the file that holds their cookie; never put it on a command line, where others can read it
  BEAMCTL_CLUSTER_NAME  the cluster's name`

func (a *app) execCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec -- COMMAND [ARG...]",
		Short: "Run a command that can reach the cluster",
		Long: `Exec runs a command with what it needs to reach the nodes in its environment, and returns its exit code.
Signals are passed on.

` + joinHelp,
		Example: `  beamctl exec -- mix test --only real_nodes
  beamctl exec -- escript test/cluster_test.escript
  beamctl exec --timeout 5m -- make system-test`,
		Args: needCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.open()
			if err != nil {
				return &statusError{launcher.ExecFailed, err}
			}
			ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
			if a.timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, a.timeout)
			}
			defer cancel()
			status, err := c.Exec(ctx, launcher.ExecConfig{Streams: launcher.Streams{In: a.in, Out: a.out, Err: a.err}, Argv: args})
			if status == launcher.ExecTimedOut && errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%s timed out after %s", args[0], a.timeout)
			}
			if status == 0 && err == nil {
				return nil
			}
			return &statusError{status, err}
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
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
