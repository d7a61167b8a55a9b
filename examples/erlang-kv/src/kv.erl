%% A replicated in-memory key-value store: every node of the cluster keeps a
%% full copy, so reads are local and cost one ETS lookup.
%%
%% A write returns when the local copy has it; the other nodes have it a
%% message later. Two nodes may therefore disagree for a moment, or for as long
%% as a partition lasts, and then agree again: the last write wins.
-module(kv).

-export([put/2, get/1, delete/1, keys/0, members/0]).

-export_type([key/0, value/0]).

-type key() :: term().
-type value() :: term().

-spec put(key(), value()) -> ok.
put(Key, Value) ->
    kv_store:write(Key, {value, Value}).

%% As `maps:find/2': `error' when the key was never put, or is deleted.
-spec get(key()) -> {ok, value()} | error.
get(Key) ->
    kv_store:read(Key).

-spec delete(key()) -> ok.
delete(Key) ->
    kv_store:write(Key, deleted).

%% All keys that have a value on this node, sorted.
-spec keys() -> [key()].
keys() ->
    kv_store:keys().

%% The nodes whose stores this node knows, itself included, sorted.
-spec members() -> [node()].
members() ->
    lists:usort([node(Pid) || Pid <- kv_store:members()]).
