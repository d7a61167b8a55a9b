package checks

import (
	"crypto/tls"
	"errors"

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
	Ours   bool        // beamctl has started it, with this cookie
	Down   *Finding    // why it cannot be expected to answer, as whoever runs it knows; nil: it runs, or nobody knows
}

// Peer says the same to package node.
func (t *Target) Peer() node.Peer {
	return node.Peer{Name: t.Name, EPMD: t.EPMD, Addr: t.Addr, Cookie: t.Cookie, TLS: t.TLS}
}

// CallFailed explains why a call on t failed: an exception of the function is left as it is, everything else becomes a
// finding.
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
