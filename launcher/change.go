package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// changeArgs asks for nodes to be started, stopped, restarted, added or removed in a cluster that runs.
type changeArgs struct {
	Do     string        `json:"do"`
	Nodes  []string      `json:"nodes"`             // full names; add: of the new ones
	AtOnce bool          `json:"at_once,omitempty"` // restart all together, not one after the other
	Ready  time.Duration `json:"ready_timeout"`     // for each step's nodes to become ready; 0: the cluster's
}

// What changeArgs.Do may be.
const (
	doStart   = "start"
	doStop    = "stop"
	doRestart = "restart"
	doAdd     = "add"
	doRemove  = "remove"
)

// change performs a changeArgs. One at a time: what it finds is so until it is done, except for crashes.
func (s *supervisor) change(ctx context.Context, a changeArgs) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.up, func() { cancel(context.Cause(s.up)) })() //nolint:contextcheck // ctx ends with either
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	if a.Ready == 0 {
		a.Ready = s.Spec.Ready
	}
	if a.Do == doAdd {
		return s.addNodes(ctx, a)
	}
	var members []*member
	for _, name := range a.Nodes {
		i := slices.IndexFunc(s.all(), func(m *member) bool { return m.name == name })
		if i < 0 {
			return fmt.Errorf("%w in cluster %s: %s", ErrNoNode, s.Spec.Cluster, name)
		}
		s.all()[i].catchUp(ctx)
		members = append(members, s.all()[i])
	}
	switch a.Do {
	case doStart:
		down := slices.DeleteFunc(members, func(m *member) bool { return m.now().runs() })
		return s.startAgain(ctx, down, a.Ready)
	case doStop:
		return s.stopAndClear(ctx, members)
	case doRestart:
		steps := [][]*member{members}
		if !a.AtOnce {
			steps = slices.Collect(slices.Chunk(members, 1))
		}
		for _, step := range steps {
			if err := errors.Join(s.stopAndClear(ctx, step)); err != nil {
				return err
			}
			if err := s.startAgain(ctx, step, a.Ready); err != nil {
				return err
			}
		}
		return nil
	case doRemove:
		return s.removeNodes(ctx, members)
	default:
		return fmt.Errorf("the supervisor doesn't know how to %q nodes", a.Do)
	}
}

// take waits for whoever else changes the cluster. release has to follow.
func (s *supervisor) take(ctx context.Context) error {
	select {
	case <-s.changing:
		if ctx.Err() == nil {
			return nil
		}
		s.release()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

func (s *supervisor) release() { s.changing <- struct{}{} }

// startAgain starts members that don't run. A node that doesn't get ready is left as it is, for one to look at.
func (s *supervisor) startAgain(ctx context.Context, members []*member, ready time.Duration) error {
	if len(members) == 0 {
		return nil
	}
	for _, m := range members {
		if err := s.clearMember(ctx, m); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ready, ErrNotReady)
	defer cancel()
	return s.startNodes(ctx, members, len(members) > 1)
}

// stopAndClear stops nodes, and ends what they have left.
func (s *supervisor) stopAndClear(ctx context.Context, members []*member) error {
	s.stopNodes(members) //nolint:contextcheck // bounded by itself: a client that hangs up leaves no node half stopped
	var errs []error
	for _, m := range members {
		if !s.ends(m, m.now(), killTimeout) {
			errs = append(errs, fmt.Errorf("%s does not end, not even by SIGKILL", m.name))
			continue
		}
		errs = append(errs, s.clearMember(ctx, m))
	}
	return errors.Join(append(errs, s.recordNodes())...)
}

// clearMember ends what a node that has ended left running: port programs, daemons. When it returns, the guardian has told of the
// node's end, so that it cannot be taken for that of the next life.
func (s *supervisor) clearMember(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	select {
	case <-m.now().exited:
	case <-ctx.Done():
		return fmt.Errorf("the guardian does not say that %s has ended: %w", m.name, context.Cause(ctx))
	}
	return proc.KillAll(ctx, func() ([]proc.ID, error) {
		all, err := marked(s.ID)
		return slices.DeleteFunc(all, func(id proc.ID) bool { return proc.Getenv(id.Pid, memberEnv) != m.short }), err
	})
}

// addNodes makes new members and starts them. Those that don't start are no members.
func (s *supervisor) addNodes(ctx context.Context, a changeArgs) error {
	spec := s.Spec
	spec.Nodes = nil
	for _, m := range s.all() {
		spec.Nodes = append(spec.Nodes, *m.spec)
	}
	for _, name := range a.Nodes {
		n := NodeSpec{Name: name}
		if i := slices.IndexFunc(spec.Nodes, func(o NodeSpec) bool { return o.Short() == n.Short() || o.label() == n.label() }); i >= 0 {
			return takenFinding(s.Spec.Cluster, n.label(), spec.Nodes[i].Name)
		}
		spec.Nodes = append(spec.Nodes, n)
	}
	if faults := spec.faults(); len(faults) > 0 {
		return addFinding(faults)
	}
	if f := doctor.FewFiles(len(spec.Nodes)); f != nil {
		return f
	}
	var added []*member
	for _, name := range a.Nodes {
		m, err := s.door(ctx, NodeSpec{Name: name})
		if err != nil {
			return errors.Join(err, s.removeNodes(context.WithoutCancel(ctx), added))
		}
		added = append(added, m)
	}
	err := s.startAgain(ctx, added, a.Ready)
	if err != nil {
		failed := slices.DeleteFunc(added, func(m *member) bool { return m.now().up() && len(added) > 1 })
		err = errors.Join(err, s.removeNodes(context.WithoutCancel(ctx), failed))
	}
	return err
}

// takenFinding explains that a further node cannot have a name.
func takenFinding(cluster, short, full string) *checks.Finding {
	return &checks.Finding{
		What: "there is a " + short + " already", Saw: full + " is a node of cluster " + cluster, Err: ErrSpec,
		Fix: "give it another name: beamctl add NAME; without one it gets the next number",
	}
}

// addFinding says what is wrong with further nodes. Where, as in beamctl.yaml, says nothing of names that were given on the command line.
func addFinding(faults []fault) *checks.Finding {
	var saw []string
	for _, f := range faults {
		saw = append(saw, f.text)
	}
	return &checks.Finding{What: "these nodes cannot be added", Saw: strings.Join(saw, "\n"), Fix: "name them as the others are named, or say only how many: beamctl add -n 2", Err: ErrSpec}
}

// removeNodes stops nodes and forgets them, with their directories. The last one cannot go: that is what stop is for.
func (s *supervisor) removeNodes(ctx context.Context, members []*member) error {
	rest := slices.DeleteFunc(slices.Clone(s.all()), func(m *member) bool { return slices.Contains(members, m) })
	if len(rest) == 0 {
		return &checks.Finding{What: "a cluster without nodes is none", Fix: "end it: beamctl stop", Err: ErrSpec}
	}
	errs := []error{s.stopAndClear(ctx, members)}
	s.membersMu.Lock()
	s.members = rest
	s.membersMu.Unlock()
	for _, m := range members {
		errs = append(errs, os.RemoveAll(s.Place.node(m.short)))
		for _, kind := range []string{"pem", "key", "conf"} {
			errs = append(errs, ignoreMissing(os.Remove(s.Place.tls(m.short, kind))))
		}
		s.ports.release(m.name)
		s.closeDoor(m)
	}
	return errors.Join(append(errs, s.recordNodes())...)
}

// numbered splits node3 into node and 3.
var numbered = lazy(`^(.*?)(\d*)$`)

// NextNames makes n names for further nodes, as the last one of the cluster goes on: after node3@host comes node4@host.
func (c *Cluster) NextNames(n int) []string {
	taken := make(map[string]bool)
	var last NodeSpec
	for _, last = range c.record.Spec.Nodes {
		taken[last.Short()] = true
	}
	m := numbered().FindStringSubmatch(last.Short())
	number, err := strconv.Atoi(m[2])
	if err != nil { // no number, or one that is none
		m[1], number = last.Short(), 1
	}
	var names []string
	for len(names) < n {
		number++
		if short := m[1] + strconv.Itoa(number); !taken[short] {
			names = append(names, short+"@"+last.host())
		}
	}
	return names
}

// ChangeConfig says how to change a cluster.
type ChangeConfig struct {
	Nodes    []string      // names, short or full; none: all
	AtOnce   bool          // Restart all at once, not one after the other
	Ready    time.Duration // for each step's nodes to become ready; 0: as the cluster was started with
	Progress func(Event)   // called in order, from one goroutine; may be nil
}

// StartNodes starts those of the nodes that don't run, and returns when they are ready.
func (c *Cluster) StartNodes(ctx context.Context, cfg ChangeConfig) error {
	return c.changeNodes(ctx, doStart, cfg)
}

// StopNodes stops nodes: politely, then by SIGTERM, then by SIGKILL. What they have started ends with them.
func (c *Cluster) StopNodes(ctx context.Context, cfg ChangeConfig) error {
	return c.changeNodes(ctx, doStop, cfg)
}

// RestartNodes stops and starts nodes, one after the other (the next when the one before is ready) or all at once.
func (c *Cluster) RestartNodes(ctx context.Context, cfg ChangeConfig) error {
	return c.changeNodes(ctx, doRestart, cfg)
}

// RemoveNodes stops nodes, and removes them and their directories from the cluster.
func (c *Cluster) RemoveNodes(ctx context.Context, cfg ChangeConfig) error {
	if len(cfg.Nodes) == 0 {
		return fmt.Errorf("%w: no node is named", ErrSpec)
	}
	return c.changeNodes(ctx, doRemove, cfg)
}

// AddNodes starts further nodes with the given names, full or what stands before the @, and returns when they are ready. Those
// that don't get ready are not added.
func (c *Cluster) AddNodes(ctx context.Context, cfg ChangeConfig) error {
	host := c.record.Spec.Nodes[0].host()
	var names []string
	for _, n := range cfg.Nodes {
		if !strings.Contains(n, "@") {
			n += "@" + host
		}
		names = append(names, n)
	}
	return c.change(ctx, changeArgs{Do: doAdd, Nodes: names, Ready: cfg.Ready}, cfg.Progress)
}

func (c *Cluster) changeNodes(ctx context.Context, do string, cfg ChangeConfig) error {
	a := changeArgs{Do: do, AtOnce: cfg.AtOnce, Ready: cfg.Ready}
	for _, name := range cfg.Nodes {
		full, err := c.Node(name)
		if err != nil {
			return err
		}
		if !slices.Contains(a.Nodes, full) {
			a.Nodes = append(a.Nodes, full)
		}
	}
	if len(cfg.Nodes) == 0 {
		for _, n := range c.record.Spec.Nodes {
			a.Nodes = append(a.Nodes, n.Name)
		}
	}
	return c.change(ctx, a, cfg.Progress)
}

// change asks the supervisor, and reads what it has written about itself afterwards.
func (c *Cluster) change(ctx context.Context, a changeArgs, progress func(Event)) error {
	_, err := c.call(ctx, opChange, a, progress)
	if r, rerr := readRecord(c.place); rerr == nil && r.ID == c.record.ID {
		c.record = r
	}
	return err
}
