package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var mixedCases = []Case{
	{"full mesh, joined and seen by our node, with", mixedMesh},
	{"one release's processes known to the others through us", mixedIdentifiers},
	{"our node with nodes of all releases at once", allAtOnce},
}

// meets tells whether nodes of two releases connect: since OTP 26 UNLINK_ID is mandatory, and OTP 23 does not have it.
func meets(a, b nodetest.Release) bool {
	return min(a.Major, b.Major) > 23 || max(a.Major, b.Major) < 26
}

// mixed boots a node of this release and one of each other release that may be with it and with each other, the newest
// first. Without others in the run (plain go test) two nodes of this release are the cluster.
func (e *Env) mixed() (peers []*Peer, with string) {
	e.t.Helper()
	members := []nodetest.Release{e.Release}
	for _, r := range slices.Backward(e.All) {
		if r != e.Release && !slices.ContainsFunc(members, func(m nodetest.Release) bool { return !meets(m, r) }) {
			members = append(members, r)
		}
	}
	if len(e.All) == 1 {
		members = append(members, e.Release)
	}
	var majors []string
	for i, r := range members {
		of := &Env{Release: r, t: e.t, cluster: e.Cluster()}
		erl := of.Erl(fmt.Sprintf("n%d_%d", r.Major, i))
		peers = append(peers, of.load(e.Cluster().Node(erl), erl))
		majors = append(majors, strconv.Itoa(r.Major))
	}
	slices.Sort(majors[1:])
	return peers, strings.Join(majors[1:], ", ")
}

func mixedMesh(t *testing.T, e *Env) {
	peers, with := e.mixed()
	require.GreaterOrEqual(t, len(peers), 2)
	e.Note("%s", with)
	for i, p := range peers {
		for _, q := range peers[:i] {
			require.Equal(t, etf.Atom("true"), p.Call("net_kernel", "connect_node", etf.Atom(q.Name)))
		}
	}
	for _, p := range peers {
		var want []string
		for _, q := range peers {
			if q != p {
				want = append(want, q.Name)
			}
		}
		var got []string
		require.Eventually(t, func() bool {
			got = nil
			err := p.Node.CallInto(t.Context(), p.Name, &got, "erlang", "nodes")
			return err == nil && len(got) == len(want)
		}, caseTime/2, 10*time.Millisecond, "%s sees %v", p.Name, got)
		assert.ElementsMatch(t, want, got)
		for _, name := range want {
			assert.Equal(t, etf.Atom(name), p.Call("rpc", "call", etf.Atom(name), etf.Atom("erlang"), etf.Atom("node"), etf.List{}))
		}
	}
	for _, p := range peers {
		assert.Empty(t, p.Do("events"), "%s lost nobody", p.Name)
	}
}

// A pid and a term that one node gave us mean the same at another: it asks the process, which answers with the term.
func mixedIdentifiers(t *testing.T, e *Env) {
	peers, _ := e.mixed()
	kinds := []etf.Atom{"integers", "atoms", "bitstrings", "maps", "identifiers", "funs"}
	for _, of := range peers {
		pid := of.Call("erlang", "whereis", etf.Atom("conformance"))
		require.IsType(t, etf.Pid{}, pid)
		var terms etf.List
		for _, kind := range kinds {
			terms = append(terms, of.Do("terms", kind))
		}
		for _, at := range peers {
			if at == of {
				continue
			}
			got := at.Do("ask", pid, terms)
			assert.Equal(t, etf.Tuple{etf.Atom(of.Name), etf.Atom("true")}, got, "%s asks %s", at.Name, of.Name)
			for i, kind := range kinds {
				if kind == "funs" {
					continue // a node since OTP 26 puts a pid of its own into the funs of others
				}
				// And the terms are still of's own after another release has held them.
				back := at.Call("lists", "nth", i+1, terms)
				assert.Empty(t, of.differing(kind, back.(etf.List)), "%s through %s", kind, at.Name)
			}
		}
	}
}

// Releases that refuse each other are not kept apart from us, and their calls do not cross.
func allAtOnce(t *testing.T, e *Env) {
	erls := map[*nodetest.Erl]int{}
	for _, r := range e.All {
		of := &Env{Release: r, t: t, cluster: e.Cluster()}
		erls[of.Erl(fmt.Sprintf("n%d", r.Major))] = r.Major
	}
	n := e.Cluster().Node(slices.Collect(maps.Keys(erls))...)
	var wg sync.WaitGroup
	for erl, major := range erls {
		wg.Go(func() {
			for range 100 {
				var got string
				err := n.CallInto(t.Context(), erl.Name, &got, "erlang", "system_info", etf.Atom("otp_release"))
				if !assert.Equal(t, strconv.Itoa(major), got, "%v", err) {
					return
				}
			}
		})
	}
	wg.Wait()
	for erl := range erls {
		got, err := n.Call(t.Context(), erl.Name, "erlang", "nodes")
		require.NoError(t, err)
		assert.Equal(t, etf.List(nil), got, "we join nobody")
	}
}
