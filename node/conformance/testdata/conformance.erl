%% What the conformance suite has the node under test do. It compiles on every supported release.
-module(conformance).

-export([start/0, kinds/0, terms/1, differing/2, external/1, unreadable/2, local/1]).
-export([raise/1, hang/1, printing/1, events/0, ask/2, watch_us/1, link_us/1, traced/1, blob/1, digest/1]).

%% Makes the terms once, so that identifiers and funs stay what they are, and a process that knows which nodes went.
start() ->
    _ = code:ensure_loaded(erl_eval),
    persistent_term:put(?MODULE, maps:from_list(all())),
    Caller = self(),
    _ = spawn(fun() ->
                      register(?MODULE, self()),
                      ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
                      Caller ! started,
                      loop([])
              end),
    receive started -> ok end.

loop(Down) ->
    receive
        {nodedown, N, _} -> loop([N | Down]);
        {events, From} -> From ! {events, lists:reverse(Down)}, loop(Down);
        {ask, From, Ref, Term} -> From ! {Ref, node(), Term}, loop(Down);
        _ -> loop(Down)
    end.

%% The nodes that went down since start/0.
events() ->
    ?MODULE ! {events, self()},
    receive {events, Down} -> Down after 60000 -> exit(silent) end.

%% Asks the process Pid, here or on another node, to send Term back.
ask(Pid, Term) ->
    Ref = make_ref(),
    Pid ! {ask, self(), Ref, Term},
    receive {Ref, Node, Got} -> {Node, Got =:= Term} after 60000 -> exit(silent) end.

%% Terms, by kind.

kinds() -> lists:sort(maps:keys(persistent_term:get(?MODULE))).

terms(Kind) -> maps:get(Kind, persistent_term:get(?MODULE)).

%% The positions, from 0, at which Got is not what terms/1 gave.
differing(Kind, Got) -> differing(terms(Kind), Got, 0).

differing([Want | Ws], [Got | Gs], N) ->
    case same(Want, Got) of
        true -> differing(Ws, Gs, N + 1);
        false -> [N | differing(Ws, Gs, N + 1)]
    end;
differing([], [], _) -> [];
differing(_, _, N) -> [N].

%% 0.0 =:= -0.0 before OTP 27; their encodings differ everywhere.
same(A, B) -> A =:= B andalso term_to_binary(A) =:= term_to_binary(B).

%% For each term of the kind its encodings, all that this release makes.
external(Kind) -> [encodings(T) || T <- terms(Kind)].

encodings(T) ->
    Options = [[], [{minor_version, 0}], [{minor_version, 1}], [{minor_version, 2}], [compressed], [{compressed, 1}],
               [{compressed, 9}, {minor_version, 0}], [deterministic]],
    lists:append([try [term_to_binary(T, O)] catch error:badarg -> [] end || O <- Options]).

%% The positions of the encodings that do not read as the terms.
unreadable(Kind, Encodings) -> unreadable(terms(Kind), Encodings, 0).

unreadable([Want | Ws], [Bin | Bs], N) ->
    case try same(Want, binary_to_term(Bin)) catch error:badarg -> false end of
        true -> unreadable(Ws, Bs, N + 1);
        false -> [N | unreadable(Ws, Bs, N + 1)]
    end;
unreadable([], [], _) -> [];
unreadable(_, _, N) -> [N].

%% LOCAL_EXT, where there is one (since OTP 26).
local(T) -> try {ok, term_to_binary(T, [local])} catch error:badarg -> none end.

all() ->
    [{integers, integers()},
     {floats, [0.0, -0.0, 1.5, -1.5, 1.0e308, 1.7976931348623157e308, 2.2250738585072014e-308, 5.0e-324, 0.1, 1.0e22, 1 / 3]},
     {atoms, atoms()},
     {binaries, binaries()},
     {bitstrings, bitstrings()},
     {lists, lists()},
     {tuples, [{}, {a}, {{}}, {{{a}}}] ++ [list_to_tuple(lists:seq(1, N)) || N <- [254, 255, 256, 70000]]},
     {maps, maps()},
     {identifiers, identifiers()},
     {funs, funs()},
     {deep, [nest(5000, []), nest_tuple(5000, {})]}].

integers() ->
    Powers = lists:append([[P - 1, P, P + 1, -P - 1, -P, 1 - P] || E <- [7, 8, 15, 16, 27, 28, 31, 32, 53, 59, 60, 63, 64, 128, 2032,
        2040, 2048, 100000], P <- [1 bsl E]]),
    [0, 1, -1, 255, 256 | Powers].

atoms() ->
    ['', a, 'A', ok, true, undefined, nil, 'with space', 'quo\'te', '\n', 'héllo', 'Ωμέγα', '日本語', '😀',
     'Elixir.Enum'] ++
        [list_to_atom(lists:duplicate(N, C)) || N <- [254, 255], C <- [$x, 16#e9, 16#65e5, 16#1f600]].

binaries() ->
    Whole = list_to_binary([I rem 251 || I <- lists:seq(1, 70000)]),
    <<_:13, Odd:32/binary, _/bits>> = Whole,
    [<<>>, <<0>>, <<255>>, <<"héllo"/utf8>>, Odd, binary:part(Whole, 100, 300)] ++
        [binary:part(Whole, 0, N) || N <- [63, 64, 65, 255, 256, 65535, 65536]].

bitstrings() ->
    Whole = binary:copy(<<16#a5, 16#3c, 16#ff>>, 30),
    <<_:3, Odd:77/bits, _/bits>> = Whole,
    [Odd, <<Whole/binary, 1:1>>] ++ [<<Whole:N/bits>> || N <- lists:seq(1, 7) ++ lists:seq(513, 519)].

lists() ->
    [[], [[]], "a", "text", "héllo", "日本語", [0, 255], [0, 256], [a, 1, "x", <<"y">>], [a | b], [1 | 2], [1, 2, 3 | 4], "ab" ++ c,
     [[a | b] | [c | d]], [a | <<"b">>], [[], [] | {}]] ++
        [lists:duplicate(N, V) || N <- [255, 256, 65534, 65535, 65536, 65537], V <- [$x, 16#3b1, a]].

maps() ->
    Keys = [a, 1, 1.0, -1, 1 bsl 70, "s", <<"b">>, <<1:3>>, {t, 1}, [], {}, #{}, #{k => v}, [a | b], self(), make_ref(),
            fun erlang:abs/1, 0.5],
    Big = fun(N) -> maps:from_list([{I, {I, <<I:32>>}} || I <- lists:seq(1, N)]) end,
    [#{}, #{a => 1}, #{a => #{b => #{c => []}}}, maps:from_list([{K, K} || K <- Keys]), #{Big(40) => Big(33)},
     maps:from_list([{Big(N), N} || N <- lists:seq(30, 70)]),
     maps:from_list([{list_to_atom("key_" ++ integer_to_list(I)), I} || I <- lists:seq(1, 100)])] ++
        [Big(N) || N <- [1, 31, 32, 33, 64, 1000]].

identifiers() ->
    Children = [spawn(fun() -> ok end) || _ <- lists:seq(1, 20)],
    [whereis(init), self(), group_leader(), hd(erlang:ports()), make_ref(), erlang:monitor(process, whereis(init))] ++
        aliases() ++ Children ++ erlang:ports() ++ [make_ref() || _ <- lists:seq(1, 20)] ++ foreign().

%% A reference of another length, since OTP 24.
aliases() -> try [erlang:apply(erlang, alias, [])] catch error:undef -> [] end.

%% Identifiers of a node that is not there, as it would have made them: NEW_PID_EXT, NEW_PORT_EXT, NEWER_REFERENCE_EXT.
foreign() ->
    Node = <<119, 15, "far@far.invalid">>,
    [binary_to_term(<<131, 88, Node/binary, 77:32, 3:32, Creation:32>>) || Creation <- [1, 3, 16#fedcba98]] ++
        [binary_to_term(<<131, 89, Node/binary, 78:32, 16#fedcba98:32>>),
         binary_to_term(<<131, 90, 3:16, Node/binary, 16#fedcba98:32, 5:32, 16#ffffffff:32, 16#12345678:32>>)].

funs() ->
    X = {1, <<"free">>, [a], 2.5},
    Inner = fun(Y) -> {X, Y} end,
    [fun() -> ok end, Inner, fun(A, B) -> Inner({A, B}) end, fun Again(0) -> done; Again(N) -> Again(N - 1) end,
     fun erlang:abs/1, fun lists:map/2, fun nosuch:function/255, fun 'no such':'fün'/0, fun kinds/0,
     element(2, erl_eval:expr({'fun', 1, {clauses, [{clause, 1, [{var, 1, 'Z'}], [], [{var, 1, 'Z'}]}]}}, []))].

nest(0, T) -> T;
nest(N, T) -> nest(N - 1, [T]).

nest_tuple(0, T) -> T;
nest_tuple(N, T) -> nest_tuple(N - 1, {T, N}).

%% Calls.

raise(throw) -> throw({thrown, [1, 2.0, <<"three">>]});
raise(exit) -> exit({shutdown, #{why => test}});
raise(error) -> error({custom, "reason"});
raise(error_args) -> error(custom, [some, args]);
raise(badmatch) -> {ok, _} = persistent_term:get(nosuch, none);
raise(badarith) -> 1 / persistent_term:get(nosuch, 0);
raise(case_clause) -> case persistent_term:get(nosuch, none) of some -> ok end;
raise(badfun) -> (persistent_term:get(nosuch, none))();
raise(badmap) -> maps:get(k, persistent_term:get(nosuch, none));
raise(undef) -> nosuch:function(1, 2);
raise(badarg) -> list_to_integer(persistent_term:get(nosuch, "x"));
raise(killed) -> exit(self(), kill), hang(killed);
raise(linked) -> _ = spawn_link(fun() -> exit(linked_died) end), hang(linked).

hang(Name) ->
    register(Name, self()),
    receive never -> ok end.

%% Prints as itself, as a child, in every encoding, and by the other requests.
printing(Lines) ->
    ok = io:put_chars([<<"b", "ytes ">>, $x, ["nested", [16#3a9]], $\n]),
    ok = io:format("~ts ~p ~w~n", ["Ω", {a, "b"}, [1]]),
    Parent = self(),
    {Child, Ref} = spawn_monitor(fun() -> ok = io:format("child ~p~n", [node(Parent)]) end),
    receive {'DOWN', Ref, process, Child, normal} -> ok end,
    ok = file:write(group_leader(), [<<16#e9>>, "\n"]),
    [ok = io:format("~b~n", [I]) || I <- lists:seq(1, Lines)],
    {io:get_line("prompt> "), io:columns()}.

%% What a process here sees of the node Us, where no process has these names.
watch_us(Us) ->
    Ping = net_adm:ping(Us),
    M = monitor(process, {nosuch, Us}),
    Down = receive {'DOWN', M, process, {nosuch, Us}, Why} -> Why after 60000 -> silent end,
    {Ping, Down}.

%% Links to a process that Us does not have.
link_us(Nobody) ->
    process_flag(trap_exit, true),
    link(Nobody),
    receive {'EXIT', Nobody, Why} -> Why after 60000 -> silent end.

%% Prints and pings under a trace token, which the messages carry. An answer without one takes it away.
traced(Us) ->
    token(),
    ok = io:format("traced~n"),
    token(),
    net_adm:ping(Us).

token() ->
    _ = seq_trace:set_token(label, {a, [label]}),
    true = seq_trace:get_token() =/= [].

%% Large terms.

blob(Size) -> binary:copy(<<"0123456789abcdef">>, Size div 16).

digest(T) -> erlang:md5(term_to_binary(T)).
