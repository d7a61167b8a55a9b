package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/beamctl/beamctl/checks"
)

// known is one failure that beamctl understands. It matches by the output; its texts may refer to the expression's
// submatches as $1.
type known struct {
	match pattern
	what  string // completes "NODE did not start: …"
	cause string
	fix   string
}

// The catalogue, the most telling first: an application that cannot listen also crashes, and is better
// explained by the former. The texts matched are those of OTP 23 to 29.
var catalogue = []known{
	{
		match: lazy(`the name (\S+) seems to be in use by another Erlang node`),
		what:  "its name is taken",
		cause: "another node of this cluster's EPMD, perhaps a shell started by `beamctl exec`, is called $1",
		fix:   "end that node or give it another name; `beamctl start --name` changes those of the cluster",
	},
	{
		match: lazy(`(?i)Can't set short node name`),
		what:  "its distribution refused the name",
		cause: "a short name (-sname) may not have a host with a dot in it; something on its command line, or its start script, asked for one",
		fix:   "leave the name to beamctl: no -sname and -name; or give hosts without a dot, with `names: short`",
	},
	{
		match: lazy(`(?i)Can't set long node name|hostname \S+ is illegal`),
		what:  "its distribution refused the name",
		cause: "a long name needs a host with a dot in it that is this machine's",
		fix:   "use 127.0.0.1 as the host: --name '{{.Node}}@127.0.0.1'",
	},
	{
		match: lazy(`Protocol '(\w+)': not supported`),
		what:  "its distribution cannot speak TLS",
		cause: "there is no module ${1}_dist: application ssl is not installed with this Erlang, or not part of the release",
		fix:   "install it (Debian: erlang-ssl); in a release, add ssl to its applications (mix.exs: extra_applications: [:ssl])",
	},
	{
		match: lazy(`(?:generated|received) (?:CLIENT|SERVER) ALERT: Fatal - Unknown CA`),
		what:  "TLS between the nodes fails: they do not trust the same authority",
		cause: "the certificate of this node, or of one that it speaks with, is signed by an authority that is not in the other's cacertfile",
		fix:   "give all nodes certificates of one authority, or let beamctl make them: `tls: auto`",
	},
	{
		match: lazy(`register/listen error: eaddrinuse`),
		what:  "its distribution port is taken",
		cause: "something took the port between beamctl's look at it and the node's; beamctl keeps ports free only among its own clusters of one user",
		fix:   "start again; other ports: ports.dist in beamctl.yaml",
	},
	{
		match: lazy(`register/listen error: badarg`),
		what:  "its distribution cannot listen at its host's address",
		cause: "it was to listen at an IPv6 address, and speaks IPv4: flags of its own (an -args_file, a start script) have a second -proto_dist, and of two OTP takes none",
		fix:   "take -proto_dist out of the node's own flags: beamctl sets it by the nodes' hosts",
	},
	{
		match: lazy(`register/listen error: \w+`),
		what:  "it found no EPMD",
		cause: "ERL_EPMD_PORT is not the port of the cluster's EPMD: a start script or the project's environment has changed it",
		fix:   "leave ERL_EPMD_PORT, ERL_EPMD_ADDRESS and -start_epmd alone: beamctl sets them for each node",
	},
	{
		match: lazy(`Invalid challenge reply|attempt from disallowed node`),
		what:  "its cookie is not the cluster's",
		cause: "the node has another cookie than beamctl gave it: it was set by code (erlang:set_cookie) or by a flag (-setcookie, vm.args)",
		fix:   "take that out; nodes with a cookie of their own choice are started without beamctl, and looked at with --attach",
	},
	{
		match: lazy(`(?i)Too many open files|\bemfile\b`),
		what:  "it ran out of file descriptors",
		cause: "the limit of open files per process is too low for this node",
		fix:   "raise it: ulimit -n",
	},
	{
		match: lazy(`(?i)No space left on device|\benospc\b`),
		what:  "the disk is full",
		cause: "it could not write a file; the line seen says which, or what failed for it",
		fix:   "free some space, or choose another place with --state-dir",
	},
	{
		match: lazy(`\beaddrinuse\b`),
		what:  "a port that it wants is taken",
		cause: "the application listens on a fixed port, which another node of the cluster or another program holds",
		fix:   "give each node a port of its own in the application's configuration (0 takes any free one)",
	},
	{
		match: lazy(`compiled for a later version of the run-?time system than (?:Erlang/OTP )?(\d+)`),
		what:  "its code was built by a later OTP",
		cause: "it runs OTP $1, and what a later one has compiled it cannot load; the lines around name the module",
		fix:   "build with the OTP that is to run it: remove what was built (ebin/*.beam, _build) and start again",
	},
	{
		match: lazy(`\{app_failed,\s*(\w+),\s*\{(\w+),\s*\{"no such file or directory",\s*"([^"]+)\.app"\}\}\}`),
		what:  "application $2 is missing",
		cause: "$1 needs $2, and there is no $3.app on the code path",
		fix:   "build or install $2, or take it out of `applications` in $1.app",
	},
	{
		match: lazy(`\{bad_return,\{\{(\w+),start,\[.*?\]\},\{'EXIT',\{undef,\[\{(\w+),`),
		what:  "its application could not start",
		cause: "$1:start called module $2, which is not on the code path",
		fix:   "build the project, and see that $2 is part of it",
	},
	{
		match: lazy(`\{app_failed,\s*(\w+),`),
		what:  "application $1 failed to start",
		cause: "its start function returned an error, or one of the processes below its supervisor did; the reason is in the line seen",
	},
	{
		match: lazy(`^\s+\*\* \((\w*Error)\) (.+)`), // below what Mix or a supervisor says of the exit
		what:  "an exception ended the start of an application",
		cause: "$1: $2",
		fix:   "mend what the exception names; the lines around it, in the log, say who raised it",
	},
	{
		match: lazy(`\*\* \(Mix\) Could not start application (\w+): (.+)`),
		what:  "application $1 failed to start",
		cause: "$2",
	},
	{
		match: lazy(`(?:generated|received) (?:CLIENT|SERVER) ALERT: Fatal - (.+)`),
		what:  "TLS between the nodes fails: $1",
		cause: "this node, or one that it speaks with, does not accept the other's certificate, or was shown none",
		fix:   "see that the certificates are valid, for the nodes' hosts, and of one authority; or let beamctl make them: `tls: auto`",
	},
	{
		match: lazy(`\{cookie_file,`),
		what:  "it could not read the cluster's cookie",
		cause: "the state directory was removed or changed while the cluster started",
		fix:   "start again",
	},
	{
		match: lazy(`\{distribution,`),
		what:  "its distribution did not start",
		cause: "net_kernel refused; the lines before say why",
	},
	{
		match: lazy(`\*\* \((\w*Error|Mix)\) (.+)`),
		what:  "an Elixir error ended it",
		cause: "$2",
	},
	{
		match: lazy(`init terminating in do_boot`),
		what:  "it crashed while it booted",
		cause: "an expression or module that its command line names failed; the line seen has the reason",
	},
}

// explain makes a finding of evidence.
func (e evidence) explain() *checks.Finding {
	f := &checks.Finding{What: e.name + " did not start", Saw: e.tail(), Err: e.seen}
	switch {
	case e.exit != nil:
		f.What += ": its process ended (" + e.exit.String() + ")"
		if *e.exit == (exit{}) {
			f.Cause = "what started it ended before it was a node: it did its work and ended, or left a BEAM running in the background, which was ended, too"
			f.Fix = "have it run in the foreground: no -detached, no &, exec before erl"
		}
	case e.late:
		f.What += " in time"
		f.Cause = "last seen: " + e.seen.Error()
		f.Fix = "give it longer with --timeout, or see what it does: beamctl logs"
		if e.file == "" {
			f.Fix = "give it longer with --timeout"
		}
		f.Err = fmt.Errorf("%w: %w", ErrNotReady, e.seen)
	case e.seen != nil:
		f.Cause = e.seen.Error()
	}
	f.Saw += e.dump
	for _, k := range catalogue {
		for i, line := range e.lines {
			m := k.match().FindStringSubmatchIndex(line)
			if m == nil {
				continue
			}
			expand := func(text string) string { return string(k.match().ExpandString(nil, text, line, m)) }
			f.What = e.name + " did not start: " + expand(k.what)
			f.Cause, f.Fix = expand(k.cause), expand(k.fix)
			f.Saw = strings.TrimSpace(shorten(line)+"  "+e.at(i)) + e.dump
			return f
		}
	}
	return f
}

// nodeFinding explains why m is not ready; seen is what it was waited for.
func (s *supervisor) nodeFinding(ctx context.Context, m *member, seen error) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, errExited) && !errors.Is(cause, ErrNotReady) && cause != nil {
		return cause // somebody else gave up
	}
	if errors.Is(cause, ErrNotReady) && !closed(m.now().registered) {
		if f := s.flagsLost(m); f != nil {
			return f
		}
	}
	e := s.evidence(m)
	e.seen, e.late = seen, errors.Is(cause, ErrNotReady)
	if errors.Is(cause, errExited) {
		e.exit = &m.now().exit
	}
	return e.explain()
}

// rejection explains, from what the nodes have logged since they were started, why the others don't let m in; nil if they say nothing of
// that. withTLS: what m says of TLS counts, too.
func (s *supervisor) rejection(m *member, withTLS bool) *checks.Finding {
	for _, other := range s.all() {
		e := s.console(other)
		e.since(m.began()) // before, it was a former life of m that was rejected
		for i, line := range e.lines {
			rejected := other != m && strings.Contains(line, "from node '"+m.name+"' rejected")
			refused := other == m && withTLS && strings.Contains(line, tlsAlert)
			if rejected || refused {
				e.name, e.lines, e.first, e.dump = m.name, e.lines[i:i+1], e.first+i, ""
				return e.explain()
			}
		}
	}
	return nil
}

// tlsAlert is what ssl logs when one side ends a handshake.
const tlsAlert = " ALERT: Fatal - "

// evidence is what m has left in its directory in its present life.
func (s *supervisor) evidence(m *member) evidence {
	e := s.console(m)
	e.since(m.began())
	dump := s.Place.crashDump(m.short)
	if slogan := readSlogan(dump); slogan != "" {
		e.dump = strings.TrimRight("\ncrash dump: "+shorten(slogan)+"  "+parens(s.shown(dump)), " ")
	}
	return e
}

func (s *supervisor) console(m *member) evidence {
	return s.read(m.name, s.Place.console(m.short))
}

func (s *supervisor) read(name, log string) evidence {
	e := readEvidence(name, log)
	e.file = s.shown(log)
	return e
}

// shown is a path as findings have it: from the project's directory, or "" if nobody will find it any more.
func (s *supervisor) shown(path string) string {
	if s.Forget {
		return ""
	}
	return relative(path, s.Spec.Dir)
}

// readSlogan returns what a crash dump says in its first lines about its reason, or "".
func readSlogan(dump string) string {
	f, err := os.Open(dump) //nolint:gosec // in our state directory
	if err != nil {
		return ""
	}
	defer f.Close()                             //nolint:errcheck // read only
	b, _ := io.ReadAll(io.LimitReader(f, 4096)) // the slogan is in the third line
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "Slogan: "); ok {
			return strings.ToValidUTF8(strings.TrimSpace(s), "?")
		}
	}
	return ""
}

// relative shows a path as from a directory, if it is below.
func relative(path, from string) string {
	if rel, err := filepath.Rel(from, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// buildFinding explains why the build failed.
func (s *supervisor) buildFinding(argv []string, x exit) error {
	e := s.read("the build", s.Place.buildLog())
	return &checks.Finding{
		What: fmt.Sprintf("the project does not build: %s: %s", joinArgs(argv), x), Saw: e.tail(),
		Fix: "see that the same command succeeds in " + s.Spec.Dir,
	}
}

// slowBuildFinding explains that the build took all the time there was.
func (s *supervisor) slowBuildFinding(argv []string) error {
	e := s.read("the build", s.Place.buildLog())
	return &checks.Finding{
		What: fmt.Sprintf("the project did not build in time: %s still runs after %s", joinArgs(argv), s.Spec.Ready), Saw: e.tail(),
		Fix: "give it longer with --timeout, or build before: beamctl then has little to do", Err: ErrNotReady,
	}
}

// spawnFinding explains why a process could not even be started.
func (s *supervisor) spawnFinding(name string, argv []string, err error) error {
	f := &checks.Finding{What: fmt.Sprintf("%s did not start: %s cannot be run", name, argv[0]), Saw: err.Error(), Err: err}
	if errors.Is(err, errMissing) {
		f.Cause = "there is no " + argv[0] + " on PATH"
		f.Fix = "install it, or put its directory on PATH"
	} else if errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.ENOENT) {
		f.Cause = "the file is there, and no program of this machine: it is a script without #! in its first line, or with an interpreter there that is missing, or was built for another system"
		f.Fix = "see that it runs in a shell: " + argv[0]
	}
	return f
}

func joinArgs(argv []string) string { return strings.Join(argv, " ") }
