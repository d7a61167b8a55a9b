%% A stand-in for syn 3, which this machine cannot install: a scope is a process on each node that has joined it, and two of them find each
%% other unless one is told to forget.
-module(syn).
-behaviour(gen_server).
-export([add_node_to_scopes/1, forget/2, node_scopes/0, subcluster_nodes/2, init/1, handle_call/3, handle_cast/2]).

add_node_to_scopes(Scopes) ->
    application:set_env(syn, scopes, Scopes),
    [{ok, _} = gen_server:start({local, S}, ?MODULE, S, []) || S <- Scopes],
    ok.

forget(Scope, Node) -> gen_server:call(Scope, {forget, Node}).

node_scopes() -> application:get_env(syn, scopes, []).

subcluster_nodes(Manager, Scope) when Manager =:= registry; Manager =:= pg -> gen_server:call(Scope, nodes).

init(Scope) ->
    {Others, _} = gen_server:multi_call(nodes(), Scope, {found, node()}),
    {ok, [N || {N, _} <- Others]}.

handle_call(nodes, _, Nodes) -> {reply, Nodes, Nodes};
handle_call({found, Node}, _, Nodes) -> {reply, ok, [Node | Nodes]};
handle_call({forget, Node}, _, Nodes) -> {reply, ok, Nodes -- [Node]}.

handle_cast(_, Nodes) -> {noreply, Nodes}.
