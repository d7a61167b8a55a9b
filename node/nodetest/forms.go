package nodetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// words are atoms that every node has. They take the place of the names of variables, which would be new ones.
const words = `[abs, apply, atom, badarg, badarith, badmap, binary, bitsize, bitstring, call, cookie, copy,
	count, creation, data, date, dist, element, erlang, error, exit, float, function, global, hd, heap_size, high, id,
	in, info, initial_call, integer, is_atom, links, list, low, map, max, memory, min, minor, module, name, node, normal, nil, number,
	ok, code, file, lists, pid, port, process, queue, reason, reductions, ref, registered_name, size, spawn, state, status, time, tl, total,
	trace, tuple, type, undef, value, version]`

// Forms checks that got, which is sent to nodes as NAME.term, are the abstract forms of the expressions in NAME.erl,
// but that all is on line 1 and that variables have the names of atoms that every node has, those of bound the given
// ones. With update it writes NAME.term instead.
func Forms(t testing.TB, name string, bound map[string]etf.Atom, got etf.Term, update bool) {
	t.Helper()
	source, err := filepath.Abs(name + ".erl")
	require.NoError(t, err)
	var pairs []string
	for v, short := range bound {
		pairs = append(pairs, fmt.Sprintf("{'%s', %s}", v, etf.Format(short)))
	}
	slices.Sort(pairs)
	forms := New(t).Run("-eval", `{ok, Text} = file:read_file("`+source+`"),
		{ok, Tokens, _} = erl_scan:string(binary_to_list(Text)),
		{ok, Exprs} = erl_parse:parse_exprs(Tokens),
		Forms = [erl_parse:map_anno(fun(_) -> 1 end, E) || E <- Exprs],
		Bound = [`+strings.Join(pairs, ", ")+`],
		Free = lists:subtract(`+words+`, [Short || {_, Short} <- Bound]),
		Names = lists:usort([V || {var, _, V} <- Tokens, V =/= '_', not lists:keymember(V, 1, Bound)]),
		Short = maps:from_list(Bound ++ lists:zip(Names, lists:sublist(Free, length(Names)))),
		F = fun R({var, 1, V}) -> {var, 1, maps:get(V, Short, V)};
			R(T) when is_tuple(T) -> list_to_tuple(R(tuple_to_list(T)));
			R([H|T]) -> [R(H)|R(T)];
			R(X) -> X end,
		io:format("~p", [F(Forms)]), halt().`)
	if update {
		require.NoError(t, os.WriteFile(name+".term", []byte(forms+"\n"), 0o600))
		return
	}
	want, err := etf.Parse(forms)
	require.NoError(t, err)
	assert.True(t, etf.Equal(want, got), "%s.term is not what %s.erl says: run this test with -update", name, name)
}
