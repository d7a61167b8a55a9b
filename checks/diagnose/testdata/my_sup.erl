%% Restarts the server twice, then gives up.
-module(my_sup).
-behaviour(supervisor).
-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, my_sup}, ?MODULE, []).

init(_) ->
    {ok, {#{intensity => 2, period => 60}, [#{id => my_child, start => {crash_srv, start_link, []}}]}}.
