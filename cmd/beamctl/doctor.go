package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/launcher"
)

// doctorTimeout bounds an examination; every check has a shorter deadline. Clearing away has the time that clean has.
const doctorTimeout = 30 * time.Second

func (a *app) doctorCmd() *cobra.Command {
	var (
		flags specFlags
		fix   bool
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for everything that keeps a cluster from starting",
		Long: `Doctor examines this machine (EPMD, resolver, tools and their versions, cookies, limits, memory, disk, clock), the project of this
directory, if there is one (names, hosts, ports, programs, compiled code), and what earlier clusters have left. It says what it
looked at, what it saw, and what to do about what is wrong. It starts nothing and needs no Erlang; versions are read from files (only
an erl or elixir that is a version manager's shim is run, if nothing else tells, which is said).

What fails keeps nodes from starting or from finding each other; what only may is a warning. If something fails the exit code
is 1. "beamctl start" makes those of these checks first that can fail a start.

With --fix it does what is safe: it takes from the mode of cookie files what others may, makes missing directories, and clears away
what clusters that died have left. It says what it did, and examines that again. It never touches your EPMD, or a process that is not
a dead cluster's.`,
		Example: `  beamctl doctor
  beamctl doctor -n 50 -o json
  beamctl doctor --fix`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.context(cmd.Context(), doctorTimeout)
			defer cancel()
			s, err := a.subject(ctx, &flags)
			if err != nil {
				return err
			}
			report := doctor.Examine(ctx, s)
			if fix {
				report = doctor.Mend(ctx, s, report)
			}
			if a.output == "json" {
				err = a.json(report)
			} else {
				err = a.showDoctor(report, fix)
			}
			if err == nil && !report.OK {
				err = errFailed
			}
			return err
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVar(&fix, "fix", false, "do what is safe about what is wrong")
	return cmd
}

// subject is what doctor examines: this machine, and the project that the flags mean.
func (a *app) subject(ctx context.Context, flags *specFlags) (*doctor.Subject, error) {
	s := &doctor.Subject{Env: make(map[string]string)}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		s.Env[k] = v
	}
	spec, err := flags.spec(a)
	if usage, ok := errors.AsType[usageError](err); ok {
		return nil, usage
	}
	switch {
	case err == nil:
		s.Project = spec.Plan(a.stateDir)
	case !errors.Is(err, launcher.ErrNoProject):
		s.PlanErr = err
	}
	s.Clusters, err = launcher.Clusters(ctx, a.where())
	return s, err
}

// showDoctor prints what was looked at and seen, by groups, and below it what was done and what is wrong.
func (a *app) showDoctor(r *doctor.Report, fixed bool) error {
	on := a.color(a.outTTY)
	colors := map[doctor.Verdict]color{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red, doctor.None: dim}
	counts := make(map[doctor.Verdict]int)
	var b strings.Builder
	var group doctor.Group
	var did, findings []string
	for _, res := range r.Results {
		if res.Group != group {
			group = res.Group
			fmt.Fprintln(&b, paint(on, bold, strings.ToUpper(string(group))))
		}
		counts[res.Verdict]++
		saw := res.Saw
		if len(res.Problems) > 0 {
			saw = res.Problems[0].What
		}
		if n := len(res.Problems); n > 1 {
			saw += fmt.Sprintf(", and %d more", n-1)
		}
		shown := paint(on, colors[res.Verdict], fmt.Sprintf("%-4s", res.Verdict))
		fmt.Fprintf(&b, "  %s  %-13s  %s\n", shown, res.Check, saw)
		for _, text := range res.Mended {
			did = append(did, "  "+strings.ReplaceAll(text, "\n", "\n  "))
		}
		for _, p := range res.Problems {
			f := checks.Finding{What: paint(on, colors[p.Verdict], string(p.Verdict)+" "+res.Check) + ": " + p.What, Saw: p.Saw, Cause: p.Cause, Fix: p.Fix}
			if p.Mendable && !fixed {
				f.Fix += "  (beamctl doctor --fix does it)"
			}
			findings = append(findings, f.Error())
		}
	}
	if len(did) > 0 {
		fmt.Fprintf(&b, "\n%s\n%s\n", paint(on, bold, "done"), strings.Join(did, "\n"))
	}
	if len(findings) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(findings, "\n"))
	}
	if _, err := fmt.Fprint(a.out, wrap(b.String(), a.outWidth())); err != nil {
		return err
	}
	a.say("%d ok, %d to be warned of, %d wrong; in %.0f ms", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail], r.Millis)
	return nil
}
