%% One node's copy of the data, and how the copies stay equal.
%%
%% An entry is {Key, Stamp, Content}, its stamp {Time, Node}. Of two entries
%% for a key the one with the greater stamp stays, whatever the order in which
%% they arrive: merging is commutative, associative and idempotent, and so
%% copies that have seen the same entries are equal. A delete is an entry like
%% any other (a tombstone), or an older put that arrives late would undo it.
%% Tombstones are kept: this store is for keys that live.
%%
%% The stores find each other through a `pg' group. A store sends its news to
%% the peers it has met, and everything it has to a member that it has not met:
%% a node that joined, a store that was restarted, or one that was cut off
%% (forgotten at nodedown). The group is looked at before each write and five
%% times a second; `pg:monitor/2' would tell at once, but only since OTP 25.1.
-module(kv_store).

-behaviour(gen_server).

-export([start_link/0, scope/0, members/0, read/1, write/2, keys/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SCOPE, kv_pg).
-define(GROUP, stores).
-define(TABLE, ?MODULE).
-define(LOOK_AGAIN, 200). % milliseconds

-type stamp() :: {Time :: integer(), node()}.
-type content() :: {value, kv:value()} | deleted.
-type entry() :: {kv:key(), stamp(), content()}.
-type peers() :: [pid()]. % those that have had everything, and get the news

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec scope() -> atom().
scope() ->
    ?SCOPE.

-spec members() -> [pid()].
members() ->
    pg:get_members(?SCOPE, ?GROUP).

-spec read(kv:key()) -> {ok, kv:value()} | error.
read(Key) ->
    case ets:lookup(?TABLE, Key) of
        [{Key, _Stamp, {value, Value}}] -> {ok, Value};
        _ -> error
    end.

-spec write(kv:key(), content()) -> ok.
write(Key, Content) ->
    gen_server:call(?MODULE, {write, Key, Content}).

-spec keys() -> [kv:key()].
keys() ->
    lists:sort(ets:select(?TABLE, [{{'$1', '_', {value, '_'}}, [], ['$1']}])).

init([]) ->
    ?TABLE = ets:new(?TABLE, [named_table, {read_concurrency, true}]),
    ok = net_kernel:monitor_nodes(true),
    ok = pg:join(?SCOPE, ?GROUP, self()),
    self() ! look_again,
    {ok, []}.

handle_call({write, Key, Content}, _From, Peers) ->
    Entry = {Key, next_stamp(Key), Content},
    merge([Entry]),
    {reply, ok, share([Entry], Peers)}.

handle_cast({entries, Entries}, Peers) ->
    merge(Entries),
    {noreply, Peers}.

handle_info(look_again, Peers) ->
    _ = erlang:send_after(?LOOK_AGAIN, self(), look_again),
    {noreply, share([], Peers)};
handle_info({nodedown, Node}, Peers) ->
    {noreply, [Peer || Peer <- Peers, node(Peer) =/= Node]};
handle_info(_NodeUp, Peers) ->
    % Its store, if it runs one, is not in the group yet.
    {noreply, Peers}.

%% A clock may be behind that of a node we heard from: what is written here
%% must still replace what was visible here.
-spec next_stamp(kv:key()) -> stamp().
next_stamp(Key) ->
    Now = erlang:system_time(nanosecond),
    case ets:lookup(?TABLE, Key) of
        [{Key, {Seen, _Node}, _}] -> {max(Now, Seen + 1), node()};
        [] -> {Now, node()}
    end.

-spec merge([entry()]) -> ok.
merge(Entries) ->
    lists:foreach(fun merge_entry/1, Entries).

merge_entry({Key, Stamp, _Content} = Entry) ->
    case ets:lookup(?TABLE, Key) of
        [{Key, Stored, _}] when Stored >= Stamp -> true;
        _ -> ets:insert(?TABLE, Entry)
    end.

%% Gives the news to the peers and everything to the members not met before;
%% returns the peers of now. One that could not be sent to is no longer a peer:
%% it gets everything when it can be reached again.
-spec share([entry()], peers()) -> peers().
share(News, Peers) ->
    Members = members() -- [self()],
    {Met, New} = lists:partition(fun(Pid) -> lists:member(Pid, Peers) end, Members),
    [Pid || Pid <- Met, send(Pid, News)] ++
        [Pid || Pid <- New, send(Pid, ets:tab2list(?TABLE))].

%% What gen_server:cast/2 sends, but without its side effects: no connection is
%% made (to mend a partition is not the store's business), and a peer that does
%% not read its socket does not hold up our writers.
-spec send(pid(), [entry()]) -> boolean().
send(_Pid, []) ->
    true;
send(Pid, Entries) ->
    erlang:send(Pid, {'$gen_cast', {entries, Entries}}, [noconnect, nosuspend]) =:= ok.
