%% The real runtime, asked by the tests through its standard input and output: each packet is a request
%% {Op, Argument}, each answer a term.
-module(etf_peer).
-export([main/0]).

main() ->
    loop(open_port({fd, 0, 1}, [{packet, 4}, binary, eof])).

loop(Port) ->
    receive
        {Port, {data, Bin}} ->
            Answer = try handle(binary_to_term(Bin)) catch C:R:S -> {crash, C, R, S} end,
            port_command(Port, term_to_binary(Answer, [{minor_version, 2}])),
            loop(Port);
        {Port, eof} ->
            halt()
    end.

%% Every kind of term with its text and all encodings that term_to_binary has for it.
handle({corpus, _}) ->
    [{text(T), encodings(T)} || T <- corpus()];
%% Are both the same term?
handle({same, {A, B}}) ->
    binary_to_term(A) =:= binary_to_term(B);
handle({encode, Bin}) ->
    term_to_binary(binary_to_term(Bin), [{minor_version, 2}]);
handle({decodes, Bins}) ->
    [try binary_to_term(B) of T -> {ok, term_to_binary(T, [{minor_version, 2}])} catch error:badarg -> error end || B <- Bins];
handle({format, Bin}) ->
    text(binary_to_term(Bin));
handle({parse, Text}) ->
    case erl_scan:string(unicode:characters_to_list(<<Text/binary, "\n. ">>)) of
        {ok, Tokens, _} ->
            try erl_parse:parse_term(Tokens) of
                {ok, T} -> {ok, term_to_binary(T, [{minor_version, 2}])};
                {error, _} -> error
            catch _:_ -> error
            end;
        {error, _, _} ->
            error
    end;
%% Nanoseconds a call takes: the median of batches, each in a process of its own.
handle({time, {Op, Bin}}) ->
    Term = binary_to_term(Bin),
    Call = case Op of
               binary_to_term -> fun() -> binary_to_term(Bin) end;
               term_to_binary -> fun() -> term_to_binary(Term) end
           end,
    N = max(1, 2000000 div (1 + byte_size(Bin))),
    Batch = fun() ->
                    {_, Ref} = spawn_monitor(fun() -> exit(element(1, timer:tc(fun() -> repeat(Call, N) end))) end),
                    receive {'DOWN', Ref, process, _, Micros} -> Micros * 1000 div N end
            end,
    lists:nth(11, lists:sort([Batch() || _ <- lists:seq(1, 21)]));
handle({inspect, Bin}) ->
    'Elixir.Kernel':inspect(binary_to_term(Bin), [{limit, infinity}, {printable_limit, infinity}]);
handle({elixir, Text}) ->
    try 'Elixir.Code':eval_string(Text) of
        {T, _} -> {ok, term_to_binary(T, [{minor_version, 2}])}
    catch _:_ -> error
    end.

repeat(_, 0) -> ok;
repeat(F, N) -> F(), repeat(F, N - 1).

text(T) ->
    unicode:characters_to_binary(io_lib:format("~0tp", [T])).

encodings(T) ->
    [term_to_binary(T, O) || O <- [[{minor_version, 0}], [{minor_version, 1}], [{minor_version, 2}],
                                   [compressed], [{compressed, 9}, {minor_version, 2}], [deterministic]]].

corpus() ->
    Ints = [0, 1, 255, 256, -1, -128, 65535, 16#7fffffff, 16#80000000, -16#80000000, -16#80000001, 1 bsl 59, -(1 bsl 59),
            (1 bsl 63) - 1, 1 bsl 63, -(1 bsl 63), -(1 bsl 63) - 1, 1 bsl 64, 1 bsl 2039, 1 bsl 2040, -(1 bsl 2040), 1 bsl 20000],
    Floats = [0.0, -0.0, 1.0, -1.5, 0.1, 1.0e22, 1.0e-300, 5.0e-324, 1.7976931348623157e308, 9007199254740993.0],
    Atoms = [ok, true, nil, undefined, '', 'Hello World', 'fun', list_to_atom("\x{e9}t\x{e9}"), list_to_atom([1076, 1072]),
             list_to_atom([16#1f600]), list_to_atom(lists:duplicate(255, $a)), list_to_atom(lists:duplicate(255, 233)),
             list_to_atom(lists:duplicate(255, 16#65e5)), list_to_atom("a'b\\c\n\x{1}\x{7f}")],
    Bins = [<<>>, <<"abc">>, <<0, 1, 2>>, <<"\x{e9}"/utf8>>, <<233>>, <<255, 0>>, binary:copy(<<"x">>, 300), binary:copy(<<0>>, 70000)],
    Bits = [<<1:1>>, <<5:3>>, <<"abc", 3:2>>, <<0:7>>, <<1:9>>, <<-1:15>>],
    Lists = [[], [1, 2, 3], "abc", [1080, 1081], [0], [300], [a | b], [1, 2 | 3], [[] | []], [[a], [[b]]], lists:seq(1, 65535),
             lists:duplicate(65535, 7), lists:duplicate(65536, 7), [1 | <<"tail">>], [[]], [a, b | {c}]],
    Tuples = [{}, {a}, {1, 2, 3}, list_to_tuple(lists:seq(1, 255)), list_to_tuple(lists:seq(1, 256)), {{{}}}],
    Maps = [#{}, #{a => 1}, #{1 => a, 1.0 => b, <<>> => c, [] => d, {} => e, #{} => f}, #{#{a => 1} => #{b => [2]}},
            maps:from_list([{I, I * I} || I <- lists:seq(1, 32)]), #{"k" => "v", <<"k">> => <<"v">>}],
    Large = [maps:from_list([{{k, I}, [I]} || I <- lists:seq(1, 1000)])],
    X = {captured, [1, 2], <<"bin">>},
    Funs = [fun lists:map/2, fun erlang:'+'/2, fun(A) -> {A, X} end, fun() -> ok end, fun(A, B, C) -> [A, B, C] end],
    Ids = [self(), make_ref(), hd(erlang:ports()), alias(),
           binary_to_term(<<131, 88, 119, 3, "a@b", 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0>>),
           binary_to_term(<<131, 90, 0, 3, 119, 3, "a@b", 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3>>),
           binary_to_term(<<131, 90, 0, 5, 119, 3, "a@b", 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5>>),
           binary_to_term(<<131, 120, 119, 3, "a@b", 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 1, 0>>),
           binary_to_term(<<131, 89, 119, 3, "a@b", 0, 0, 0, 9, 0, 0, 1, 0>>)],
    Mixed = [{ok, [{id, 1}, {name, <<"x">>}], #{list => Lists, floats => Floats}, [alias | make_ref()]}],
    lists:append([Ints, Floats, Atoms, Bins, Bits, Lists, Tuples, Maps, Large, Funs, Ids, Mixed]).
