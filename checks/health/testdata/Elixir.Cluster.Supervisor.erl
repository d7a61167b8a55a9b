%% A stand-in for libcluster 3, which this machine cannot install: its names, its arguments and its supervision tree (lib/supervisor.ex).
-module('Elixir.Cluster.Supervisor').
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link([Config]) -> start_link([Config, []]);
start_link([_, _] = Args) -> supervisor:start_link(?MODULE, Args).

init([Config, _Opts]) ->
    {ok, {#{}, [#{id => Topology, start => {proplists:get_value(strategy, Spec), start_link, [[state(Topology, Spec)]]}} || {Topology, Spec} <- Config]}}.

state(Topology, Spec) ->
    #{'__struct__' => 'Elixir.Cluster.Strategy.State', topology => Topology, connect => {net_kernel, connect_node, []},
        disconnect => {erlang, disconnect_node, []}, list_nodes => {erlang, nodes, [connected]},
        config => proplists:get_value(config, Spec, []), meta => nil}.
