%% The store on a live cluster, from a Common Test node that is a node of the cluster itself:
%%
%%     beamctl run --as-node tests --hidden -- ct_run -dir test -suite kv_cluster_SUITE -logdir ct_logs -pa ebin
%%
%% Nothing here starts distribution or reads a cookie: the node is connected before the suite is compiled.
-module(kv_cluster_SUITE).

-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_suite/1, end_per_suite/1]).
-export([members/1, write_anywhere/1, last_writer_wins/1, delete/1, observer_is_no_member/1]).

all() -> [members, write_anywhere, last_writer_wins, delete, observer_is_no_member].

init_per_suite(Config) ->
    Nodes = [list_to_atom(N) || N <- string:lexemes(os:getenv("BEAMCTL_NODES"), ",")],
    ?assertMatch([_, _, _ | _], Nodes),
    [{kv_nodes, Nodes} | Config].

end_per_suite(_Config) -> ok.

members(Config) ->
    Nodes = ?config(kv_nodes, Config),
    [?assertEqual(lists:sort(Nodes), erpc:call(N, kv, members, [])) || N <- Nodes].

write_anywhere(Config) ->
    Nodes = ?config(kv_nodes, Config),
    [ok = erpc:call(N, kv, put, [{from, N}, N]) || N <- Nodes],
    [eventually({ok, From}, fun() -> erpc:call(N, kv, get, [{from, From}]) end) || N <- Nodes, From <- Nodes].

last_writer_wins(Config) ->
    Nodes = ?config(kv_nodes, Config),
    [ok = erpc:call(N, kv, put, [contested, {I, N}]) || I <- lists:seq(1, 20), N <- Nodes],
    Last = {20, lists:last(Nodes)},
    [eventually({ok, Last}, fun() -> erpc:call(N, kv, get, [contested]) end) || N <- Nodes].

delete(Config) ->
    [First | _] = Nodes = ?config(kv_nodes, Config),
    ok = erpc:call(First, kv, put, [doomed, 1]),
    [eventually({ok, 1}, fun() -> erpc:call(N, kv, get, [doomed]) end) || N <- Nodes],
    ok = erpc:call(First, kv, delete, [doomed]),
    [eventually(error, fun() -> erpc:call(N, kv, get, [doomed]) end) || N <- Nodes].

%% This node is hidden, and has its own name and not that of a BEAM that it starts.
observer_is_no_member(Config) ->
    Nodes = ?config(kv_nodes, Config),
    [?assertNot(lists:member(node(), erpc:call(N, erlang, nodes, []))) || N <- Nodes],
    ?assertEqual("nonode@nohost", os:cmd("erl -noinput -eval 'io:put_chars(atom_to_list(node())), halt().'")).

eventually(Expected, Fun) -> eventually(Expected, Fun, 100).

eventually(Expected, Fun, 0) -> ?assertEqual(Expected, Fun());
eventually(Expected, Fun, Left) ->
    case Fun() of
        Expected -> ok;
        _ -> timer:sleep(20), eventually(Expected, Fun, Left - 1)
    end.
