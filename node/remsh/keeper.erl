%% What runs on the node beside a shell: the expressions of one process, evaluated there by erl_eval, so that no module is loaded for it.
%% keeper.term is the same as abstract forms, written by `go test -run TestKeeperForms -update`.
%%
%% Bound already: Us, the pid of our process for this node; What, {Module, Function, Options}: the shell is started by
%% Module:Function(), with Options by a group of its own, whose driver we are, or with none such directly, with us for a group leader.
%%
%% It starts the shell, tells us {Keeper, Pid} (of the group, or of the shell), and ends both when we are gone. The links that there are
%% would not do: since OTP 28 a group that loses its driver ends as if all were well, and what its shell evaluates goes on for ever.
%%
%% The group leader of a group, ours, is what group:whereis_shell/0 goes by, of which completion asks for variables: as in any remote shell it
%% asks our node. (A node without a terminal would find none, of which the completion of Elixir 1.20 crashes.)
erlang:process_flag(trap_exit, true),
erlang:group_leader(Us, erlang:self()),
%% erlang:monitor/2 would connect, and we may be gone.
case lists:member(erlang:node(Us), erlang:nodes(connected)) of
	true -> erlang:monitor(process, Us);
	false -> erlang:exit(normal)
end,
{Module, Function, Options} = What,
First = case Options of
	none -> erlang:apply(Module, Function, []);
	_ -> group:start(Us, {Module, Function, []}, Options)
end,
erlang:monitor(process, First),
erlang:send(Us, {erlang:self(), First}, [noconnect]),
%% A group knows its shell when it has begun to speak, which we tell, and are told {Keeper, Shell}.
Shells = receive
	group -> case erlang:process_info(First, dictionary) of
		{dictionary, Dict} -> [begin erlang:send(Us, {erlang:self(), Shell}, [noconnect]), Shell end || {shell, Shell} <- Dict];
		undefined -> []
	end;
	{'DOWN', _, process, Pid, Reason} -> erlang:send(erlang:self(), {'DOWN', none, process, Pid, Reason}), []
end,
receive {'DOWN', _, process, _, _} -> ok end,
%% What evaluates is linked with an Erlang shell, unless that has ended already, and not with IEx's. (Without guards and filters, for which
%% erl_eval would load erl_lint.)
Evaluators = [P || P <- erlang:processes(), {group_leader, Leader} <- [erlang:process_info(P, group_leader)],
	true <- [lists:member(Leader, [First, Us])], {dictionary, Own} <- [erlang:process_info(P, dictionary)],
	{'$ancestors', [Parent | _]} <- Own, true <- [lists:member(Parent, [First | Shells])]],
[erlang:exit(P, kill) || P <- [First | Shells] ++ Evaluators].
