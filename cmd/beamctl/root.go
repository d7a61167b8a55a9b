package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// annotationOutputs lists the values of --output of a command that has others than table and json.
const annotationOutputs = "outputs"

// app is what all commands share: streams and global flags.
type app struct {
	streams
	cluster  string
	stateDir string
	project  string // the directory of the one that the command is about; "": not known, or that of the current directory
	timeout  time.Duration
	output   string
	quiet    bool
	noColor  bool
}

// errInterrupted is the cause of ending by SIGINT or SIGTERM.
var errInterrupted = errors.New("interrupted")

const rootHelp = `beamctl starts, checks and clears away real multi-node BEAM (Erlang and Elixir) clusters.

In a project directory, "beamctl start" finds the application and starts three nodes;
"beamctl stop" ends them and proves that nothing is left.`

const exitHelp = `Exit codes:
    0  ok
    1  checks failed, a push was refused, or a called function raised an exception
    2  usage
    3  no such cluster, or it is not running
    4  could not start
    5  timed out
    6  refused: wrong cookie or certificate, no permission
   70  a bug in beamctl
  130  interrupted
  run and exec return their command's own code, and 124 if it timed out, 125 if beamctl failed before
  running it, 126 if it cannot be run, 127 if it is not found, 128+n if signal n ended it.
`

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, s streams, args []string) (code int) {
	a := &app{streams: s}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(s.err, "beamctl: a bug: %v\n%s", r, debug.Stack())
			code = exitBug
		}
	}()
	root := a.root(args) //nolint:contextcheck // commands get ctx when they run
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	a.complain(cmd, err)
	return exitCode(err)
}

func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "beamctl",
		Short:         "Real BEAM clusters for development, tests and operations",
		Long:          rootHelp + "\n\n" + exitHelp,
		Version:       version(),
		Args:          a.unknownCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if a.timeout < 0 {
				return usagef("--timeout %s: no time at all", a.timeout)
			}
			forms := "table json"
			if more, ok := cmd.Annotations[annotationOutputs]; ok {
				forms = more
			}
			return oneOf("output", a.output, strings.Fields(forms)...)
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "say which beamctl this is, of which commit, and with which Go it was built")
	f := root.PersistentFlags()
	f.StringVar(&a.cluster, "cluster", "", "name of the cluster (default: the one of this directory's project)")
	f.StringVar(&a.stateDir, "state-dir", os.Getenv("BEAMCTL_STATE_DIR"), "where clusters keep their state (default: .beamctl in the project; $BEAMCTL_STATE_DIR)")
	f.DurationVar(&a.timeout, "timeout", 0, "give up after this long, 30s for example (default: depends on the command)")
	f.StringVarP(&a.output, "output", "o", "table", "form of the result: table or json; health has more")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress, only results and errors")
	f.BoolVar(&a.noColor, "no-color", false, "no colours ($NO_COLOR); there are none unless on a terminal")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return a.flagError(cmd, args, err) })
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(a.commands(args)...)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil && help.HasParent() {
		help.Run, help.RunE = nil, a.help
	}
	return root
}

// verb is a command by the name that it has on the command line.
type verb struct {
	name string
	make func() *cobra.Command
}

func (a *app) verbs() []verb {
	return []verb{
		{"init", a.initCmd},
		{"config", a.configCmd},
		{"doctor", a.doctorCmd},
		{"start", a.startCmd},
		{"run", a.runCmd},
		{"stop", a.stopCmd},
		{"restart", a.restartCmd},
		{"add", a.addCmd},
		{"remove", a.removeCmd},
		{"status", a.statusCmd},
		{"list", a.listCmd},
		{"health", a.healthCmd},
		{"diagnose", a.diagnoseCmd},
		{"rpc", a.rpcCmd},
		{"shell", a.shellCmd},
		{"sync", a.syncCmd},
		{"logs", a.logsCmd},
		{"events", a.eventsCmd},
		{"exec", a.execCmd},
		{"env", a.envCmd},
		{"epmd", a.epmdCmd},
		{"clean", a.cleanCmd},
	}
}

// commands makes the verbs that the arguments name, wherever: making all of them costs each command a hundred pages of memory. For
// arguments that name none, or ask for completion, it makes all.
func (a *app) commands(args []string) []*cobra.Command {
	verbs := a.verbs()
	some := len(args) > 0 && !strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	var made, all []*cobra.Command
	for _, v := range verbs {
		if some && slices.Contains(args, v.name) {
			made = append(made, v.make())
		}
	}
	if len(made) > 0 {
		return made
	}
	for _, v := range verbs {
		all = append(all, v.make())
	}
	return all
}

// where says which cluster the flags mean.
func (a *app) where() launcher.Where {
	return launcher.Where{StateDir: a.stateDir, Cluster: a.cluster}
}

// open returns the running cluster that the flags mean.
func (a *app) open() (*launcher.Cluster, error) { return launcher.Open(a.where()) }

// context returns a context that ends with --timeout (or usual, if that isn't set; 0: never) and at SIGINT or SIGTERM.
func (a *app) context(parent context.Context, usual time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
		signal.Stop(signals) // the second Ctrl-C ends us at once
	}()
	if a.timeout > 0 {
		usual = a.timeout
	}
	stop := func() { cancel(nil) }
	if usual > 0 {
		timed, cancelTimed := context.WithTimeout(ctx, usual)
		return timed, func() { cancelTimed(); stop() }
	}
	return ctx, stop
}

// color tells whether a stream that is or isn't a terminal gets colours.
func (a *app) color(tty bool) bool {
	return tty && !a.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// say writes a line of progress.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.err, wrap(fmt.Sprintf(format, args...), a.width))
	}
}

// complain shows an error of cmd, unless it only carries an exit status.
func (a *app) complain(cmd *cobra.Command, err error) {
	var status *statusError
	if err == nil || errors.Is(err, errFailed) || (errors.As(err, &status) && status.err == nil) {
		return
	}
	fmt.Fprintln(a.err, wrap(paint(a.color(a.errTTY), red, "beamctl:")+" "+a.advise(errorText(err)), a.width))
	if _, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(a.err, "See \"%s --help\".\n", cmd.CommandPath())
	}
}

// json writes a result as one indented JSON value.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	if len(allowed) == 1 {
		return usagef("--%s %q: there is no other than %s here", flag, value, allowed[0])
	}
	return usagef("--%s %q is none of %s", flag, value, strings.Join(allowed, ", "))
}

func (a *app) unknownCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	known := []string{"--version"}
	for _, v := range a.verbs() {
		known = append(known, v.name)
	}
	return usagef("there is no command %q%s", args[0], didYouMean("", args[0], known))
}

// help shows what --help does. Cobra's own shows the help of all where it knows no such command, as if that had been asked for.
func (a *app) help(cmd *cobra.Command, args []string) error {
	of, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usageError{err}
	}
	switch {
	case len(rest) == 0:
		of.InitDefaultHelpFlag() // of which it tells, too
		return of.Help()
	case !of.HasParent():
		return a.unknownCommand(of, rest)
	}
	var known []string
	for _, c := range of.Commands() {
		known = append(known, c.Name())
	}
	return usagef("%s has no command %q%s", of.Name(), rest[0], didYouMean("", rest[0], known))
}

// noArgs refuses arguments as a usage error.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q", args[0])
	}
	return nil
}
