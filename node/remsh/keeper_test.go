package remsh

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var update = flag.Bool("update", false, "write keeper.term")

// words are atoms that every node has. They take the place of the names of the keeper's variables, which would be new ones.
const words = `[abs, apply, atom, badarg, badarith, badmap, binary, bitsize, bitstring, call, cookie, copy,
	count, creation, date, dist, element, erlang, error, exit, float, function, global, hd, heap_size, high, id,
	in, info, initial_call, integer, is_atom, links, list, low, map, max, memory, min, minor, module, name, node, normal, nil, number,
	ok, code, file, lists, pid, port, process, queue, reason, reductions, ref, registered_name, size, spawn, state, status, time, tl, total,
	trace, tuple, type, undef, value, version]`

// The forms are those of the expressions, but that all is on line 1 and that variables have the names of words.
func TestKeeperForms(t *testing.T) {
	t.Parallel()
	source, err := filepath.Abs("keeper.erl")
	require.NoError(t, err)
	forms := nodetest.New(t).Run("-eval", `{ok, Text} = file:read_file("`+source+`"),
		{ok, Tokens, _} = erl_scan:string(binary_to_list(Text)),
		{ok, Exprs} = erl_parse:parse_exprs(Tokens),
		Forms = [erl_parse:map_anno(fun(_) -> 1 end, E) || E <- Exprs],
		Names = lists:usort([V || {var, _, V} <- Tokens, V =/= '_', V =/= 'Us', V =/= 'What']),
		Short = maps:from_list([{'Us', `+string(usName)+`}, {'What', `+string(whatName)+`} | lists:zip(Names, lists:sublist(`+words+`, length(Names)))]),
		F = fun R({var, 1, V}) -> {var, 1, maps:get(V, Short, V)};
			R(T) when is_tuple(T) -> list_to_tuple(R(tuple_to_list(T)));
			R([H|T]) -> [R(H)|R(T)];
			R(X) -> X end,
		io:format("~p", [F(Forms)]), halt().`)
	if *update {
		require.NoError(t, os.WriteFile("keeper.term", []byte(forms+"\n"), 0o600))
		return
	}
	want, err := etf.Parse(forms)
	require.NoError(t, err)
	got, err := keeperForms()
	require.NoError(t, err)
	assert.True(t, etf.Equal(want, got), "keeper.term is not what keeper.erl says: go test ./node/remsh -run TestKeeperForms -update")
}
