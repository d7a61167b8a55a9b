package launcher

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// fate is what the supervisor knows of a node that cannot be expected to answer. Nothing is asked of the node for it.
type fate struct {
	Node  string    `json:"node"`
	State string    `json:"state"`           // NodeStarting, NodeStopped, NodeCrashed, NodeExited, nodePaused or nodeAway
	Since time.Time `json:"since,omitzero"`  // when its process ended, or was started; zero: it never was
	Pid   int       `json:"pid,omitempty"`   // of a process that lives
	Exit  exit      `json:"exit,omitzero"`   // how it ended
	Cause string    `json:"cause,omitempty"` // why it crashed
	Again bool      `json:"again,omitempty"` // its restart policy starts it again
}

// Further states: its process is stopped by a signal; it runs, and has left distribution.
const (
	nodePaused = "paused"
	nodeAway   = "away"
)

// fates are those of all nodes that are not up.
func (s *supervisor) fates(ctx context.Context) []fate {
	out := []fate{}
	for _, m := range s.all() {
		m.catchUp(ctx)
		if f := s.fate(m); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// fate is what is known of m, nil: it is up.
func (s *supervisor) fate(m *member) *fate {
	m.mu.Lock()
	l, f := m.life, fate{Node: m.name, Since: m.since, Pid: m.life.process.Pid, Cause: m.crash}
	m.mu.Unlock()
	switch {
	case closed(l.exited):
		f.Pid, f.Since, f.Exit = 0, l.ended, l.exit
		switch {
		case l.asked.Load():
			f.State, f.Cause = NodeStopped, ""
		case l.exit == exit{}:
			f.State, f.Cause = NodeExited, ""
		default:
			f.State, f.Again = NodeCrashed, s.Spec.launch(m.spec).Restart == RestartOnCrash
		}
	case proc.Stopped(f.Pid):
		f.State, f.Cause = nodePaused, ""
	case l.away.Load():
		f.State, f.Cause = nodeAway, ""
		if l.asked.Load() {
			f.Cause = "beamctl is just stopping it"
		}
	case !closed(l.joined):
		f.State, f.Cause = NodeStarting, ""
	default:
		return nil
	}
	return &f
}

// fatesTimeout is how long the supervisor may take to tell what it knows: it comes at once unless the machine is at its limit, or what is
// seen from outside has to do.
const fatesTimeout = 5 * time.Second

// fates are those of the cluster's nodes that are not up, as far as its supervisor tells.
func (c *Cluster) fates(ctx context.Context) []fate {
	if proc.Stopped(c.record.Supervisor.Pid) {
		return nil // it will tell nothing
	}
	ctx, cancel := context.WithTimeout(ctx, fatesTimeout)
	defer cancel()
	raw, err := c.call(ctx, opFates, nil, nil)
	var all []fate
	if err != nil || json.Unmarshal(raw, &all) != nil {
		return nil // it hangs, or is of another version: what is seen from outside is told
	}
	return all
}

// Fates says of the nodes that are not up why, by their names, as far as the supervisor of the cluster knows.
func (c *Cluster) Fates(ctx context.Context) map[string]*checks.Finding {
	all := c.fates(ctx)
	out := make(map[string]*checks.Finding, len(all))
	for _, f := range all {
		out[f.Node] = f.finding()
	}
	return out
}

// ended are the short names of the nodes that do not run, and will not by themselves.
func (c *Cluster) ended(ctx context.Context) (short []string) {
	for _, f := range c.fates(ctx) {
		if slices.Contains([]string{NodeStopped, NodeCrashed, NodeExited}, f.State) && !f.Again {
			name, _, _ := strings.Cut(f.Node, "@")
			short = append(short, name)
		}
	}
	return short
}

// Explain adds the Fates to targets of this cluster's.
func (c *Cluster) Explain(ctx context.Context, targets []checks.Target) {
	fates := c.Fates(ctx)
	for i := range targets {
		targets[i].Down = fates[targets[i].Name]
	}
}

// cause is what such an end is usually due to, where the node has left no words of its own.
func (e exit) cause() string {
	switch s := e.Signal; {
	case s == 0:
		return "its code has ended it (halt/1, an application that must run and could not); its log may say why"
	case s == syscall.SIGKILL:
		return "somebody has sent it SIGKILL (kill -9), or the kernel did when memory ran out (dmesg tells)"
	case slices.Contains([]syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT}, s):
		return "the VM itself has failed, or a NIF or driver has damaged its memory"
	}
	return "somebody has sent it this signal"
}

// exitedCause is what ends a node with status 0.
const exitedCause = "its own code, or somebody in its shell, has ended it (init:stop/0, halt/0); or its command came to its end"

// finding tells it.
func (f *fate) finding() *checks.Finding {
	short, _, _ := strings.Cut(f.Node, "@")
	start := fmt.Sprintf("start it again: beamctl start %s", short)
	found := &checks.Finding{What: f.Node + " does not run", Cause: f.Cause, Fix: start + "; what it said last: beamctl logs " + short}
	at := checks.Clock(f.Since)
	switch f.State {
	case NodeCrashed:
		found.Saw = fmt.Sprintf("crashed at %s: %s", at, f.Exit)
		if f.Again {
			found.Fix = "nothing: its restart policy starts it again in a moment; what it said last: beamctl logs " + short
		}
	case NodeExited:
		found.Saw = fmt.Sprintf("ended by itself at %s, with exit status 0", at)
		found.Cause = exitedCause
	case NodeStopped:
		found.Saw, found.Cause, found.Fix = "stopped at "+at, "beamctl was asked to stop it (beamctl stop "+short+")", start
		if f.Since.IsZero() {
			found.Saw, found.Cause = "not started yet", "it is about to be, or its start was given up"
		}
	case NodeStarting:
		found.What = f.Node + " is not up yet"
		found.Saw = fmt.Sprintf("starting since %s (pid %d)", at, f.Pid)
		found.Cause, found.Fix = "it boots, and has not joined the cluster yet", "wait for it; beamctl logs -f "+short+" shows what it does"
	case nodeAway:
		found.What = f.Node + " is no node any more"
		found.Saw = fmt.Sprintf("its process %d runs, and has told EPMD that it leaves", f.Pid)
		found.Cause = cmp.Or(f.Cause, "its distribution has ended: somebody called net_kernel:stop/0, or net_kernel has crashed")
		found.Fix = "start it anew: beamctl restart " + short
	case nodePaused:
		found.What = f.Node + " stands still"
		found.Saw = fmt.Sprintf("it does not answer: its process %d is stopped (state T)", f.Pid)
		found.Cause, found.Fix = "somebody has sent it SIGSTOP, or a debugger holds it", fmt.Sprintf("let it go on: kill -CONT %d", f.Pid)
	}
	return found
}
