%% A stand-in for libcluster's strategy of that name: it connects the nodes that it is told of, and runs on.
-module('Elixir.Cluster.Strategy.Epmd').
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Config) -> gen_server:start_link(?MODULE, proplists:get_value(hosts, Config), []).

init(Hosts) ->
    [net_kernel:connect_node(H) || H <- Hosts, H =/= node()],
    {ok, Hosts}.

handle_call(_, _, Hosts) -> {reply, Hosts, Hosts}.

handle_cast(_, Hosts) -> {noreply, Hosts}.
