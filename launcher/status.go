package launcher

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/launcher/internal/proc"
	"github.com/beamctl/beamctl/node"
)

// Status is a cluster as it was found to be. Nothing in it comes from bookkeeping but names and the start time.
type Status struct {
	Time       time.Time    `json:"time"` // of the measurement
	Cluster    string       `json:"cluster"`
	ID         string       `json:"id"`
	State      State        `json:"state"`
	Since      time.Time    `json:"since"`
	StateDir   string       `json:"state_dir"`
	EPMD       string       `json:"epmd"` // host:port, the door for the user's own nodes
	Supervisor int          `json:"supervisor_pid"`
	Guardian   int          `json:"guardian_pid"`
	Nodes      []NodeStatus `json:"nodes"`
}

// NodeStatus is one node as it was found to be. What could not be measured is zero, and Problem says why.
type NodeStatus struct {
	Name    string         `json:"name"`
	State   string         `json:"state"`           // up, unreachable (runs and doesn't answer), starting, stopped, crashed, exited (by itself, with status 0)
	Pid     int            `json:"pid"`             // of the process that was started
	OSPid   int            `json:"os_pid"`          // of the VM, as it says itself; differs from Pid behind a start script
	Port    int            `json:"port"`            // of its distribution, as registered with EPMD; 0: not registered
	Ports   map[string]int `json:"ports,omitempty"` // reserved for it, by name; dist is that of its distribution
	Ping    float64        `json:"ping_ms"`         // round trip to its net_kernel
	Uptime  int64          `json:"uptime_s"`
	Memory  int64          `json:"memory"` // resident bytes of the VM's process
	CPU     float64        `json:"cpu_s"`  // time of a CPU that it has taken
	OTP     string         `json:"otp"`
	Apps    []string       `json:"apps"` // running, the project's own
	Missing []string       `json:"missing_apps"`
	Peers   []string       `json:"peers"`           // nodes(visible)
	Drift   []string       `json:"drift"`           // modules that it runs in another version than the disk has
	Lost    []string       `json:"lost"`            // those of Drift that the disk does not have, and should: the last build failed
	Exit    string         `json:"exit,omitempty"`  // how its process ended
	Cause   string         `json:"cause,omitempty"` // why it crashed or ended: if that is not known, what such an end is usually due to
	Restart int            `json:"restarts"`        // how often its restart policy has started it again
	Problem string         `json:"problem,omitempty"`

	Down *checks.Finding `json:"down,omitempty"` // of a node that runs and does not answer: what the supervisor knows of that
}

// The states of a NodeStatus.
const (
	NodeUp          = "up"
	NodeUnreachable = "unreachable"
	NodeStarting    = "starting"
	NodeStopped     = "stopped"
	NodeCrashed     = "crashed"
	NodeExited      = "exited"
)

// measureTimeout bounds the questions to one node; one that hangs is reported as such. A machine at its limit takes seconds.
const measureTimeout = 5 * time.Second

// measure looks at every node, all at once.
func (s *supervisor) measure(ctx context.Context) Status {
	s.recordMu.Lock()
	r := s.record
	s.recordMu.Unlock()
	st := Status{
		Time: time.Now().UTC(), Cluster: s.Spec.Cluster, ID: s.ID, State: r.State, Since: r.Since, StateDir: string(s.Place), EPMD: r.EPMD,
		Supervisor: r.Supervisor.Pid, Guardian: r.Guardian.Pid,
		Nodes: make([]NodeStatus, len(r.Nodes)),
	}
	if r.State != Ready { // members are still being made
		for i, n := range r.Nodes {
			st.Nodes[i] = NodeStatus{Name: n.Name, State: NodeStarting, Pid: n.Process.Pid}
		}
		return st
	}
	ports := make(map[string]int)
	for _, n := range s.epmd.Nodes() {
		ports[n.Name] = int(n.Port)
	}
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	var wg sync.WaitGroup
	members := s.all()
	codes := s.codes(members)
	st.Nodes = make([]NodeStatus, len(members))
	for i, m := range members {
		wg.Go(func() { st.Nodes[i] = s.measureNode(ctx, m, ports[m.short], codes[m.name]) })
	}
	wg.Wait()
	return st
}

// codes returns the code of each node as it is on disk now; without that of one that cannot be read.
func (s *supervisor) codes(members []*member) map[string]*Code {
	spec := s.Spec
	spec.Nodes = nil
	for _, m := range members {
		spec.Nodes = append(spec.Nodes, *m.spec)
	}
	codes, err := spec.Code()
	if err != nil { // whoever wants to know why tries to sync
		return nil
	}
	return codes
}

func (s *supervisor) measureNode(ctx context.Context, m *member, port int, code *Code) NodeStatus {
	m.catchUp(ctx)
	m.mu.Lock()
	l, process := m.life, m.life.process
	n := NodeStatus{Name: m.name, Pid: process.Pid, Port: port, Ports: s.ports.of(m.name), Cause: m.crash, Restart: m.restarts}
	m.mu.Unlock()
	switch {
	case closed(l.exited):
		n.State, n.Pid, n.Exit = NodeCrashed, 0, l.exit.String()
		if l.asked.Load() {
			n.State, n.Cause = NodeStopped, ""
		} else if l.exit == (exit{}) {
			n.State, n.Cause = NodeExited, exitedCause
		}
		return n
	case process.Pid != 0 && !process.Alive(): // and the guardian has not told us yet
		n.State, n.Pid, n.Cause = NodeCrashed, 0, ""
		return n
	case !closed(l.joined):
		n.State = NodeStarting
		return n
	}
	n.Cause = ""
	if f := s.fate(m); f != nil && f.State == nodePaused { // which it would take all the time to find out
		n.State, n.Down = NodeUnreachable, f.finding()
		n.Problem = inWords(checks.Target{Name: m.name, Down: n.Down}, node.ErrTimeout)
		return n
	}
	begin := time.Now()
	if err := s.node.Ping(ctx, m.name); err != nil {
		t := s.target(m)
		if f := s.fate(m); f != nil {
			n.Down = f.finding()
			t.Down = n.Down
		}
		n.State, n.Problem = NodeUnreachable, inWords(t, err)
		return n
	}
	n.State = NodeUp
	n.Ping = float64(time.Since(begin).Microseconds()) / 1000

	// The questions are independent: one round trip's time for all of them.
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		problems []string
		otp      string
		osPid    string
		clock    [2]int64
		running  []struct{ App, Desc, Vsn etf.Term }
		visible  []etf.Atom
	)
	do := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, inWords(s.target(m), err))
			}
		})
	}
	ask := func(v any, module, function etf.Atom, args ...etf.Term) {
		do(func() error { return s.node.CallInto(ctx, m.name, v, module, function, args...) })
	}
	do(func() (err error) {
		n.Drift, n.Lost, err = s.disk.drift(ctx, s.node, m.name, code)
		return err
	})
	ask(&otp, "erlang", "system_info", etf.Atom("otp_release"))
	ask(&osPid, "os", "getpid")
	ask(&clock, "erlang", "statistics", etf.Atom("wall_clock"))
	ask(&running, "application", "which_applications", int(measureTimeout.Milliseconds()))
	ask(&visible, "erlang", "nodes", etf.Atom("visible"))
	wg.Wait()

	n.OTP, n.Uptime = otp, clock[0]/1000
	n.OSPid, _ = strconv.Atoi(osPid) // 0 is unknown
	var cpu time.Duration
	n.Memory, cpu = proc.Usage(n.OSPid)
	n.CPU = cpu.Seconds()
	have := make(map[string]bool)
	for _, r := range running {
		if app, ok := r.App.(etf.Atom); ok {
			have[string(app)] = true
		}
	}
	for _, app := range s.Spec.AppsOf(m.spec) {
		if have[app] {
			n.Apps = append(n.Apps, app)
		} else {
			n.Missing = append(n.Missing, app)
		}
	}
	for _, v := range visible {
		n.Peers = append(n.Peers, string(v))
	}
	slices.Sort(problems)
	n.Problem = strings.Join(slices.Compact(problems), "; ")
	return n
}

// inWords says in a line why a node could not be asked; whose name stands beside it.
func inWords(t checks.Target, err error) string {
	err = checks.CallFailed(t, err)
	if f, ok := errors.AsType[*checks.Finding](err); ok {
		return strings.Trim(strings.TrimPrefix(f.What, t.Name+" ")+": "+f.Cause, ": ")
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
