package health

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Bounds of what is looked at on a node; what is above them is left out, and told.
const (
	maxSupervisors = 500  // an application has some ten
	maxChildren    = 500  // of one supervisor: above, they are as good as one pool, and listing them would cost the node
	maxServers     = 2000 // asking for a process's state takes the node half a microsecond
)

// supervisor is one supervisor of a node.
type supervisor struct {
	path     string   // kv/store_sup: its application and the ids of the children on the way to it
	module   etf.Atom // its callbacks; "" if several are named, or none
	pid      etf.Pid
	children []child
	large    bool  // it has more than maxChildren, which were not asked for
	err      error // it did not answer
}

// child is one entry of supervisor:which_children/1.
type child struct {
	ID      etf.Term
	Pid     etf.Term // pid, undefined or restarting
	Type    etf.Atom
	Modules etf.Term
}

// path names the child, on each node the same way unless its id has a pid or reference in it.
func (c *child) path(parent string) string {
	if c.static() {
		return parent + "/" + etf.FormatOptions{MaxBytes: maxID}.Format(c.ID)
	}
	if m := c.module(); m != "" { // one of many alike
		return parent + "/" + etf.FormatOptions{MaxBytes: maxID}.Format(m)
	}
	return parent
}

// anonymous is the id of a child that is one of many alike.
const anonymous etf.Atom = "undefined"

// static tells a child that its supervisor keeps from one of many alike.
func (c *child) static() bool { return c.ID != anonymous }

// module is what the child runs, as its specification says; "" if that are several, or not known (dynamic).
func (c *child) module() etf.Atom {
	if l, ok := c.Modules.(etf.List); ok && len(l) == 1 {
		m, _ := l[0].(etf.Atom)
		return m
	}
	return ""
}

// maxID is how much of an id is shown, in bytes; ids may hold whole configurations.
const maxID = 80

// tree is the supervisors of all running applications, by path.
var tree = &fact[[]*supervisor]{func(ctx context.Context, x *exam) ([]*supervisor, error) {
	apps, err := running.of(ctx, x)
	if err != nil {
		return nil, err
	}
	w := walk{x: x, seen: map[etf.Pid]bool{}}
	for _, a := range apps {
		w.wg.Go(func() { w.application(ctx, a.App) })
	}
	w.wg.Wait()
	slices.SortFunc(w.found, func(a, b *supervisor) int { return strings.Compare(a.path, b.path) })
	return w.found, nil
}}

// walk goes down supervision trees, all branches at once.
type walk struct {
	x  *exam
	wg sync.WaitGroup

	mu    sync.Mutex
	seen  map[etf.Pid]bool
	found []*supervisor
}

// application finds the application's top supervisor as application:get_supervisor/1 does, which is only there since OTP 26. Asking
// anything else for its children would end it.
func (w *walk) application(ctx context.Context, app etf.Atom) {
	if pid, module, ok := w.top(ctx, app); ok {
		w.visit(ctx, &supervisor{path: string(app), pid: pid, module: module})
	}
}

func (w *walk) top(ctx context.Context, app etf.Atom) (pid etf.Pid, module etf.Atom, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, w.x.limits.Answer)
	defer cancel()
	var master etf.Term
	if w.x.call(ctx, &master, "application_controller", "get_master", app) != nil {
		return pid, "", false
	}
	if _, ok := master.(etf.Pid); !ok { // a library has none
		return pid, "", false
	}
	var top struct{ Pid, Module etf.Term }
	if w.x.call(ctx, &top, "application_master", "get_child", master) != nil {
		return pid, "", false
	}
	if pid, ok = top.Pid.(etf.Pid); !ok {
		return pid, "", false
	}
	init, err := w.x.initialCall(ctx, pid)
	return pid, init.Function, err == nil && (init.Module == "supervisor" || init.Module == "Elixir.DynamicSupervisor")
}

// callable is what can be called.
type callable struct {
	Module, Function etf.Atom
	Arity            int
}

// initialCall asks what a process was started with: {Module, init, 1} for the behaviours, and {supervisor, Module, 1}.
func (x *exam) initialCall(ctx context.Context, pid etf.Pid) (init callable, err error) {
	err = x.call(ctx, &init, "proc_lib", "translate_initial_call", pid)
	return init, err
}

// visit asks a supervisor for its children, and then those of them that are supervisors.
func (w *walk) visit(ctx context.Context, s *supervisor) {
	w.mu.Lock()
	if w.seen[s.pid] || len(w.found) == maxSupervisors || string(s.pid.Node) != w.x.t.Name {
		w.mu.Unlock()
		return
	}
	w.seen[s.pid] = true
	w.found = append(w.found, s)
	w.mu.Unlock()
	if s.err = w.children(ctx, s); s.err != nil {
		return
	}
	for i := range s.children {
		c := &s.children[i]
		if below, ok := c.Pid.(etf.Pid); ok && c.Type == "supervisor" {
			w.wg.Go(func() { w.visit(ctx, &supervisor{path: c.path(s.path), pid: below, module: c.module()}) })
		}
	}
}

func (w *walk) children(ctx context.Context, s *supervisor) error {
	wait := w.x.limits.Answer.Milliseconds()
	var counts etf.List
	if err := w.x.call(ctx, &counts, "gen_server", "call", s.pid, etf.Atom("count_children"), wait); err != nil {
		return err
	}
	for _, kind := range []etf.Atom{"specs", "active", "supervisors", "workers"} {
		if n, _ := counts.Lookup(kind); tooMany(n) {
			s.large = true
			return nil
		}
	}
	return w.x.list(ctx, s)
}

// list asks a supervisor for its children.
func (x *exam) list(ctx context.Context, s *supervisor) error {
	return x.call(ctx, &s.children, "gen_server", "call", s.pid, etf.Atom("which_children"), x.limits.Answer.Milliseconds())
}

func tooMany(n etf.Term) bool {
	i, ok := n.(int64)
	return ok && i > maxChildren
}

// hangs tells whether a supervisor did not answer in time, in contrast to one that ended meanwhile.
func (s *supervisor) hangs() bool {
	if errors.Is(s.err, node.ErrTimeout) {
		return true
	}
	ex, ok := errors.AsType[*node.ErlangError](s.err)
	if !ok {
		return false
	}
	reason, ok := ex.Reason.(etf.Tuple)
	return ok && len(reason) > 0 && reason[0] == etf.Atom("timeout")
}
