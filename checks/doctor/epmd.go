package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/epmd"
)

var epmdChecks = []*Check{
	{
		Name: "epmd", Group: EPMD,
		What:  "the EPMD that your own nodes use answers, whose and of which version it is, and that it speaks the protocol that nodes do",
		Looks: "a NAMES and a PORT_PLEASE2 request to 127.0.0.1 at ERL_EPMD_PORT (4369); the process that listens there",
		Fails: "fails when something listens there and does not answer as an EPMD does in a second; nothing there is fine: clusters have an EPMD of their own",
		Fix:   "end what has the port, or choose another one for your own nodes with ERL_EPMD_PORT",
		run:   checkEPMD,
	},
	{
		Name: "embedded", Group: EPMD, Start: true,
		What:  "the EPMD of a cluster can be had",
		Looks: "starts it on a free port of 127.0.0.1, asks it for its names, and ends it",
		Fails: "fails when it cannot listen or does not answer",
		Fix:   "let this user listen on loopback (sandbox, seccomp, network namespace without lo)",
		run:   checkEmbedded,
	},
}

// epmdTimeout is how long an EPMD of this machine may take; it answers in less than a millisecond.
const epmdTimeout = time.Second

func checkEPMD(ctx context.Context, x *exam) {
	port := epmd.DefaultPort
	if text := x.env("ERL_EPMD_PORT"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			x.warn(checks.Finding{
				What: "ERL_EPMD_PORT is no port", Saw: fmt.Sprintf("ERL_EPMD_PORT=%.20s", text),
				Cause: fmt.Sprintf("nodes take %d then", port), Fix: "set it to a number from 1 to 65535, or not at all",
			})
		} else {
			port = int(n)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, epmdTimeout)
	defer cancel()
	client := epmd.Client{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	begin := time.Now()
	names, err := client.Names(ctx)
	took := time.Since(begin)
	if err == nil {
		asked := "nobody" // the answer that there is no such node shows as well which protocol it speaks
		if len(names) > 0 {
			asked = names[0].Name
		}
		if _, err = client.Lookup(ctx, asked); errors.Is(err, epmd.ErrNotRegistered) {
			err = nil
		}
	}
	dial, failed := errors.AsType[*net.OpError](err)
	switch {
	case failed && dial.Op == "dial" && !dial.Timeout(): // refused; or there is no loopback, which is another check's
		x.none("none on port %d; clusters have one of their own", port)
	case err != nil:
		f := checks.Finding{
			What: fmt.Sprintf("what listens on port %d is no EPMD that answers", port), Saw: err.Error(),
			Cause: "nodes that are not beamctl's find each other there, and cannot now",
			Fix:   "end it, or have your own nodes use another port: ERL_EPMD_PORT", Err: err,
		}
		if who := listener(port); who != "" {
			f.Saw += "\nheld by " + who
		}
		x.fail(f)
	default:
		who := listener(port)
		if who == "" {
			who = "a process that this user may not see"
		}
		x.see("%s answers on port %d in %.1f ms, and speaks the protocol that nodes do (PORT2_RESP); %s", who, port, millis(took), registered(names))
	}
}

func registered(names []epmd.NamePort) string {
	if len(names) == 0 {
		return "no node is registered"
	}
	var all []string
	for _, n := range names {
		all = append(all, n.Name)
	}
	return "registered: " + list(all)
}

// ertsOf finds the version of the run-time system in the path of one of its programs.
var ertsOf = regexp.MustCompile(`/erts-([0-9.]+)/bin/`)

// listener says who listens on a port: pid, command, user and, of an Erlang installation's program, its version. "" if it
// cannot be seen.
func listener(port int) string {
	pid, cmd, ok := checks.PortHolder(port)
	if !ok {
		return ""
	}
	who := fmt.Sprintf("pid %d (%s", pid, cmd)
	proc := "/proc/" + strconv.Itoa(pid)
	if exe, err := os.Readlink(proc + "/exe"); err == nil {
		if m := ertsOf.FindStringSubmatch(exe); m != nil {
			who += " of erts " + m[1]
		}
	}
	if fi, err := os.Stat(proc); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			who += ", user " + userName(st.Uid)
		}
	}
	return who + ")"
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func checkEmbedded(ctx context.Context, x *exam) {
	s := epmd.NewServer(epmd.Config{})
	defer s.Close() //nolint:errcheck // it only says that it is closed
	at, err := s.Listen("127.0.0.1:0", "")
	if err == nil {
		_, err = (&epmd.Client{Addr: at.String()}).Names(ctx)
	}
	if err != nil {
		x.fail(checks.Finding{
			What: "the EPMD that a cluster has cannot be had", Saw: err.Error(),
			Cause: "nodes find each other through an EPMD on loopback",
			Fix:   "let this user listen on 127.0.0.1: see that lo is up, and that no sandbox forbids it", Err: err,
		})
		return
	}
	x.see("listens and answers on 127.0.0.1")
}
