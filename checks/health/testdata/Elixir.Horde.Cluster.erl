%% A stand-in for Horde, which this machine cannot install: the functions that Horde 0.10 documents.
-module('Elixir.Horde.Cluster').
-export([members/1, set_members/2]).

members(Horde) -> gen_server:call(Horde, members).

set_members(Horde, Members) -> gen_server:call(Horde, {set_members, Members}).
