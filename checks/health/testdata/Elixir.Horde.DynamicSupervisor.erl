%% A stand-in for Horde, which this machine cannot install: the supervisor that a Horde.DynamicSupervisor is, with those of its children that
%% matter here (lib/horde/dynamic_supervisor.ex).
-module('Elixir.Horde.DynamicSupervisor').
-behaviour(supervisor).
-export([child_spec/1, start_link/1, init/1]).

child_spec(Name) -> #{id => Name, start => {?MODULE, start_link, [[{name, Name}]]}, type => supervisor}.

start_link(Opts) -> supervisor:start_link(?MODULE, Opts).

init(Opts) ->
    Impl = 'Elixir.Horde.DynamicSupervisorImpl', Processes = 'Elixir.Horde.ProcessesSupervisor',
    {ok, {#{strategy => one_for_all, intensity => 0}, [
        #{id => Impl, start => {Impl, start_link, [Opts]}},
        #{id => 'Elixir.Carts.ProcessesSupervisor', start => {Processes, start_link, [Opts]}, type => supervisor}
    ]}}.
