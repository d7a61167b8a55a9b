package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
)

// A process that follows one of OTP's behaviours waits in that behaviour's loop, with nothing above it on its stack. So it shows without being
// asked whether it would answer: the same on OTP 23 to 29 (tried), and for Elixir's GenServers and Agents, which are gen_servers. Asking
// would load a module (sys) on many nodes, and leave a message a run in the mailbox of one that hangs.

// look is what a process does at one moment.
type look struct {
	function   etf.Term // {Module, Function, Arity}
	status     etf.Term
	waiting    int64 // messages
	reductions int64
	name       etf.Term   // if it is registered
	stack      []etf.Atom // modules, the current one first
}

// idle tells whether the process is in its behaviour's loop, where it answers.
func (l *look) idle() bool {
	f, ok := l.function.(etf.Tuple)
	if !ok || len(f) != 3 || l.status == etf.Atom("suspended") {
		return false
	}
	m, _ := f[0].(etf.Atom)
	name, _ := f[1].(etf.Atom)
	switch m {
	case "gen_server", "gen_statem":
		return strings.HasPrefix(string(name), "loop")
	case "gen_event":
		return name == "fetch_msg"
	case "erlang":
		return name == "hibernate"
	}
	return false
}

// inBehaviour tells whether functions of a behaviour are seen below a callback. There may be too much in between: a stacktrace
// has eight frames (backtrace_depth).
func (l *look) inBehaviour() bool {
	return slices.ContainsFunc(l.stack, func(m etf.Atom) bool {
		return slices.Contains([]etf.Atom{"gen_server", "gen_statem", "gen_event", "sys"}, m)
	})
}

// loops tells whether the process is in a loop that is all there is on its stack, but what proc_lib put below: behaviours that are not OTP's
// (gen_server2 of RabbitMQ, p1_server of ejabberd) wait in one.
func (l *look) loops() bool {
	own := slices.DeleteFunc(slices.Clone(l.stack), func(m etf.Atom) bool { return m == "proc_lib" })
	return len(own) <= 1 && !slices.Contains(own, "sys") && l.status != etf.Atom("suspended")
}

// server is one process under a supervisor.
type server struct {
	path        string
	pid         etf.Pid
	under       *supervisor
	first, last look
	static      bool // see child
	gone        bool
	behaves     bool // it follows a behaviour, so that not being in its loop means something
}

// follows finds out whether a process that is in no loop follows a behaviour. One that doesn't has a loop of its own, of which nothing
// is known.
func (s *server) follows(ctx context.Context, x *exam) bool {
	if s.last.loops() {
		return false
	}
	if s.behaves = s.behaves || s.last.inBehaviour(); s.behaves {
		return true
	}
	init, err := x.initialCall(ctx, s.pid)
	if err != nil || init.Function != "init" || init.Arity != 1 {
		return false
	}
	for _, callback := range []callable{{init.Module, "handle_call", 3}, {init.Module, "callback_mode", 0}} {
		var exported bool
		err := x.call(ctx, &exported, "erlang", "function_exported", callback.Module, callback.Function, callback.Arity)
		s.behaves = s.behaves || err == nil && exported
	}
	return s.behaves
}

// firstLook has to find out who is idle, which are nearly all; only of the others more is asked.
var (
	firstLook  = etf.List{etf.Atom("current_function"), etf.Atom("status"), etf.Atom("message_queue_len"), etf.Atom("reductions")}
	closerLook = append(slices.Clone(firstLook), etf.Atom("registered_name"), etf.Atom("current_stacktrace"))
)

// glance looks at all the processes in one call.
func (x *exam) glance(ctx context.Context, servers []*server, items etf.List) error {
	pids, same := make(etf.List, len(servers)), make(etf.List, len(servers))
	for i, s := range servers {
		pids[i], same[i] = s.pid, items
	}
	var infos []etf.Term
	if err := x.call(ctx, &infos, "lists", "zipwith", etf.Export{Module: "erlang", Function: "process_info", Arity: 2}, pids, same); err != nil {
		return err
	}
	if len(infos) != len(servers) {
		return fmt.Errorf("lists:zipwith/3 gave %d results for %d processes", len(infos), len(servers))
	}
	for i, info := range infos {
		l, ok := info.(etf.List)
		if servers[i].gone = !ok; ok { // undefined: it has ended
			servers[i].last = lookOf(l)
		}
	}
	return nil
}

func lookOf(info etf.List) look {
	var l look
	l.function, _ = info.Lookup("current_function")
	l.status, _ = info.Lookup("status")
	l.name, _ = info.Lookup("registered_name")
	n, _ := info.Lookup("message_queue_len")
	l.waiting, _ = n.(int64)
	n, _ = info.Lookup("reductions")
	l.reductions, _ = n.(int64)
	stack, _ := info.Lookup("current_stacktrace")
	frames, _ := stack.(etf.List)
	for _, f := range frames {
		if t, ok := f.(etf.Tuple); ok && len(t) > 0 {
			m, _ := t[0].(etf.Atom)
			l.stack = append(l.stack, m)
		}
	}
	return l
}

// firstWait is after how long those that are not idle are looked at again; most of them just worked.
const firstWait = 10 * time.Millisecond

// working is the processes under the supervisors, and those of them that were in no loop for as long as the limit Answer.
var working = &fact[census]{func(ctx context.Context, x *exam) (census, error) {
	found, err := tree.of(ctx, x)
	if err != nil {
		return census{}, err
	}
	var c census
	for _, s := range found {
		for _, ch := range s.children {
			if pid, ok := ch.Pid.(etf.Pid); ok && ch.Type != "supervisor" && string(pid.Node) == x.t.Name {
				c.servers = append(c.servers, &server{
					path: ch.path(s.path), pid: pid, under: s, static: ch.static(),
				})
			}
		}
	}
	if len(c.servers) > maxServers {
		c.more = len(c.servers) - maxServers
		c.servers = c.servers[:maxServers]
	}
	if err := x.glance(ctx, c.servers, firstLook); err != nil {
		return census{}, err
	}
	c.busy = stillBusy(c.servers)
	for _, s := range c.busy {
		s.first = s.last
	}
	began := time.Now()
	for wait := firstWait; len(c.busy) > 0; wait *= 2 {
		left := x.limits.Answer - time.Since(began)
		select {
		case <-time.After(min(wait, left)):
		case <-ctx.Done():
			return c, nil // as far as is known
		}
		if err := x.glance(ctx, c.busy, closerLook); err != nil {
			return census{}, err
		}
		c.busy = slices.DeleteFunc(stillBusy(c.busy), func(s *server) bool { return !s.follows(ctx, x) })
		if left <= wait {
			break
		}
	}
	return c, nil
}}

// census is what working found.
type census struct {
	servers []*server
	busy    []*server // at every look
	more    int       // not looked at
}

func stillBusy(all []*server) []*server {
	var busy []*server
	for _, s := range all {
		if !s.gone && !s.last.idle() {
			busy = append(busy, s)
		}
	}
	return busy
}

// is names the process.
func (s *server) is() string {
	if name, ok := s.last.name.(etf.Atom); ok {
		return string(name)
	}
	return s.path
}

// in names the function that the process is in.
func (s *server) in() string {
	f, ok := s.last.function.(etf.Tuple)
	if !ok || len(f) != 3 {
		return "an unknown function"
	}
	return etf.Format(f[0]) + ":" + etf.Format(f[1]) + "/" + etf.Format(f[2])
}

// restless is how many reductions a process makes that does something: an idle one has some tens for each look at it, one at work millions
// a second.
const restless = 10_000

func servers(ctx context.Context, x *exam) (Cell, error) {
	all, err := working.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:process_info/2", "")
	}
	var hung, busy, suspended []string
	for _, s := range all.busy {
		waiting := ""
		if s.last.waiting > 0 {
			waiting = fmt.Sprintf(" with %s waiting", count(int(s.last.waiting), "message", "messages"))
		}
		switch {
		case s.last.status == etf.Atom("suspended") || strings.HasPrefix(s.in(), "sys:suspend"):
			suspended = append(suspended, s.is()+" is suspended"+waiting)
		case s.last.reductions-s.first.reductions < restless:
			hung = append(hung, s.is()+" hangs in "+s.in()+waiting)
		case s.last.waiting > 0:
			busy = append(busy, s.is()+" works in "+s.in()+waiting)
		}
	}
	switch {
	case len(suspended) > 0 && len(hung) == 0:
		return Cell{}, &checks.Finding{
			Saw: listed(append(suspended, busy...)), Cause: "somebody has suspended it (sys:suspend/1, a debugger), and it answers nobody until it is resumed",
			Fix: "sys:resume/1, by who has suspended it",
		}
	case len(hung) > 0:
		return Cell{}, &checks.Finding{
			Saw:   listed(slices.Concat(hung, suspended, busy)),
			Cause: fmt.Sprintf("it has been in one callback for at least %v and answers nobody meanwhile", x.limits.Answer),
		}
	case len(busy) > 0:
		return Cell{Status: Warn, Saw: listed(busy), Cause: fmt.Sprintf("it did not get to its messages for at least %v", x.limits.Answer)}, nil
	}
	c, _ := ok("%d answer", len(all.servers))
	if all.more > 0 {
		c.Saw += fmt.Sprintf("; %d not looked at", all.more)
	}
	c.Values = map[string]float64{"servers": float64(len(all.servers))}
	return c, nil
}
