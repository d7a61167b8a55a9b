%% A stand-in for the process that answers for a Horde.Registry. Membership is not replicated.
-module('Elixir.Horde.RegistryImpl').
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, Name, []).

init(Name) -> {ok, [{Name, N} || N <- [node() | nodes()]]}.

handle_call(members, _, Members) -> {reply, Members, Members};
handle_call({set_members, Members}, _, _) -> {reply, ok, Members}.

handle_cast(_, Members) -> {noreply, Members}.
