package diagnose

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// Dump is what is worth knowing of a crash dump (erts, "How to Interpret the Erlang Crash Dumps").
type Dump struct {
	Name      string           `json:"name"`
	Node      string           `json:"node,omitempty"`
	Time      time.Time        `json:"time,omitzero"`
	Slogan    string           `json:"slogan"`
	System    string           `json:"system"`          // its version
	Memory    map[string]int64 `json:"memory"`          // bytes: total, processes, ets, binary…
	Atoms     int64            `json:"atoms"`           // how many
	AtomLimit int64            `json:"atom_limit"`      // 0: not in the dump
	Processes int              `json:"processes"`       // how many
	Ports     int              `json:"ports"`           // how many
	Nodes     []string         `json:"connected_nodes"` // visible and hidden ones
	Largest   []DumpProcess    `json:"largest"`         // by memory
	Mailboxes []DumpProcess    `json:"mailboxes"`       // the longest
	Complete  bool             `json:"complete"`        // it was written to its end
	Cause     string           `json:"cause,omitempty"` // of the crash, as far as the slogan tells
	Fix       string           `json:"fix,omitempty"`
	Problem   string           `json:"problem,omitempty"` // it could not be read, or not to its end
}

// DumpProcess is a process in a crash dump.
type DumpProcess struct {
	Pid     string `json:"pid"`
	Name    string `json:"name,omitempty"`
	State   string `json:"state,omitempty"`
	Spawned string `json:"spawned_as,omitempty"`
	Current string `json:"current,omitempty"`
	Memory  int64  `json:"memory"`
	Mailbox int64  `json:"mailbox"`
}

const (
	// maxDumpBytes is how much of a dump is read: of a VM with 100,000 processes it has some hundred megabytes, most of
	// which are heaps.
	maxDumpBytes = 512 << 20
	// maxDumpNodes and dumpTop bound what is kept.
	maxDumpNodes = 100
	dumpTop      = 5
)

// slogans are what the VM says when it gives up, and what that means.
var slogans = []struct {
	match      pattern
	cause, fix string
}{
	{
		lazy(`Cannot (?:re)?allocate (\d+) bytes of memory \(of type "(\w+)"`),
		"the VM asked for $1 bytes more (for $2) and the system had none, or a limit (ulimit -v, a container's) forbade it",
		"look at the largest processes and at memory by kind; a heap that large is usually one process that builds a huge term or has a long mailbox",
	},
	{
		lazy(`no more index entries in atom_tab`), "the table of atoms is full: something makes atoms of data (list_to_atom, binary_to_atom, random node names)",
		"find what makes them (the dump ends with the newest atoms); use *_to_existing_atom; erl +t raises the limit",
	},
	{
		lazy(`no more index entries in (\w+)`), "the VM's table $1 is full", "find what fills it",
	},
	{
		lazy(`Kernel pid terminated|Could not start kernel pid`), "an application that must run (kernel, or a permanent one) ended or could not start; a node name that is in use is the usual reason",
		"read the log before the crash; look who has the name: beamctl epmd names",
	},
	{
		lazy(`[iI]nit terminating in do_boot`), "the boot failed: a missing file or module, a wrong argument, an application that could not start",
		"the words behind do_boot say which",
	},
	{
		lazy(`Received SIGUSR1`), "somebody has sent the VM SIGUSR1, which makes it write a dump and end", "ask who did; it was no fault of the VM",
	},
	{lazy(`Got unusable memory block|[Ss]egmentation|size_object|erts_`), "the VM itself has failed, or a NIF or driver has damaged its memory", "look which NIFs are loaded; try without them or with the latest patch of OTP"},
	{lazy(``), "the code has ended the VM itself: erlang:halt/1 with these words", "find who calls it"},
}

// explainSlogan says what a slogan means.
func explainSlogan(slogan string) (cause, fix string) {
	for _, s := range slogans {
		if m := s.match().FindStringSubmatchIndex(slogan); m != nil {
			return string(s.match().ExpandString(nil, s.cause, slogan, m)), s.fix
		}
	}
	return "", ""
}

// readDump reads a crash dump. What it has is not believed: numbers that are none are 0, sections may be missing,
// double or endless.
func readDump(src Source, hide *Redactor) Dump {
	d := &dumpReader{Dump: Dump{Name: src.Name, Node: src.Node, Memory: map[string]int64{}, Nodes: []string{}, Largest: []DumpProcess{}, Mailboxes: []DumpProcess{}}}
	r, err := src.Open()
	if err != nil {
		d.Problem = err.Error()
		return d.Dump
	}
	defer r.Close() //nolint:errcheck // read only
	limited := &io.LimitedReader{R: r, N: maxDumpBytes}
	err = eachLine(limited, func(line string, _ int64) bool { d.line(line); return true })
	d.process()
	switch {
	case err != nil:
		d.Problem = errors.Join(errors.New("not read to its end"), err).Error()
	case limited.N == 0:
		d.Problem = fmt.Sprintf("only its first %s were read", Size(maxDumpBytes))
	case d.System == "" && d.Slogan == "":
		d.Problem = "it is no crash dump of an Erlang VM"
	}
	d.Slogan, d.System = hide.Text(short(d.Slogan)), hide.Text(short(d.System))
	d.Cause, d.Fix = explainSlogan(d.Slogan)
	return d.Dump
}

// dumpReader goes through the lines of a dump.
type dumpReader struct {
	Dump
	section string // its tag
	proc    *DumpProcess
}

func (d *dumpReader) line(line string) {
	if strings.HasPrefix(line, "=") {
		d.process()
		tag, id, _ := strings.Cut(line[1:], ":")
		switch d.section = tag; tag {
		case "proc":
			d.Processes++
			d.proc = &DumpProcess{Pid: short(id)}
		case "port":
			d.Ports++
		case "index_table":
			d.section += ":" + id
		case "end":
			d.Complete = true
		}
		return
	}
	key, value, ok := strings.Cut(line, ": ")
	switch d.section {
	case "erl_crash_dump":
		d.head(line, key, value)
	case "memory":
		if ok && len(d.Memory) < dumpTop*4 {
			d.Memory[key] = number(value)
		}
	case "index_table:atom_tab":
		if key == "limit" {
			d.AtomLimit = number(value)
		}
	case "visible_node", "hidden_node":
		if key == "Name" && len(d.Nodes) < maxDumpNodes {
			d.Nodes = append(d.Nodes, short(value))
		}
	case "proc":
		d.detail(key, value)
	}
}

// head reads the first section, in which the date has a line of its own.
func (d *dumpReader) head(line, key, value string) {
	switch key {
	case "Slogan":
		d.Slogan = value
	case "System version":
		d.System = value
	case "Atoms":
		d.Atoms = number(value)
	default:
		if t, err := time.ParseInLocation("Mon Jan _2 15:04:05 2006", line, time.Local); err == nil && d.Time.IsZero() {
			d.Time = t.UTC()
		}
	}
}

func (d *dumpReader) detail(key, value string) {
	if d.proc == nil {
		return
	}
	switch key {
	case "Name":
		d.proc.Name = short(value)
	case "State":
		d.proc.State = short(value)
	case "Spawned as":
		d.proc.Spawned = short(value)
	case "Current call":
		d.proc.Current = short(value)
	case "Program counter":
		if _, in, ok := strings.Cut(value, "("); ok && d.proc.Current == "" {
			d.proc.Current = short(strings.TrimSuffix(in, ")"))
		}
	case "Message queue length":
		d.proc.Mailbox = number(value)
	case "Memory":
		d.proc.Memory = number(value)
	}
}

// process completes the process that is being read.
func (d *dumpReader) process() {
	p := d.proc
	if d.proc = nil; p == nil {
		return
	}
	keep := func(top []DumpProcess, by func(*DumpProcess) int64) []DumpProcess {
		if by(p) == 0 {
			return top
		}
		at, _ := slices.BinarySearchFunc(top, by(p), func(q DumpProcess, v int64) int { return int(min(max(v-by(&q), -1), 1)) })
		if at == dumpTop {
			return top
		}
		top = slices.Insert(top, at, *p)
		return top[:min(len(top), dumpTop)]
	}
	d.Largest = keep(d.Largest, func(p *DumpProcess) int64 { return p.Memory })
	d.Mailboxes = keep(d.Mailboxes, func(p *DumpProcess) int64 { return p.Mailbox })
}

// number reads a number of a dump; what is none, or negative, is 0.
func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Who names the process for people.
func (p *DumpProcess) Who() string {
	switch {
	case p.Name != "":
		return p.Name
	case p.Spawned != "":
		return p.Spawned + " " + p.Pid
	}
	return p.Pid
}

// dumps makes a finding of each crash dump.
func (r *Report) dumps() {
	for i := range r.Dumps {
		d := &r.Dumps[i]
		if d.Slogan == "" {
			f := &checks.Finding{What: "a crash dump cannot be read: " + d.Name, Saw: d.Problem, Cause: "the VM ended before it had written it, or it is no crash dump", Fix: "look at it"}
			r.add(AreaCrash, Fail, d.Node, f)
			continue
		}
		who := d.Node
		if who == "" {
			who = d.Name
		}
		saw := []string{d.Name}
		if !d.Time.IsZero() {
			saw = append(saw, "of "+d.Time.Format(time.RFC3339))
		}
		saw = append(saw, fmt.Sprintf("%d processes, %s in all", d.Processes, Size(d.Memory["total"])))
		if len(d.Largest) > 0 {
			saw = append(saw, fmt.Sprintf("the largest process is %s with %s", d.Largest[0].Who(), Size(d.Largest[0].Memory)))
		}
		if len(d.Mailboxes) > 0 && d.Mailboxes[0].Mailbox >= mailboxLimit {
			saw = append(saw, fmt.Sprintf("%s has %d messages unread", d.Mailboxes[0].Who(), d.Mailboxes[0].Mailbox))
		}
		level := Fail
		if !d.Time.IsZero() && d.Time.Before(r.since(d.Node)) { // which has been started again
			level = Past
		}
		r.add(AreaCrash, level, d.Node, &checks.Finding{
			What: fmt.Sprintf("%s has crashed: %s", who, d.Slogan), Saw: strings.Join(saw, "; "), Cause: d.Cause, Fix: d.Fix,
		})
	}
}

// dataSections are the parts of a crash dump that hold what processes had in their hands, in encodings in which no
// secret can be found.
var dataSections = []string{
	"proc_heap", "proc_stack", "proc_messages", "proc_dictionary", "debug_proc_dictionary", "binary", "persistent_terms", "literals",
}

// copyDump writes a crash dump without data and secrets; what is left still says what was running, and how large it was.
func copyDump(dst io.Writer, src io.Reader, hide *Redactor) error {
	skip := false
	return hide.copyLines(dst, io.LimitReader(src, maxDumpBytes), func(line string) bool {
		if strings.HasPrefix(line, "=") {
			tag, _, _ := strings.Cut(line[1:], ":")
			skip = slices.Contains(dataSections, tag)
		}
		return !skip
	})
}
