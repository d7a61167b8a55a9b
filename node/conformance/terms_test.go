package conformance

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// kinds are the kinds of terms that testdata/conformance.erl makes, and what the table calls them.
var kinds = []struct {
	kind etf.Atom
	name string
}{
	{"integers", "integers, to 100,000 bits"},
	{"floats", "floats, with -0.0 and the smallest"},
	{"atoms", "atoms, to 255 characters of four bytes"},
	{"binaries", "binaries"},
	{"bitstrings", "bitstrings"},
	{"lists", "lists, proper, improper and of bytes"},
	{"tuples", "tuples, to 70,000 elements"},
	{"maps", "maps with keys of any kind, to 1,000 keys, nested in keys"},
	{"identifiers", "pids, ports, references"},
	{"funs", "funs, external and local with what they hold"},
	{"deep", "nesting 5,000 deep"},
}

var termCases = append(kindCases(),
	Case{"no kind is left out", allKinds},
	Case{"our own pid, port and reference", ownIdentifiers},
	Case{"`LOCAL_EXT` is refused", localExt},
)

func kindCases() (cases []Case) {
	for _, k := range kinds {
		cases = append(cases, kindCase(k.kind, k.name))
	}
	return cases
}

// kindCase is the case of one kind of term: the node makes terms of it, we read and write them, and the node compares. Then
// the same with every encoding that its term_to_binary makes of them.
func kindCase(kind etf.Atom, name string) Case {
	return Case{name, func(t *testing.T, e *Env) {
		p := e.Peer()
		terms, ok := p.Do("terms", kind).(etf.List)
		require.True(t, ok)
		require.NotEmpty(t, terms)
		require.Empty(t, p.differing(kind, terms))

		encodings, ok := p.Do("external", kind).(etf.List)
		require.True(t, ok)
		require.Len(t, encodings, len(terms))
		ours := make(etf.List, len(terms))
		for i, bins := range encodings {
			require.GreaterOrEqual(t, len(bins.(etf.List)), 6)
			for j, b := range bins.(etf.List) {
				var got etf.Term
				require.NoError(t, etf.Unmarshal(b.([]byte), &got), "encoding %d of %s", j, show(terms[i]))
				require.True(t, etf.Equal(terms[i], got), "encoding %d of %s is read as %s", j, show(terms[i]), show(got))
			}
			b, err := etf.Marshal(terms[i])
			require.NoError(t, err)
			ours[i] = b
		}
		require.Equal(t, etf.List(nil), p.Do("unreadable", kind, ours))

		// That the node would tell.
		terms[0], ours[0] = etf.Atom("another"), []byte{etf.Version, 106}
		if kind == "lists" {
			ours[0] = []byte{etf.Version, 97, 1}
		}
		require.Equal(t, etf.List{int64(0)}, p.Do("differing", kind, terms))
		require.Equal(t, etf.List{int64(0)}, p.Do("unreadable", kind, ours))
	}}
}

// differing sends terms back, and shows which the node does not take as what it sent.
func (p *Peer) differing(kind etf.Atom, terms etf.List) (texts []string) {
	p.t.Helper()
	at, ok := p.Do("differing", kind, terms).(etf.List)
	require.True(p.t, ok)
	for _, i := range at {
		texts = append(texts, show(terms[i.(int64)]))
	}
	return texts
}

func show(t etf.Term) string { return etf.FormatOptions{MaxBytes: 300}.Format(t) }

func allKinds(t *testing.T, e *Env) {
	var got, want []string
	p := e.Peer()
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &got, "conformance", "kinds"))
	for _, k := range kinds {
		want = append(want, string(k.kind))
	}
	require.ElementsMatch(t, want, got)
}

// Our identifiers mean something at the node, and come back as they were.
func ownIdentifiers(t *testing.T, e *Env) {
	p := e.Peer()
	pid := p.Call("erlang", "group_leader").(etf.Pid)
	ref := etf.Ref{Node: pid.Node, Creation: pid.Creation, Len: 3, ID: [etf.MaxRefWords]uint32{1, 2, 3}}
	port := etf.Port{Node: pid.Node, ID: 7, Creation: pid.Creation}
	for _, term := range []etf.Term{pid, ref, port} {
		assert.Equal(t, pid.Node, p.Call("erlang", "node", term))
		assert.Equal(t, term, p.Call("erlang", "hd", etf.List{term}))
	}
}

func localExt(t *testing.T, e *Env) {
	res := e.Peer().Do("local", etf.Tuple{1, "x"})
	tuple, ok := res.(etf.Tuple)
	if !ok {
		require.Less(t, e.Major, 26, etf.Format(res))
		e.Note("none")
		return
	}
	var got etf.Term
	require.ErrorIs(t, etf.Unmarshal(tuple[1].([]byte), &got), etf.ErrLocal)
}
