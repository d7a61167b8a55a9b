package checks

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Target is one node to look at, managed or not.
type Target struct {
	Name   string      // full node name
	EPMD   string      // host:port of the EPMD that knows it; default: the name's host, 4369
	Addr   string      // host:port of its distribution listener; set, EPMD is not asked
	Cookie dist.Cookie // of its cluster
	TLS    *tls.Config // how to speak with a node that has -proto_dist inet_tls; nil: it has not
	Apps   []string    // applications that have to run on it
	Alone  bool        // it need not see the others
}

// Peer says the same to package node.
func (t *Target) Peer() node.Peer {
	return node.Peer{Name: t.Name, EPMD: t.EPMD, Addr: t.Addr, Cookie: t.Cookie, TLS: t.TLS}
}

// Unreachable explains why a node cannot be reached: which rung of the ladder broke, what was seen, and what to do. err is what
// package node returned for it.
func Unreachable(t Target, err error) *Finding {
	f := &Finding{Saw: err.Error(), Err: err}
	if op, ok := errors.AsType[*node.OpError](err); ok {
		f.Saw = op.Err.Error()
	}
	alive, host, _ := strings.Cut(t.Name, "@")
	switch {
	case errors.Is(err, node.ErrUnresolved):
		f.What = t.Name + " cannot be reached: its host does not resolve"
		f.Cause = fmt.Sprintf("%q is in no DNS or hosts file that this machine reads", host)
		f.Fix = "check the name, or give the address: name@host=address:port"
	case errors.Is(err, node.ErrNoEPMD):
		f.What = t.Name + " cannot be reached: no EPMD answers"
		f.Cause = "no distributed node runs there, or its EPMD listens on another port or interface"
		f.Fix = "start the node with a name; check ERL_EPMD_PORT and, across hosts, the firewall (EPMD is 4369)"
	case errors.Is(err, node.ErrNoSuchName):
		f.What = fmt.Sprintf("%s is not running: EPMD does not know the name %q", t.Name, alive)
		f.Cause = "the node is down, has another name, or is registered with another EPMD"
		f.Fix = "start it, or see which names there are: beamctl status, epmd -names"
	case errors.Is(err, node.ErrRefused):
		f.What = t.Name + " cannot be reached: nothing listens on its distribution port"
		f.Cause = "EPMD still has the name, but the port behind it is closed"
		f.Fix = "look whether the node is stuck or a firewall rejects the port"
	case errors.Is(err, node.ErrWrongCookie):
		f.What = t.Name + " rejects the cookie"
		f.Cause = "the node was started with another cookie, or somebody changed it (erlang:set_cookie)"
		f.Fix = "use the cluster's cookie: --cookie-file, or ~/.erlang.cookie of the user that runs the node"
	case errors.Is(err, dist.ErrNoCookie):
		f.What = "no cookie for " + t.Name
		f.Cause = "a node is only spoken to with its cluster's cookie"
		f.Fix = "give it: --cookie-file FILE (cookies are never taken from the command line)"
	case errors.Is(err, dist.ErrWrongName):
		f.What = "another node answers where " + t.Name + " should be"
		f.Cause = "the host part of a node's name must be what the node calls itself"
		f.Fix = "use the name that the node itself gives (erlang:node())"
	case errors.Is(err, dist.ErrNotAllowed):
		f.What = t.Name + " does not allow this connection"
		f.Cause = "its net_kernel:allow/1 list names other nodes"
	case errors.Is(err, dist.ErrProtocol), errors.Is(err, dist.ErrMissingFlags), errors.Is(err, dist.ErrClosedInHandshake):
		f.What = t.Name + " cannot be reached: what listens there does not speak a protocol that fits"
		f.Cause = "something else has the port, or its OTP is older than 23"
		if t.TLS == nil {
			f.Cause = "something else has the port, the node wants TLS (-proto_dist inet_tls), or its OTP is older than 23"
			f.Fix = "for a node with TLS give the files that it has: --tls-optfile, or --tls-ca, --tls-cert and --tls-key"
		}
	case errors.Is(err, node.ErrTLS):
		explainTLS(f, t, err)
	case errors.Is(err, dist.ErrSimultaneous):
		f.What = t.Name + " has a connection with a node of our name already"
		f.Fix = "use another name, or none: then the node gives one"
	case errors.Is(err, node.ErrTimeout):
		f.What = t.Name + " does not answer"
		f.Cause = "the node is stopped (SIGSTOP), overloaded, or packets are dropped on the way"
		if t.TLS != nil {
			f.Cause += "; or it has no TLS (-proto_dist inet_tls), and waits for more"
		}
		f.Fix = "look at its process and its log; give it longer with --timeout"
	case errors.Is(err, node.ErrNodeDown):
		f.What = t.Name + " went down"
		f.Cause = "the connection ended in the middle of a call"
		f.Fix = "look at its log"
	default:
		f.What = t.Name + " cannot be reached"
	}
	return f
}

// CallFailed explains why a call on t failed: an exception of the function is left as it is, everything else becomes a finding.
func CallFailed(t Target, err error) error {
	if _, ok := errors.AsType[*node.ErlangError](err); ok {
		return err
	}
	return Unreachable(t, err)
}

// visible is what nodes(visible) returns.
func visible(names etf.List) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		if a, ok := n.(etf.Atom); ok {
			m[string(a)] = true
		}
	}
	return m
}

// missing lists the members of want that have lacks, in the order of want.
func missing(want []string, have map[string]bool) []string {
	var m []string
	for _, w := range want {
		if !have[w] {
			m = append(m, w)
		}
	}
	return m
}
