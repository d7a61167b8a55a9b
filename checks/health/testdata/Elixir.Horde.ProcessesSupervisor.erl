%% A stand-in for the supervisor of those children of a Horde.DynamicSupervisor that run on the node: it answers as that does
%% (lib/horde/processes_supervisor.ex), its children have random numbers for ids, and here they come and go all the time.
-module('Elixir.Horde.ProcessesSupervisor').
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2, handle_info/2]).

start_link(_) -> gen_server:start_link(?MODULE, [], []).

init([]) ->
    process_flag(trap_exit, true),
    self() ! start,
    {ok, #{}}.

handle_call(which_children, _, Children) ->
    {reply, [{Id, Pid, worker, ['Elixir.Cart']} || {Pid, Id} <- maps:to_list(Children)], Children};
handle_call(count_children, _, Children) ->
    N = maps:size(Children),
    {reply, [{specs, N}, {active, N}, {supervisors, 0}, {workers, N}], Children}.

handle_cast(_, Children) -> {noreply, Children}.

handle_info(start, Children) ->
    erlang:send_after(1, self(), start),
    Pid = spawn_link(timer, sleep, [3]),
    {noreply, Children#{Pid => rand:uniform(1 bsl 128)}};
handle_info({'EXIT', Pid, _}, Children) -> {noreply, maps:remove(Pid, Children)}.
