%% A server that crashes when it is told to, with a secret in its state.
-module(crash_srv).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, my_srv}, ?MODULE, [], []).

init(_) -> {ok, #{hidden => <<"hunter2">>}}.

handle_call(_, _, S) -> {reply, ok, S}.

handle_cast(boom, _S) -> error({bad, thing}).
