package diagnose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Process is one process of a node that costs much.
type Process struct {
	Pid        string  `json:"pid"`
	Name       string  `json:"name,omitempty"`         // registered
	Initial    string  `json:"initial_call,omitempty"` // module:function/arity, as proc_lib knows it
	Current    string  `json:"current_function,omitempty"`
	Memory     int64   `json:"memory"`                // bytes
	Reductions float64 `json:"reductions_per_second"` // over the sample
	Mailbox    int64   `json:"mailbox"`               // messages
	Before     int64   `json:"mailbox_before"`        // messages at the beginning of the sample
}

// Top are the processes of a node that cost most, of each kind.
type Top struct {
	Processes  int       `json:"processes"` // how many there are
	Examined   int       `json:"examined"`  // how many of them were looked at
	Memory     []Process `json:"by_memory"`
	Reductions []Process `json:"by_reductions"`
	Mailbox    []Process `json:"by_mailbox"` // those with messages
}

// survey is what one node says of itself in one call.
type survey struct {
	release         string
	visible, hidden []string
	overlap         etf.Term // kernel's prevent_overlapping_partitions: undefined or {ok, Bool}
	ticktime        etf.Term // as net_kernel:get_net_ticktime/0 returns it
	top             Top
	traffic         []Traffic
}

// The variables of the expressions.
const (
	vProcesses = etf.Atom("processes")
	vValues    = etf.Atom("values")
	vBefore    = etf.Atom("status")
	vAfter     = etf.Atom("new")
	vIndex     = etf.Atom("map")
	vLinksThen = etf.Atom("links")
	vMail      = etf.Atom("message_queue_len")
	vTops      = etf.Atom("list")
	vPid       = etf.Atom("pid")
	vValue     = etf.Atom("value")
	vTime      = etf.Atom("start")
	vTime2     = etf.Atom("time")
	vNode      = etf.Atom("node")
	vAny       = etf.Atom("_")
)

// maxProcesses bounds what a node has to do for us: 100,000 processes cost it a second of one scheduler.
const maxProcesses = 200_000

// of is [{{Item, Value}, Pid}, …] of all processes in vProcesses; {undefined, Pid} of those which have ended. All of it
// runs compiled code.
func of(item etf.Atom) form { return call("lists", "zip", values(item), variable(vProcesses)) }

// values is [{Item, Value}, …] of all processes in vProcesses, undefined of those which have ended.
func values(item etf.Atom) form {
	ps := variable(vProcesses)
	return call("lists", "zipwith", external("erlang", "process_info", 2), ps, call("lists", "duplicate", call("erlang", "length", ps), atom(item)))
}

// greatest is the first n of a list in falling order.
func greatest(n int, of form) form {
	return call("lists", "sublist", call("lists", "reverse", call("lists", "sort", of)), integer(n))
}

// questions asks for the n most expensive processes (of which the one that runs this may be one) and the connections,
// over a sample of some milliseconds.
func questions(n, sample int) []form {
	infoItems := list(atom("registered_name"), atom("current_function"), atom("memory"), atom("message_queue_len"), atom("initial_call"))
	pid := variable(vPid)
	changed := call("erlang", "--", variable(vAfter), variable(vBefore)) // only those that did something are looked at one by one
	worked := each(
		tuple(call("erlang", "-", variable(vValue), call("erlang", "element", integer(2), call("maps", "get", pid, variable(vIndex)))), pid),
		tuple(tuple(atom("reductions"), variable(vValue)), pid), changed, call("erlang", "=/=", pid, call("erlang", "self")))
	now := call("erlang", "monotonic_time", atom("millisecond"))
	first := func(i int) form { return call("erlang", "element", integer(i), variable(vTops)) }
	return []form{
		bind(vProcesses, call("lists", "sublist", call("erlang", "processes"), integer(maxProcesses))),
		bind(vMail, greatest(n, of("message_queue_len"))),
		bind(vLinksThen, askLinks()),
		bind(vTime, now),
		bind(vValues, values("reductions")),
		bind(vBefore, call("lists", "zip", variable(vValues), variable(vProcesses))),
		bind(vIndex, call("maps", "from_list", call("lists", "zip", variable(vProcesses), variable(vValues)))),
		wait(sample),
		bind(vTime2, call("erlang", "-", now, variable(vTime))),
		bind(vAfter, of("reductions")),
		bind(vTops, tuple(greatest(n, of("memory")), greatest(n, worked), variable(vMail))),
		tuple(
			call("erlang", "system_info", atom("otp_release")),
			call("erlang", "nodes", atom("visible")), call("erlang", "nodes", atom("hidden")),
			call("application", "get_env", atom("kernel"), atom("prevent_overlapping_partitions")),
			call("erlang", "system_info", atom("process_count")), call("erlang", "length", variable(vProcesses)),
			variable(vTops),
			each(tuple(pid, call("erlang", "process_info", pid, infoItems), call("proc_lib", "translate_initial_call", pid)),
				pid, call("lists", "usort", each(pid, tuple(variable(vAny), pid),
					call("lists", "append", list(first(1), first(2), first(3)))))),
			variable(vLinksThen), askLinks(), call("ets", "tab2list", atom("sys_dist")),
			call("erlang", "system_info", atom("dist_buf_busy_limit")),
			call("erlang", "self"), variable(vTime2),
		),
	}
}

// answers is what questions asks for.
type answers struct {
	Release         string
	Visible, Hidden []string
	Overlap         etf.Term
	Processes       int
	Examined        int
	Tops            struct {
		Memory, Reductions, Mailbox []etf.Term
	}
	Details             []detail
	LinksThen, LinksNow links
	Connections         []etf.Tuple // of net_kernel
	BusyLimit           int64
	Self                etf.Pid
	Millis              int64 // how long the sample was
}

type detail struct {
	Pid     etf.Pid
	Info    etf.Term // undefined, or a property list
	Initial etf.Term
}

// ask surveys a node: one call for all of it, and one for net_kernel's tick time at the same time.
func ask(ctx context.Context, n *node.Node, t checks.Target, top int, sample time.Duration) (*survey, error) {
	s := &survey{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ticktime, _ = n.Call(ctx, t.Name, "net_kernel", "get_net_ticktime") // not known if it fails
	}()
	var a answers
	err := eval(ctx, n, t.Name, &a, questions(top+1, int(sample.Milliseconds()))...)
	<-done
	if err != nil {
		return nil, err
	}
	s.release, s.visible, s.hidden, s.overlap = a.Release, a.Visible, a.Hidden, a.Overlap
	took := time.Duration(max(a.Millis, 1)) * time.Millisecond
	s.top, s.traffic = a.top(top, took), a.traffic(t.Name, took)
	return s, nil
}

func (a *answers) top(n int, took time.Duration) Top {
	known := make(map[etf.Pid]*Process, len(a.Details))
	for _, d := range a.Details {
		known[d.Pid] = d.process()
	}
	memory := a.ranked(a.Tops.Memory, known, func(p *Process, v int64) { p.Memory = v })
	worked := a.ranked(a.Tops.Reductions, known, func(p *Process, v int64) { p.Reductions = float64(v) / took.Seconds() })
	mail := a.ranked(a.Tops.Mailbox, known, func(p *Process, v int64) { p.Before = v })
	mail = slices.DeleteFunc(mail, func(p *Process) bool { return p.Mailbox == 0 })
	return Top{Processes: a.Processes, Examined: a.Examined, Memory: copies(memory, n), Reductions: copies(worked, n), Mailbox: copies(mail, n)}
}

// ranked reads [{Value, Pid}, …], where Value may be {Item, Value}. Our own process is left out.
func (a *answers) ranked(terms []etf.Term, known map[etf.Pid]*Process, set func(*Process, int64)) []*Process {
	var out []*Process
	for _, t := range terms {
		entry, ok := t.(etf.Tuple)
		if !ok || len(entry) != 2 {
			continue
		}
		value := entry[0]
		if item, ok := value.(etf.Tuple); ok && len(item) == 2 {
			value = item[1]
		}
		pid, isPid := entry[1].(etf.Pid)
		v, isInt := value.(int64)
		if p := known[pid]; isPid && isInt && p != nil && pid != a.Self {
			set(p, v)
			out = append(out, p)
		}
	}
	return out
}

func copies(ps []*Process, n int) []Process {
	ps = ps[:min(n, len(ps))]
	out := make([]Process, 0, len(ps))
	for _, p := range ps {
		out = append(out, *p)
	}
	return out
}

func (d *detail) process() *Process {
	p := &Process{Pid: fmt.Sprintf("<0.%d.%d>", d.Pid.ID, d.Pid.Serial), Initial: mfa(d.Initial)} // as the node itself writes it
	info, _ := d.Info.(etf.List)
	if v, ok := info.Lookup("initial_call"); ok && p.Initial == unknownCall {
		p.Initial = mfa(v)
	}
	if v, ok := info.Lookup("registered_name"); ok {
		if name, ok := v.(etf.Atom); ok {
			p.Name = string(name)
		}
	}
	if v, ok := info.Lookup("current_function"); ok {
		p.Current = mfa(v)
	}
	if v, ok := info.Lookup("memory"); ok {
		p.Memory, _ = v.(int64)
	}
	if v, ok := info.Lookup("message_queue_len"); ok {
		p.Mailbox, _ = v.(int64)
	}
	return p
}

// unknownCall is what proc_lib says of a process that it has not started.
const unknownCall = "proc_lib:init_p/5"

// mfa writes {M, F, A} as m:f/a.
func mfa(t etf.Term) string {
	m, ok := t.(etf.Tuple)
	if !ok || len(m) != 3 {
		return ""
	}
	return etf.Format(m[0]) + ":" + etf.Format(m[1]) + "/" + etf.Format(m[2])
}
