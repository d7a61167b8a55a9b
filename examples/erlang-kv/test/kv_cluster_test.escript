#!/usr/bin/env escript
%%! -hidden -nocookie -start_epmd false -kernel inet_dist_use_interface {127,0,0,1}
%%
%% Three or more live nodes: replication, a node that joins, and a partition
%% that heals. To be run by `beamctl exec', which gives
%%   BEAMCTL_NODES        the full names of the nodes, comma-separated
%%   BEAMCTL_COOKIE_FILE  the file that holds their cookie
%%   ERL_EPMD_PORT        where they are registered
%% It joins as a hidden node, so no application sees it as a member.
-mode(compile).

main([]) ->
    Nodes = nodes_from_env(),
    join(Nodes),
    lists:foreach(
        fun({Name, Test}) ->
            Started = erlang:monotonic_time(millisecond),
            Test(Nodes),
            Took = erlang:monotonic_time(millisecond) - Started,
            io:format("ok    ~s (~b ms)~n", [Name, Took])
        end,
        Tests = [
            {"every node knows every member", fun members/1},
            {"a write on any node is read on all", fun replicates/1},
            {"the last of many writers wins everywhere", fun last_write/1},
            {"a delete reaches all", fun delete/1},
            {"a node that joins copies what it missed", fun copies_state/1},
            {"a partition heals, the last write wins", fun partition/1}
        ]
    ),
    [ok = on(hd(Nodes), delete, [Key]) || Key <- on(hd(Nodes), keys, []), is_ours(Key)],
    io:format("~b passed, 0 failed~n", [length(Tests)]).

members(Nodes) ->
    everywhere(Nodes, members, [], lists:sort(Nodes)).

replicates(Nodes) ->
    [ok = on(Node, put, [key(Node), Node]) || Node <- Nodes],
    [everywhere(Nodes, get, [key(Node)], {ok, Node}) || Node <- Nodes].

last_write(Nodes) ->
    Key = key(contended),
    % Each writer has seen the write before its own.
    [
        begin
            ok = on(Node, put, [Key, {Round, Node}]),
            everywhere(Nodes, get, [Key], {ok, {Round, Node}})
        end
     || Round <- lists:seq(1, 5), Node <- Nodes
    ],
    % Nobody waits for anybody: whoever wins, all must agree.
    Workers = [
        spawn_monitor(fun() -> [on(Node, put, [Key, {N, Node}]) || N <- lists:seq(1, 50)] end)
     || Node <- Nodes
    ],
    [receive {'DOWN', Ref, process, Pid, Reason} -> normal = Reason end || {Pid, Ref} <- Workers],
    eventually("the same value everywhere", fun() ->
        case lists:usort([on(Node, get, [Key]) || Node <- Nodes]) of
            [{ok, {50, _}}] -> true;
            Values -> {false, Values}
        end
    end).

delete([First, Second | _] = Nodes) ->
    Key = key(deleted),
    ok = on(First, put, [Key, here]),
    everywhere(Nodes, get, [Key], {ok, here}),
    ok = on(Second, delete, [Key]),
    everywhere(Nodes, get, [Key], error).

copies_state([First | _] = Nodes) ->
    Last = lists:last(Nodes),
    Rest = lists:droplast(Nodes),
    ok = rpc(Last, application, stop, [kv]),
    everywhere(Rest, members, [], lists:sort(Rest)),
    ok = on(First, put, [key(meanwhile), 1]),
    ok = rpc(Last, application, start, [kv]),
    everywhere(Nodes, members, [], lists:sort(Nodes)),
    everywhere([Last], keys, [], on(First, keys, [])),
    everywhere([Last], get, [key(meanwhile)], {ok, 1}).

partition([First | _] = Nodes) ->
    Cut = lists:last(Nodes),
    Rest = lists:droplast(Nodes),
    {Both, Left, Right} = {key(both), key(left), key(right)},
    ok = on(First, put, [Both, before]),
    everywhere(Nodes, get, [Both], {ok, before}),

    [_ = rpc(Cut, erlang, disconnect_node, [Node]) || Node <- Rest],
    everywhere([Cut], members, [], [Cut]),
    mesh(Rest),
    ok = on(First, put, [Left, 1]),
    ok = on(First, put, [Both, left]),
    ok = on(Cut, put, [Right, 2]),
    ok = on(Cut, put, [Both, right]),
    % Longer than the stores' interval: nothing crosses, nothing reconnects.
    timer:sleep(500),
    error = on(Cut, get, [Left]),
    error = on(First, get, [Right]),
    {ok, left} = on(First, get, [Both]),

    mesh(Nodes),
    everywhere(Nodes, get, [Left], {ok, 1}),
    everywhere(Nodes, get, [Right], {ok, 2}),
    everywhere(Nodes, get, [Both], {ok, right}).

%% Connects all with all, again and again until it holds: since OTP 25 `global'
%% answers a cut by cutting more, which may also part nodes on the same side.
mesh(Nodes) ->
    eventually(io_lib:format("all of ~p connected", [Nodes]), fun() ->
        _ = [rpc(A, net_kernel, connect_node, [B]) || A <- Nodes, B <- Nodes, A < B],
        case [{Node, Seen} || Node <- Nodes, (Seen = on(Node, members, [])) =/= lists:sort(Nodes)] of
            [] -> true;
            Others -> {false, Others}
        end
    end).

%% Keys of this run only, whatever else the store holds.
key(Name) ->
    {?MODULE, node(), Name}.

is_ours({?MODULE, Node, _}) -> Node =:= node();
is_ours(_) -> false.

on(Node, Function, Args) ->
    rpc(Node, kv, Function, Args).

rpc(Node, Module, Function, Args) ->
    case rpc:call(Node, Module, Function, Args, 5000) of
        {badrpc, Reason} -> fail("~s ~p:~p/~b: ~p", [Node, Module, Function, length(Args), Reason]);
        Result -> Result
    end.

everywhere(Nodes, Function, Args, Expected) ->
    What = io_lib:format("kv:~p~p = ~p on ~p", [Function, Args, Expected, Nodes]),
    eventually(What, fun() ->
        case [{Node, Got} || Node <- Nodes, (Got = on(Node, Function, Args)) =/= Expected] of
            [] -> true;
            Others -> {false, Others}
        end
    end).

eventually(What, Check) ->
    eventually(What, Check, erlang:monotonic_time(millisecond) + 10000).

eventually(What, Check, Deadline) ->
    case Check() of
        true ->
            ok;
        {false, Seen} ->
            erlang:monotonic_time(millisecond) < Deadline orelse
                fail("not within 10 s: ~s~nlast seen: ~p", [What, Seen]),
            timer:sleep(20),
            eventually(What, Check, Deadline)
    end.

nodes_from_env() ->
    case [list_to_atom(Name) || Name <- string:lexemes(env("BEAMCTL_NODES"), ",")] of
        [_, _, _ | _] = Nodes -> Nodes;
        Fewer -> fail("three nodes are needed, BEAMCTL_NODES has ~p", [Fewer])
    end.

join(Nodes) ->
    {ok, Cookie} = file:read_file(env("BEAMCTL_COOKIE_FILE")),
    Name = list_to_atom("kv_test_" ++ os:getpid() ++ "@127.0.0.1"),
    {ok, _} = net_kernel:start([Name, longnames]),
    true = erlang:set_cookie(node(), binary_to_atom(string:trim(Cookie), utf8)),
    [net_kernel:connect_node(Node) orelse fail("cannot connect to ~s", [Node]) || Node <- Nodes].

env(Name) ->
    case os:getenv(Name) of
        false -> fail("~s is not set: run this under `beamctl exec'", [Name]);
        Value -> Value
    end.

fail(Format, Args) ->
    io:format(standard_error, "FAIL  " ++ Format ++ "~n", Args),
    halt(1).
