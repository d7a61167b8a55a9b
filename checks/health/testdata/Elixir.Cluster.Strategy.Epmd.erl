%% A stand-in for libcluster's strategy of that name: it connects the nodes that it is told of, and that was all (lib/strategy/epmd.ex). Version
%% 2 gives it a list, 3 a map.
-module('Elixir.Cluster.Strategy.Epmd').
-export([start_link/1]).

start_link([#{config := Config}]) -> connect(Config);
start_link(Opts) -> connect(proplists:get_value(config, Opts, [])).

connect(Config) ->
    [net_kernel:connect_node(H) || H <- proplists:get_value(hosts, Config, []), H =/= node()],
    ignore.
