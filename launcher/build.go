package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// planner returns what makes the plans of this cluster's nodes, as many as they are now.
func (s *supervisor) planner() *planner {
	spec := s.Spec
	spec.Nodes = nil
	for _, m := range s.all() {
		spec.Nodes = append(spec.Nodes, *m.spec)
	}
	return &planner{spec: &spec, place: s.Place, id: s.ID, base: os.Environ(), ports: &s.ports}
}

// LeftByBuild is what to do about a source that is newer than what was compiled of it, and which a build has left so nevertheless.
const LeftByBuild = "the build has left it as it was: see what it builds, or touch the file"

// build runs the build steps one after the other, in the project, under the guardian. Then it looks whether all that was changed is
// compiled: there may be no build step, or one that overlooks something.
func (s *supervisor) build(ctx context.Context) error {
	steps, began := s.planner().builds(), time.Now()
	if len(steps) > 0 {
		s.Spec.backdate()
	}
	for _, step := range steps {
		if err := s.buildStep(ctx, step); err != nil {
			return err
		}
	}
	if len(steps) > 0 {
		if err := s.Place.markBuilt(began); err != nil {
			return err
		}
	}
	if s.Stale {
		return nil
	}
	stale, err := s.Spec.Stale(s.Place.builtAt())
	if err != nil || len(stale) == 0 {
		return err
	}
	fix := "compile it (`build` in beamctl.yaml makes every start do so), or take the old code on purpose: --stale"
	if len(steps) > 0 {
		fix = LeftByBuild + ", and start again; or take the old code on purpose: --stale"
	}
	if s.Spec.Runtime == "release" {
		fix = "make the release again, or take the old code on purpose: --stale"
	}
	return staleFinding(stale, fix)
}

// Errors of Compile.
var (
	ErrNoBuild = errors.New("no build step")
	ErrBuild   = errors.New("the build failed")
)

// Compile builds the project again, as the cluster's start did, and writes what the build has to say to out. Until the next change of a
// source, none of them is stale.
func (c *Cluster) Compile(ctx context.Context, out io.Writer) error {
	began := time.Now()
	if err := c.record.Spec.Compile(ctx, out); err != nil {
		return err
	}
	return c.place.markBuilt(began)
}

// Compile runs the project's build steps, with what they say going to out. Errors: *checks.Finding of ErrNoBuild or ErrBuild.
func (s *Spec) Compile(ctx context.Context, out io.Writer) error {
	p := planner{spec: s, base: os.Environ()}
	steps := p.builds()
	if len(steps) == 0 {
		return &checks.Finding{
			What: "there is nothing to compile with", Cause: fmt.Sprintf("runtime %s has no build step here", s.Runtime),
			Fix: "say what builds the project: `build: [make]` in beamctl.yaml; or build it yourself", Err: ErrNoBuild,
		}
	}
	s.backdate()
	for _, step := range steps {
		path, err := lookPath(step.argv[0], step.env, s.Dir)
		if err != nil {
			return &checks.Finding{
				What: "the project does not build: " + step.argv[0] + " cannot be run", Saw: err.Error(), Cause: "`build` is " + joinArgs(step.argv),
				Fix: "install it, or put its directory on PATH, or say what builds it: `build` in beamctl.yaml", Err: fmt.Errorf("%w: %w", ErrBuild, err),
			}
		}
		cmd := exec.CommandContext(ctx, path)
		cmd.Args, cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = step.argv, step.env, s.Dir, out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it starts ends with it
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = execGrace
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &checks.Finding{
				What: fmt.Sprintf("the project does not build: %s: %s", joinArgs(step.argv), err),
				Fix:  "what it said is above; nothing was pushed", Err: ErrBuild,
			}
		}
	}
	return nil
}

func (s *supervisor) buildStep(ctx context.Context, step buildStep) error {
	s.events.emit("", StageBuilding, joinArgs(step.argv))
	done := make(chan exit, 1)
	_, err := s.guard.spawn(ctx, order{
		Key: "build", Argv: step.argv, Env: step.env, Dir: s.Spec.Dir, Log: s.Place.buildLog(),
	}, func(e exit) { done <- e })
	if err != nil {
		return s.spawnFinding("the build", step.argv, err)
	}
	select {
	case e := <-done:
		if e == (exit{}) {
			return nil
		}
		return s.buildFinding(step.argv, e)
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, ErrNotReady) {
			return cause
		}
		return s.slowBuildFinding(step.argv)
	}
}
