%% A stand-in for libcluster 2, which had a supervision tree of its own (lib/app.ex there).
-module('Elixir.Cluster.App').
-behaviour(application).
-behaviour(supervisor).
-export([start/2, stop/1, init/1]).

start(_, _) -> supervisor:start_link({local, 'Elixir.Cluster.Supervisor'}, ?MODULE, application:get_env(libcluster, topologies, [])).

stop(_) -> ok.

init(Topologies) ->
    {ok, {#{}, [#{id => proplists:get_value(strategy, Spec), start => {proplists:get_value(strategy, Spec), start_link, [[{topology, T} | Spec]]}}
        || {T, Spec} <- Topologies]}}.
