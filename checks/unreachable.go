package checks

import (
	"errors"
	"strings"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/node"
)

// explanation is what an error of package node means to a user. {name}, {alive} and {host} stand for the node's name
// and its parts.
type explanation struct {
	when             []error // any of them
	what, cause, fix string
	more             func(f *Finding, t Target, err error) // what depends on more than the error
}

// explanations are looked through in this order: the first that fits counts.
var explanations = []explanation{
	{
		when:  []error{node.ErrUnresolved},
		what:  "{name} cannot be reached: its host does not resolve",
		cause: `"{host}" is in no DNS or hosts file that this machine reads`,
		fix:   "check the name, or give the address: name@host=address:port",
	},
	{
		when:  []error{node.ErrNoEPMD},
		what:  "{name} cannot be reached: no EPMD answers",
		cause: "no distributed node runs there, or its EPMD listens on another port or interface",
		fix:   "start the node with a name; check ERL_EPMD_PORT and, across hosts, the firewall (EPMD is 4369)",
	},
	{
		when:  []error{node.ErrNoSuchName},
		what:  `{name} is not running: EPMD does not know the name "{alive}"`,
		cause: "the node is down, has another name, or is registered with another EPMD",
		fix:   "start it, or name the one that is meant",
		more: func(f *Finding, t Target, err error) {
			if unknown, ok := errors.AsType[*node.NameError](err); ok {
				if near := Nearest(unknown.Alive, unknown.Known); near != "" {
					f.Fix = "is " + near + "@" + dist.Host(t.Name) + " meant? Else start the node"
				}
			}
		},
	},
	{
		when:  []error{node.ErrRefused},
		what:  "{name} cannot be reached: nothing listens on its distribution port",
		cause: "EPMD still has the name, but the port behind it is closed",
		fix:   "look whether the node is stuck or a firewall rejects the port",
		more: func(f *Finding, t Target, _ error) {
			if t.Addr != "" {
				f.Cause = "the address was given: EPMD was not asked"
				f.Fix = "check it; without =ADDRESS:PORT the EPMD of the node's host is asked"
			}
		},
	},
	{
		when:  []error{node.ErrWrongCookie},
		what:  "{name} rejects the cookie",
		cause: "the node was started with another cookie, or somebody changed it (erlang:set_cookie)",
		fix:   "use the cluster's cookie: --cookie-file, or ~/.erlang.cookie of the user that runs the node",
		more: func(f *Finding, t Target, _ error) {
			if t.Ours {
				alive, _, _ := strings.Cut(t.Name, "@")
				f.Cause = "it had the cluster's cookie when it was started: somebody has changed it since (erlang:set_cookie)"
				f.Fix = "look who does that; beamctl restart " + alive + " gives it the right one again"
			}
		},
	},
	{
		when:  []error{dist.ErrNoCookie},
		what:  "no cookie for {name}",
		cause: "a node is only spoken to with its cluster's cookie",
		fix:   "give it: --cookie-file FILE (cookies are never taken from the command line)",
	},
	{
		when:  []error{dist.ErrWrongName},
		what:  "another node answers where {name} should be",
		cause: "the host part of a node's name must be what the node calls itself",
		fix:   "use the name that the node itself gives (erlang:node())",
	},
	{
		when:  []error{dist.ErrNotAllowed},
		what:  "{name} does not allow this connection",
		cause: "its net_kernel:allow/1 list names other nodes",
		fix:   "ask from a node that is on the list, or put the list aside: net_kernel:allow/1 on the node",
	},
	{
		when:  []error{dist.ErrSpeaksTLS},
		what:  "{name} cannot be reached: it wants TLS",
		cause: "the node runs with -proto_dist inet_tls, and was spoken to without",
		fix:   "give the files that it has: --tls-optfile, or --tls-ca, --tls-cert and --tls-key",
	},
	{
		when:  []error{dist.ErrProtocol, dist.ErrMissingFlags, dist.ErrClosedInHandshake},
		what:  "{name} cannot be reached: what listens there does not speak a protocol that fits",
		cause: "something else has the port, or its OTP is older than 23",
		more: func(f *Finding, t Target, _ error) {
			if t.TLS == nil {
				f.Cause = "something else has the port, the node wants TLS (-proto_dist inet_tls), or its OTP is older than 23"
				f.Fix = "for a node with TLS give the files that it has: --tls-optfile, or --tls-ca, --tls-cert and --tls-key"
			}
		},
	},
	{when: []error{node.ErrTLS}, more: explainTLS},
	{
		when: []error{dist.ErrSimultaneous},
		what: "{name} has a connection with a node of our name already",
		fix:  "use another name, or none: then the node gives one",
	},
	{
		when:  []error{node.ErrTimeout},
		what:  "{name} does not answer",
		cause: "the node is stopped (SIGSTOP), overloaded, or packets are dropped on the way",
		fix:   "look at its process and its log; give it longer with --timeout",
		more: func(f *Finding, t Target, _ error) {
			if t.TLS != nil {
				f.Cause += "; or it has no TLS (-proto_dist inet_tls), and waits for more"
			}
		},
	},
	{
		when:  []error{node.ErrNodeDown},
		what:  "{name} went down",
		cause: "the connection ended in the middle of a call",
		fix:   "look at its log",
	},
}

// Unreachable explains why a node cannot be reached: which rung of the ladder broke, what was seen, and what to do. err
// is what package node returned for it.
func Unreachable(t Target, err error) *Finding {
	if t.Down != nil { // who has seen its process end knows better than an EPMD
		f := *t.Down
		f.Err = err
		return &f
	}
	f := &Finding{What: t.Name + " cannot be reached", Saw: err.Error(), Err: err}
	if op, ok := errors.AsType[*node.OpError](err); ok {
		f.Saw = op.Err.Error()
	}
	alive, host, _ := strings.Cut(t.Name, "@")
	fill := strings.NewReplacer("{name}", t.Name, "{alive}", alive, "{host}", host)
	for _, e := range explanations {
		if !e.fits(err) {
			continue
		}
		f.What, f.Cause, f.Fix = fill.Replace(e.what), fill.Replace(e.cause), fill.Replace(e.fix)
		if e.more != nil {
			e.more(f, t, err)
		}
		break
	}
	return f
}

func (e *explanation) fits(err error) bool {
	for _, w := range e.when {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}
