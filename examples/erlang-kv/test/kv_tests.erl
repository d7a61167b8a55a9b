%% One node: what a copy does by itself, and what it does with entries from
%% others, which a test can send as well as a node can.
-module(kv_tests).

-include_lib("eunit/include/eunit.hrl").

-define(PAST, 1).
-define(FUTURE, (erlang:system_time(nanosecond) + 3600000000000)).

kv_test_() ->
    {foreach, fun start/0, fun stop/1, [
        {"a value can be read, replaced and deleted", fun basics/0},
        {"any term is a key and a value", fun any_term/0},
        {"a node alone is its own member", fun alone/0},
        {"an older entry changes nothing", fun older_loses/0},
        {"a newer entry replaces", fun newer_wins/0},
        {"equal times: the greater node name, in either order", fun ties/0},
        {"a delete is not undone by an older put", fun tombstone/0},
        {"a write here replaces what came from a clock ahead", fun clock_ahead/0},
        {"a store that dies is back, and a member again", fun store_restarts/0},
        {"a scope that dies takes the store with it", fun scope_restarts/0}
    ]}.

%% Processes are killed here on purpose: without their supervisor's reports.
start() ->
    #{level := Level} = logger:get_primary_config(),
    ok = logger:set_primary_config(level, none),
    ok = application:start(kv),
    Level.

stop(Level) ->
    ok = application:stop(kv),
    ok = logger:set_primary_config(level, Level).

basics() ->
    ?assertEqual(error, kv:get(colour)),
    ok = kv:put(colour, red),
    ?assertEqual({ok, red}, kv:get(colour)),
    ok = kv:put(colour, blue),
    ok = kv:put(animal, fox),
    ?assertEqual({ok, blue}, kv:get(colour)),
    ?assertEqual([animal, colour], kv:keys()),
    ok = kv:delete(colour),
    ?assertEqual(error, kv:get(colour)),
    ?assertEqual([animal], kv:keys()).

any_term() ->
    Terms = [error, deleted, '_', '$1', {value, 1}, #{}, [], "s", <<"b">>, self(), 1],
    [ok = kv:put(T, T) || T <- Terms],
    [?assertEqual({ok, T}, kv:get(T)) || T <- Terms],
    ?assertEqual(lists:sort(Terms), kv:keys()).

alone() ->
    ?assertEqual([node()], kv:members()).

older_loses() ->
    ok = kv:put(k, mine),
    receive_entry({k, {?PAST, 'z@h'}, {value, old}}),
    ?assertEqual({ok, mine}, kv:get(k)).

newer_wins() ->
    ok = kv:put(k, mine),
    receive_entry({k, {?FUTURE, 'a@h'}, {value, new}}),
    ?assertEqual({ok, new}, kv:get(k)).

ties() ->
    A = {k, {?PAST, 'a@h'}, {value, a}},
    B = {k, {?PAST, 'b@h'}, {value, b}},
    receive_entry(A),
    receive_entry(B),
    receive_entry(A),
    ?assertEqual({ok, b}, kv:get(k)).

tombstone() ->
    ok = kv:put(k, v),
    ok = kv:delete(k),
    receive_entry({k, {?PAST, 'z@h'}, {value, old}}),
    ?assertEqual(error, kv:get(k)),
    ok = kv:put(k, again),
    ?assertEqual({ok, again}, kv:get(k)).

clock_ahead() ->
    receive_entry({k, {?FUTURE, 'z@h'}, {value, theirs}}),
    ok = kv:put(k, mine),
    ?assertEqual({ok, mine}, kv:get(k)).

store_restarts() ->
    Scope = whereis(kv_store:scope()),
    Store = kill(kv_store),
    ?assertEqual([Store], kv_store:members()),
    ?assertEqual(Scope, whereis(kv_store:scope())),
    ok = kv:put(k, v).

scope_restarts() ->
    Store = whereis(kv_store),
    _ = kill(kv_store:scope()),
    ?assertNotEqual(Store, wait_for(kv_store, Store)),
    ?assertEqual([node()], kv:members()).

%% What a peer's kv_store sends; the call behind it waits until it is merged.
receive_entry(Entry) ->
    gen_server:cast(kv_store, {entries, [Entry]}),
    _ = sys:get_state(kv_store),
    ok.

kill(Name) ->
    Pid = whereis(Name),
    exit(Pid, kill),
    wait_for(Name, Pid).

%% The process that is registered as Name once Old is gone.
wait_for(Name, Old) ->
    case whereis(Name) of
        New when is_pid(New), New =/= Old ->
            _ = sys:get_state(New, 5000),
            New;
        _ ->
            timer:sleep(5),
            wait_for(Name, Old)
    end.
