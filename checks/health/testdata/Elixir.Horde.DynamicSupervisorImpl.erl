%% A stand-in for the process that answers for a Horde.DynamicSupervisor (lib/horde/dynamic_supervisor_impl.ex). Membership is not replicated. How
%% members are told depends on the version.
-module('Elixir.Horde.DynamicSupervisorImpl').
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Opts) -> gen_server:start_link({local, proplists:get_value(name, Opts)}, ?MODULE, Opts, []).

init(Opts) -> {ok, [{proplists:get_value(name, Opts), N} || N <- [node() | nodes()]]}.

handle_call(members, _, Members) ->
    case application:get_key(horde, vsn) of
        {ok, "0.6" ++ _} -> {reply, {ok, Members}, Members};
        {ok, _} -> {reply, Members, Members}
    end;
handle_call({set_members, Members}, _, _) -> {reply, ok, Members}.

handle_cast(_, Members) -> {noreply, Members}.
