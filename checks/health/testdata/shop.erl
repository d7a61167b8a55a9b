%% An application whose parts can be broken from outside: it does what it is told, and its children start as its environment says.
-module(shop).
-behaviour(application).
-behaviour(supervisor).
-behaviour(gen_server).
-export([start/2, stop/1, init/1, start_child/1, handle_call/3, handle_cast/2]).

start(_, _) -> supervisor:start_link({local, shop_sup}, ?MODULE, supervisor).

stop(_) -> ok.

start_child(Name) -> gen_server:start_link({local, Name}, ?MODULE, Name, []).

init(supervisor) ->
    Child = fun(Name) -> #{id => Name, start => {?MODULE, start_child, [Name]}} end,
    {ok, {#{intensity => 1000000, period => 1}, [Child(till), Child(stock), Child(closed)]}};
init(closed) ->
    ignore;
init(Name) ->
    case application:get_env(shop, Name, open) of
        open -> {ok, Name};
        broken -> timer:sleep(5), {stop, broken};
        waiting -> receive go -> {ok, Name} end
    end.

handle_call(Question, _, State) -> {reply, Question, State}.

handle_cast({do, Fun}, State) -> Fun(), {noreply, State}.
