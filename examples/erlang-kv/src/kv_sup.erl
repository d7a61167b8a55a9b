%% The process group's scope first, then the store that joins it. When the
%% scope dies its memberships die with it, so the store starts anew and joins
%% again (rest_for_one); a store that dies alone leaves the scope as it is.
-module(kv_sup).

-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    Scope = kv_store:scope(),
    {ok, {#{strategy => rest_for_one}, [
        #{id => Scope, start => {pg, start_link, [Scope]}},
        #{id => kv_store, start => {kv_store, start_link, []}}
    ]}}.
