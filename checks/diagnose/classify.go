package diagnose

import (
	"slices"
	"strings"
)

// Kind is what sort of trouble a log entry tells.
type Kind string

// The kinds, the gravest first.
const (
	KindMemory     Kind = "memory"     // the VM had no memory, or no room for atoms, left
	KindBoot       Kind = "boot"       // the VM or its kernel could not start
	KindOverlap    Kind = "partition"  // global has ended connections to keep partitions from overlapping
	KindSplit      Kind = "split"      // mnesia has seen partitions that ran apart
	KindTick       Kind = "tick"       // a node was silent for longer than net_ticktime
	KindCookie     Kind = "cookie"     // somebody came with another cookie
	KindConflict   Kind = "conflict"   // global has ended a process of which there were two
	KindGaveUp     Kind = "gave_up"    // a supervisor has given up, or could not start a child
	KindServer     Kind = "server"     // a gen_server, gen_statem, GenServer… has crashed
	KindProcess    Kind = "process"    // another process has crashed
	KindBusy       Kind = "busy"       // a port or connection does not take what is sent
	KindAlarm      Kind = "alarm"      // an alarm was raised
	KindError      Kind = "error"      // any other error
	KindSupervisor Kind = "supervisor" // a supervisor tells of the end of a child
	KindWarning    Kind = "warning"    // any other warning
)

// kindInfo is what there is to know of a kind. Those without a cause are no findings by themselves.
var kindInfo = []struct {
	kind       Kind
	cause, fix string
}{
	{KindMemory, "the VM has reached a limit and could not go on", "look for what grows in the crash dump, or raise the limit"},
	{KindBoot, "the VM or an application of its kernel could not start; a name that is in use is the usual one", "read the lines before it; look who has the name: beamctl epmd names"},
	{KindOverlap, "a connection was lost, and global ended more of them (prevent_overlapping_partitions, since OTP 25)", "find out which connection was lost first, and why"},
	{KindSplit, "both sides of a partition went on writing; mnesia does not merge them", "decide which side is right and restart the other (mnesia:set_master_nodes/1)"},
	{KindTick, "nothing came from the node for net_ticktime: it was paused, overloaded or cut off", "look at that node and at the network between the two"},
	{KindCookie, "somebody who has another cookie tries to connect", "give all nodes and tools of the cluster the same cookie; else find out who it is"},
	{KindConflict, "a name was registered on both sides of a partition, and global has kept one of the two processes", "look whether the application copes with that (global:register_name/3)"},
	{KindGaveUp, "the child ended more often than the supervisor's intensity allows, or could not start", "repair what makes the child end; the crashes before it say why"},
	{KindServer, "an exception that nothing caught", "look at the function that it happened in"},
	{KindProcess, "an exception that nothing caught", "look at the function that it happened in"},
	{KindBusy, "the receiver, or the network, does not take what is sent", "look at the other end; send less"},
	{KindAlarm, "the node has seen a limit passed", "look whether it is still set: alarm_handler:get_alarms()"},
	{KindError, "the application says so", "read the entry"},
	{KindSupervisor, "", ""},
	{KindWarning, "", ""},
}

func (k Kind) rank() int {
	for i := range kindInfo {
		if kindInfo[i].kind == k {
			return i
		}
	}
	return len(kindInfo)
}

// class is what an entry is about.
type class struct {
	kind  Kind // "": nothing
	title string
	who   string   // the process
	peers []string // the nodes whose connection it is about
}

// rules find out the class by the beginning of an entry, or by what is in it. The first that fits counts.
var rules = []struct {
	kind  Kind
	has   []string // one of which is in every entry that fits: looking for words is fast; nil: match looks at the beginning only
	match pattern
	title func(m []string, text string) class // nil: the line that matched
}{
	{KindMemory, []string{"allocate ", "no more index entries"}, lazy(`(?m)^.*(?:Cannot (?:re)?allocate \d+ bytes of memory|no more index entries in \w+).*$`), nil},
	{KindBoot, []string{"ernel pid", "Runtime terminating", "terminating in do_boot", "Protocol"}, lazy(`(?m)^.*(?:Kernel pid terminated|Runtime terminating during boot|[iI]nit terminating in do_boot|Could not start kernel pid|Protocol '?\w+'?: register.*error).*$`), nil},
	{KindOverlap, []string{"overlapping partitions"}, lazy(`'?global'? at node '?([^\s']+)'? (requested disconnect from|disconnected) node '?([^\s']+)'? in order to prevent overlapping partitions`), func(m []string, _ string) class {
		return class{title: "global at " + m[1] + " " + m[2] + " " + m[3] + " to prevent overlapping partitions", peers: []string{m[1], m[3]}}
	}},
	{KindSplit, []string{"inconsistent_database"}, lazy(`inconsistent_database,\s*\{?(\w+_partitioned_network)[,\s]+'?([^\s'}]+)|inconsistent_database`), nil},
	{KindTick, []string{"not responding"}, lazy(`(?m)^.*[Nn]ode '?([^\s']+)'? not responding.*$`), func(m []string, _ string) class {
		return class{title: m[1] + " is not responding; the connection was ended (net_ticktime)", peers: m[1:2]}
	}},
	{KindCookie, []string{"Connection attempt"}, lazy(`(?m)Connection attempt (?:from|to) (?:disallowed )?node '?([^\s']+?)'?(?: rejected\. Invalid challenge|\s)`), func(m []string, _ string) class {
		return class{title: "connection attempt of " + m[1] + " rejected: another cookie", peers: m[1:2]}
	}},
	{KindConflict, []string{"Name conflict"}, lazy(`global: Name conflict terminating.*`), nil},
	{KindBusy, []string{"busy_"}, lazy(`(?m)^.*\b(?:busy_dist_port|busy_port)\b.*$`), nil},
	{KindAlarm, []string{"alarm_handler"}, lazy(`alarm_handler: \{set,\{?\s*([^,]+),`), func(m []string, _ string) class { return class{title: "alarm " + m[1] + " was raised"} }},
	{KindServer, nil, lazy(`^(?:\*\* )?(?:Generic server|State machine|Generic event handler|gen_event handler) (.+?) (?:terminating|crashed)`), func(m []string, text string) class { return crash(m[1], text) }},
	{KindServer, nil, lazy(`^(?:GenServer|GenStage consumer|:gen_statem|:gen_event handler|:gen_server) (.+?) (?:terminating|installed in)`), func(m []string, text string) class { return crash(m[1], text) }},
	{KindServer, nil, lazy(`^gen_(?:server|statem|fsm|event) (.+?) terminated with reason: (.*)`), func(m []string, text string) class { return crash(m[1], text) }},
	{KindProcess, nil, lazy(`^crasher:`), func(_ []string, text string) class { return crashReport(text) }},
	{KindProcess, nil, lazy(`^Process (?:(.+) \(#PID<[\d.]+>\)|(#PID<[\d.]+>)) (?:terminating|raised an exception)`), func(m []string, text string) class { return crash(m[1]+m[2], text) }},
	{KindProcess, nil, lazy(`^Task (#PID<[\d.]+>|\S+) started from .* terminating`), func(m []string, text string) class {
		return class{title: "a task crashed" + because(text), who: m[1]}
	}},
	{KindProcess, nil, lazy(`^Error in process <[\d.]+>(?: on node '?[^\s']+'?)? with exit value:`), func(_ []string, text string) class { return crash("a process", text) }},
	{KindSupervisor, nil, lazy(`(?i)^supervisor: (.+?)(?:\.\s|\n)`), func(m []string, text string) class { return supervisor(m[1], text) }},
	{KindSupervisor, nil, lazy(`^Child (.+) of Supervisor (.+?) (terminated|failed to start|caused shutdown|shut down abnormally|shutdown error)`), func(m []string, text string) class {
		c := class{title: "child " + m[1] + " of " + m[2] + " " + m[3] + because(text)}
		if m[3] != "terminated" {
			c.kind = KindGaveUp
		}
		return c
	}},
}

// grave are the levels of entries that are of interest whatever they say.
var grave = []string{"error", "critical", "alert", "emergency"}

// classify finds out what an entry is about.
func classify(level, text string) class {
	serious := slices.Contains(grave, level)
	if !serious && level != "warning" && !strings.HasPrefix(text, "alarm_handler: {set") {
		return class{}
	}
	for _, r := range rules {
		if r.has != nil && !slices.ContainsFunc(r.has, func(word string) bool { return strings.Contains(text, word) }) {
			continue
		}
		m := r.match().FindStringSubmatch(text)
		if m == nil {
			continue
		}
		c := class{title: m[0]}
		if r.title != nil {
			c = r.title(m, text)
		}
		if c.kind == "" {
			c.kind = r.kind
		}
		c.title = short(c.title)
		return c
	}
	first, _, _ := strings.Cut(text, "\n")
	if serious {
		return class{kind: KindError, title: short(first)}
	}
	return class{kind: KindWarning, title: short(first)}
}

// crash titles the end of a process.
func crash(who, text string) class {
	c := class{title: who, who: who}
	if strings.HasPrefix(who, "#PID<") || strings.HasPrefix(who, "<") {
		c.title = "a process"
	}
	c.title += " crashed" + because(text)
	return c
}

var (
	initialCall  = lazy(`initial call: ([^\n]+?)(?:, pid:|\n)`)
	regName      = lazy(`registered_name: ([^\s,\[\]]+)`)
	errorContext = lazy(`(?i)(?:error)?context: +(\w+)`)
	childID      = lazy(`\{(?:id|name),([^}]+)\}|Offender: id=([^,.]+)`)
)

// crashReport titles what proc_lib says of a process.
func crashReport(text string) class {
	if m := regName().FindStringSubmatch(text); m != nil {
		return crash(m[1], text)
	}
	if m := initialCall().FindStringSubmatch(text); m != nil {
		return crash("a process of "+m[1], text)
	}
	return crash("a process", text)
}

// supervisor titles a supervisor's report.
func supervisor(name, text string) class {
	child, context := "a child", ""
	if m := childID().FindStringSubmatch(text); m != nil {
		child = m[1] + m[2]
	}
	if m := errorContext().FindStringSubmatch(text); m != nil {
		context = m[1]
	}
	name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(name), "{local,"), "}")
	switch context {
	case "child_terminated":
		return class{title: name + ": its child " + child + " ended" + because(text)}
	case "start_error":
		return class{kind: KindGaveUp, title: name + " could not start its child " + child + because(text)}
	case "shutdown":
		return class{kind: KindGaveUp, title: name + " gave up: its child " + child + because(text)}
	}
	return class{title: name + ": " + context + " of its child " + child + because(text)}
}

// reasons are where entries say why, in the order in which they are looked for.
var reasons = []pattern{
	lazy(`(?s)\*\* Reason for termination ==?\s*(?:\*\* )?(.+)`),
	lazy(`(?s)Reason for termination = (.+)`),
	lazy(`\(exit\) an exception was raised:\s*\*\* \(([^\n]+)`),
	lazy(`(?m)^\s*(?:\*\* )+\(([^\n]+)`), // Elixir: ** (RuntimeError) oops
	lazy(`(?s)\bexception ((?:error|exit|throw): .+)`),
	lazy(`(?s)registered_name: [^,\n]+, ((?:error|exit|throw): .+)`),
	lazy(`(?s)[rR]eason: +(.+)`),
	lazy(`(?s)with exit value:,?\s*(.+)`),
}

var (
	// stackBegins is where a reason ends and the stack begins, as OTP writes it and as its reports do.
	stackBegins = lazy(`,\s*\[\{[a-z'][\w@']*,\s*[a-z'<-]`)
	reasonEnds  = lazy(`(?:\n\s+in (?:function|call)|\n\s*offender:|\n\s*ancestors:|\. Last message:|\. Offender:|, ancestors:|\n\*\* |\n\s*Start Call:|\.\s*State:)`)
	frame       = lazy(`\{([a-z][\w@']*|'[^']+'),\s*('?[^,']+'?),\s*(\d+|\[[^\]]*\]),\s*\[\{file,\s*"([^"]+)"\},\s*\{line,\s*(\d+)\}\]`)
	inFunction  = lazy(`in function +(\S+)(?: \(([^,]+), line (\d+)\))?`)
	elixirFrame = lazy(`(?m)^ +(?:\([^)]*\) )?(\S+\.exs?:\d+): (.+)$`)
)

// because tells the reason in an entry, and the function, if it has them.
func because(text string) string {
	why := ""
	for _, r := range reasons {
		if m := r().FindStringSubmatch(text); m != nil {
			why = reason(m[1])
			break
		}
	}
	if why == "" {
		return ""
	}
	why = ": " + why
	if m := elixirFrame().FindStringSubmatch(text); m != nil {
		return why + " in " + m[2] + " (" + m[1] + ")"
	}
	if m := inFunction().FindStringSubmatch(text); m != nil {
		if m[2] != "" {
			return why + " in " + m[1] + " (" + m[2] + ":" + m[3] + ")"
		}
		return why + " in " + m[1]
	}
	if m := frame().FindStringSubmatch(text); m != nil {
		arity := "/" + m[3]
		if strings.HasPrefix(m[3], "[") { // its arguments
			arity = ""
		}
		return why + " in " + m[1] + ":" + m[2] + arity + " (" + m[4] + ":" + m[5] + ")"
	}
	return why
}

// reason cuts the stack off {Reason, Stack}, and makes one line of the rest.
func reason(s string) string {
	if at := reasonEnds().FindStringIndex(s); at != nil {
		s = s[:at[0]]
	}
	cut := false
	if at := stackBegins().FindStringIndex(s); at != nil {
		s, cut = s[:at[0]], true
	}
	s = strings.Join(strings.Fields(s), " ")
	if rest, ok := strings.CutPrefix(s, "{"); ok && cut {
		s = rest // of the tuple that had the stack
	} else if before, after, ok := strings.Cut(s, ": {"); ok && cut && !strings.Contains(before, " ") {
		s = before + ": " + after // error: {Reason, Stack}
	}
	if exception, message, ok := strings.Cut(s, ") "); ok && !strings.ContainsAny(exception, " ({") {
		return exception + ": " + message // Elixir: RuntimeError) oops
	}
	return s
}

// maxTitle is what fits a wide terminal's line.
const maxTitle = 200

func short(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxTitle {
		return strings.ToValidUTF8(s[:maxTitle], "") + "…"
	}
	return s
}

const (
	maxQuoted      = 2 << 10
	maxQuotedLines = 20
)

// private are the parts of an entry that hold what a process had in its hands: its state, its messages, its dictionary.
// They end with the next part.
var (
	private = lazy(`^\s*(?:\*\* (?:Last (?:message|event) in was|When (?:Server|handler) [sS]tate|When server state|Queued|Postponed|Messages? in|Last event|Installed in|User data)|(?i:last (?:message|event)|state|messages|dictionary|client|data|queue|args|postponed)\b(?: \([^)]*\))?:)`)
	part    = lazy(`^\s*(?:\*\* |[A-Za-z_][\w ]{1,30}:( |$)|\([a-z_]+ [\d.]+\) )`)
	inline  = lazy(`(?s)(?:\. Last (?:message|event):|\. State:|, messages:|, dictionary:).*`)
)

// quote shortens an entry to what can be shown to others.
func quote(text string) string {
	if !strings.Contains(text, "\n") {
		text = inline().ReplaceAllString(text, " …")
	}
	var out []string
	hiding := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case private().MatchString(line):
			hiding = true
			continue
		case hiding && !part().MatchString(line):
			continue
		}
		hiding = false
		if len(out) == maxQuotedLines {
			out = append(out, "…")
			break
		}
		out = append(out, line)
	}
	s := strings.Join(out, "\n")
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	return s
}
