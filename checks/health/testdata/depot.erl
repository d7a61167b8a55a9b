%% A module that can be compiled in two builds.
-module(depot).
-export([build/0, wait/0]).

-ifdef(OTHER).
build() -> other.
-else.
build() -> one.
-endif.

wait() -> receive go_on -> ok end.
