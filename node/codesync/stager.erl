%% What runs on each node during a push: the expressions of one process, evaluated there by erl_eval, so that no module is loaded for it.
%% stager.term is the same as abstract forms, written by `go test -run TestStagerForms -update`.
%%
%% Bound already: Us, the pid of the pusher's process for this node. Us and the stager speak thus, in this order; Running is
%% {[Module], [Sum]} of those modules of the push that are loaded:
%%
%%   {start, Job}                         Job is described below
%%   {load, I, [{Module, File, Bin}]}     object code, in numbered parts
%%       {loaded, Result, Final, Running} ok, or what is wrong; the code is prepared, nothing is changed
%%   {prepare, [{Pid, Module, OldVsn}], Kill}  every node has come so far; processes for sys:change_code/4
%%       {prepared, Busy, Running}        [], as before: this node will finish, whatever happens
%%   finish                               every node has said so: that is the decision
%%       {finished, Result, Running, Unchanged}
%%   reset                                take it back: some node has not finished
%%       {reset, Result, Running}
%%   done                                 every node has finished
%%       {done, Unwritten}
%%
%% At abort the stager gives up and leaves the node as it was, unless it has finished. When the node of Us is lost, a stager that has
%% not promised to finish gives up and tells the other stagers (Peers) so; one that has promised agrees with them, in three rounds at
%% most (see doc.go): prepare, "I have promised"; prepared, "all have"; none, "I have not heard that of all". It gives up or
%% finishes as soon as another says that it does.
%%
%% Nothing here may make the node connect to anybody, as erlang:monitor/2 does when it has to: Us may be gone, and Peers be behind a
%% partition. So only what is connected is monitored, and only when the word of each counts. And it does without funs, guards and
%% filters, for which erl_eval needs erl_lint, and that modules that a node may not have loaded.
%%
%% What is done for every module is done by functions of OTP: erl_eval takes 10 to 60 us for a step of a list comprehension.
Node = erlang:node(Us),
net_kernel:monitor_nodes(true, [{node_type, all}]),
case lists:member(Node, erlang:nodes(connected)) of
	true -> ok;
	false -> erlang:exit(normal)
end,
{Peers, Count, Names, Was, Known, Removed, Files, Obsolete} = receive
	%% [Pid], number of parts, the modules of the push, Running as the plan saw it, [{Module, Bin}] to go back to, [Module] to delete,
	%% [{Module, Temp, File}] to write, [File] to delete
	{start, Job} -> Job;
	abort -> erlang:exit(normal);
	{nodedown, Node, _} -> erlang:exit(normal)
after 60000 -> erlang:exit(normal) % nobody has learned of this process: it was being started when that was given up
end,
%% One push at a time: the name is the lock, which no stager outlives.
case catch erlang:register(finish_loading, erlang:self()) of
	true -> ok;
	_ -> erlang:send(Us, {loaded, erlang:whereis(finish_loading), [], Was}, [noconnect]), erlang:exit(normal)
end,
Code = lists:append([receive
	{load, I, Part} -> Part;
	abort -> erlang:exit(normal);
	{nodedown, Node, _} -> erlang:exit(normal)
end || I <- lists:seq(1, Count)]),
try
	[Now] = [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
		|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]],
	%% What runs now, to go back to: none if the object code is neither known nor on disk, or has -on_load.
	Old = [{M, File, case lists:keyfind(M, 1, Known) of
		{_, Bin} -> Bin;
		false -> case erl_prim_loader:get_file(File) of
			{ok, Bin, _} -> case beam_lib:md5(Bin) of
				{ok, {M, Sum}} -> case erlang:prepare_loading(M, Bin) of
					{error, _} -> none;
					%% Such a module cannot be loaded together with others.
					Loadable -> case erlang:has_prepared_code_on_load(Loadable) of true -> none; false -> Bin end
				end;
				_ -> none
			end;
			error -> none
		end
	end} || {M, Sum} <- lists:zip(erlang:element(1, Was), erlang:element(2, Was)), {file, File} <- [code:is_loaded(M)]],
	Unwritten = [{File, Error} || {M, Temp, File} <- Files, {_, _, Bin} <- [lists:keyfind(M, 1, Code)],
		{error, Error} <- [file:write_file(Temp, Bin)]],
	%% In one call, and not part by part as they come: OTP prepares each module in a process of its own, and few of them at a time do not
	%% wake up the schedulers that sleep.
	Prepared = case {Now, Unwritten} of
		{Was, []} -> code:prepare_loading(Code);
		_ -> Unwritten
	end,
	{Result, Prep} = case Prepared of
		{ok, P} -> {ok, P};
		_ -> {Prepared, none}
	end,
	erlang:send(Us, {loaded, Result, [M || {M, _, none} <- Old], Now}, [noconnect]),
	Asked = receive
		{prepare, Pids, Fatal} -> {Pids, Fatal};
		abort -> abort;
		{nodedown, Node, _} -> abort
	end,
	{Change, Kill} = case Asked of
		abort -> [erlang:send(Peer, {erlang:self(), abort}, [noconnect]) || Peer <- Peers], erlang:exit(normal);
		_ -> Asked
	end,
	%% Up to the first that cannot be: the others have done nothing to be kept waiting for.
	{Suspended, Busy} = try
		[case catch sys:suspend(Pid, 1000) of
			ok -> ok;
			E -> erlang:throw({N, Pid, E})
		end || {N, {Pid, _, _}} <- lists:zip(lists:seq(1, erlang:length(Change)), Change)],
		{Change, []}
	catch
		{N, Pid, E} -> {lists:sublist(Change, N), [{Pid, E}]}
	end,
	{Finished, Unchanged, Limit} = try
		[Meanwhile] = [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
			|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]],
		erlang:send(Us, {prepared, Busy, Meanwhile}, [noconnect]),
		{Decision, Patience} = receive
			finish -> {finish, infinity};
			abort -> {abort, infinity};
			{_, finish} -> {finish, infinity};
			{_, abort} -> {abort, infinity};
			{nodedown, Node, _} -> case {Busy, Meanwhile} of
				{[], Was} ->
					[case lists:member(erlang:node(Peer), erlang:nodes(connected)) of
						true -> erlang:monitor(process, Peer);
						false -> erlang:send(erlang:self(), {Peer, none})
					end || Peer <- Peers],
					%% In each round a word is said to all, and heard what all have to say. The state is that word if all have said
					%% it, none if one is lost or in doubt, of which it is noted that it has nothing more to say, and else the decision.
					erlang:put(state, start),
					[begin
						erlang:put(state, Word),
						[erlang:send(Peer, {erlang:self(), Word}, [noconnect]) || Peer <- Peers],
						[receive
							{_, finish} -> erlang:put(state, finish);
							{_, abort} -> erlang:put(state, abort);
							{Peer, Word} -> ok;
							{Peer, none} -> erlang:put(state, none), erlang:send(erlang:self(), {Peer, none});
							{'DOWN', _, process, Peer, _} -> erlang:put(state, none), erlang:send(erlang:self(), {Peer, none})
						end || Peer <- Peers, true <- [lists:member(erlang:get(state), [Word, none])]]
					end || {Before, Word} <- [{start, prepare}, {prepare, prepared}, {none, none}], true <- [erlang:get(state) =:= Before]],
					case erlang:get(state) of
						abort -> {abort, 0};
						none ->
							Left = [Peer || Peer <- Peers, true <- [lists:member(erlang:node(Peer), erlang:nodes(connected))]],
							case 2 * erlang:length(Left) < erlang:length(Peers) of
								true -> {finish, 0};
								false -> {abort, 0}
							end;
						_ -> {finish, 0}
					end;
				_ -> {abort, 0}
			end
		end,
		[erlang:send(Peer, {erlang:self(), Decision}, [noconnect]) || Peer <- Peers],
		case Decision of
			abort -> erlang:exit(normal);
			finish -> ok
		end,
		%% The gate was before the promise: who loads code since, and is no stager, is told from us by the sums.
		Finishing = case [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
			|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]] of
			[Was] ->
				case Kill of
					true -> lists:map(fun code:purge/1, lists:filter(fun erlang:check_old_code/1, Names));
					false -> ok
				end,
				code:finish_loading(Prep);
			_ -> error
		end,
		case Finishing of
			ok ->
				[{code:delete(M), code:soft_purge(M)} || M <- Removed],
				{ok, [{Pid, Error} || {Pid, M, Vsn} <- Change,
					{true, Error} <- [case catch sys:change_code(Pid, M, Vsn, []) of ok -> ok; E -> {true, E} end]], Patience};
			Failed -> {Failed, [], Patience}
		end
	after
		[catch sys:resume(Pid, 1000) || {Pid, _, _} <- Suspended]
	end,
	[Runs] = [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
		|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]],
	erlang:send(Us, {finished, Finished, Runs, Unchanged}, [noconnect]),
	Verdict = receive
		reset -> reset;
		abort -> abort;
		done -> done;
		{nodedown, Node, _} -> done
	after Limit -> done
	end,
	case {Verdict, Finished} of
		{reset, _} ->
			%% Only what this stager has loaded is taken back.
			Restored = case [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
				|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]] of
				[Runs] ->
					Added = Names -- erlang:element(1, Was),
					lists:map(fun code:purge/1, Names),
					lists:map(fun code:delete/1, Added),
					lists:map(fun code:purge/1, Added),
					code:atomic_load(Old);
				_ -> none
			end,
			[Again] = [{L, lists:zipwith(fun erlang:get_module_info/2, L, lists:duplicate(erlang:length(L), md5))}
				|| L <- [lists:filter(fun erlang:module_loaded/1, Names)]],
			erlang:send(Us, {reset, Restored, Again}, [noconnect]);
		{done, ok} ->
			Failures = [{File, Error} || {_, Temp, File} <- Files, {error, Error} <- [file:rename(Temp, File)]]
				++ [{File, Error} || {M, _, File} <- Files, {_, _, Bin} <- [lists:keyfind(M, 1, Code)],
					{error, Error} <- [case file:read_file(File) of {ok, Bin} -> ok; {ok, _} -> {error, badfile}; E -> E end]]
				++ [{File, Error} || File <- Obsolete,
					{error, Error} <- [case file:delete(File) of {error, enoent} -> ok; E -> E end]],
			erlang:send(Us, {done, Failures}, [noconnect]);
		_ -> ok
	end
after
	[file:delete(Temp) || {_, Temp, _} <- Files]
end.
