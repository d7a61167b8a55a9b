package launcher

import (
	"context"
	"errors"
	"os"
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

// build runs the build steps one after the other, in the project, under the guardian.
func (s *supervisor) build(ctx context.Context) error {
	for _, step := range s.planner().builds() {
		if err := s.buildStep(ctx, step); err != nil {
			return err
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
