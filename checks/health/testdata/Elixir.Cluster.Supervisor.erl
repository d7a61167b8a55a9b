%% A stand-in for libcluster, which this machine cannot install: its names and its supervision tree, as libcluster 3.5.0 documents them.
-module('Elixir.Cluster.Supervisor').
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link([Topologies, _Opts]) -> supervisor:start_link(?MODULE, Topologies).

init(Topologies) ->
    {ok, {#{}, [#{id => Name, start => {Strategy, start_link, [Config]}} || {Name, [{strategy, Strategy}, {config, Config}]} <- Topologies]}}.
