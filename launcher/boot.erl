%% What a managed node evaluates first (one sequence of expressions, from -eval in ERL_AFLAGS): become the node that
%% BEAMCTL_NODE names, with the cookie of BEAMCTL_NODE_COOKIE (a file). The cookie goes from a file into the node and never
%% through a command line. Runs on OTP 23 and later; nothing is compiled, no module is left behind, and none is loaded that a
%% node doesn't load anyway: that would take longer than all the rest.
%%
%% BEAMs that the application starts inherit this environment, so what makes a node of this one is taken
%% out of it first, and ERL_AFLAGS becomes what the user had. They find BEAMCTL_NODE unset and do nothing.
%%
%% A failure is one line on stderr, "beamctl-boot: " and a term, which catalogue.go understands, and an exit status of its own:
%% 81 no cookie, 82 no distribution, 83 an application didn't start.

Fail = fun(Status, Cause) ->
    %% logger writes behind our back: let it finish, its reports are the explanation.
    catch logger_std_h:filesync(default),
    io:format(standard_error, "beamctl-boot: ~0tp~n", [Cause]),
    erlang:halt(Status)
end,

Take = fun(Var) ->
    Value = os:getenv(Var),
    os:unsetenv(Var),
    Value
end,

Name = Take("BEAMCTL_NODE"),
CookieFile = Take("BEAMCTL_NODE_COOKIE"),
Peers = Take("BEAMCTL_CONNECT"),
Apps = Take("BEAMCTL_START_APPS"),
Kind = case Take("BEAMCTL_NAMES") of "shortnames" -> shortnames; _ -> longnames end,
os:unsetenv("BEAMCTL_BOOT"),
case Take("BEAMCTL_USER_AFLAGS") of
    false -> os:unsetenv("ERL_AFLAGS");
    UserFlags -> os:putenv("ERL_AFLAGS", UserFlags)
end,

%% Mix takes the applications that a project doesn't name out of the code path (since Elixir 1.15), and TLS needs its modules later.
%% Mix itself may not be there by now, while Elixir is.
case init:get_argument(proto_dist) of
    {ok, [[[$i, $n, $e, $t | Proto]]]} when Proto =:= "_tls"; Proto =:= "6_tls" ->
        code:which(elixir) =:= non_existing orelse
            [code:ensure_modules_loaded(Modules) || App <- [crypto, asn1, public_key, ssl],
                ok <- [application:load(App)], {ok, Modules} <- [application:get_key(App, modules)]];
    _ -> ok
end,

Join = fun() ->
    case file:read_file(CookieFile) of
        {ok, Bytes} -> true = erlang:set_cookie(node(), list_to_atom([C || C <- binary_to_list(Bytes), C > $\s]));
        {error, Posix} -> Fail(81, {cookie_file, CookieFile, Posix})
    end,
    %% Started with -nocookie, the node took 'nocookie' for an answer until now: whoever used that leaves.
    [erlang:disconnect_node(N) || N <- nodes(connected)],
    %% A node that asks its own EPMD for itself has come this far: beamctl waits for that before it connects.
    {Alive, _} = lists:splitwith(fun(C) -> C =/= $@ end, Name),
    erl_epmd:port_please(Alive, {127,0,0,1})
end,

%% One that has its name already, from its command line (ct_run insists), lacks only the cookie.
case Name =/= false andalso atom_to_list(node()) of
    false -> ok;
    Name -> Join();
    "nonode@nohost" ->
        case net_kernel:start([list_to_atom(Name), Kind]) of
            {ok, _} -> Join();
            {error, _} -> Fail(82, {distribution, Name})
        end;
    _ -> ok
end,

%% Set for `beamctl exec --as-node` only: members are connected by beamctl.
case Peers of
    false -> ok;
    _ -> [net_kernel:connect_node(list_to_atom(N)) || N <- string:lexemes(Peers, ",")]
end,

%% Set for the runtimes erl and rebar3 only: others start their applications themselves.
case Apps of
    false -> ok;
    _ ->
        {ok, Tokens, _} = erl_scan:string(Apps),
        [case application:ensure_all_started(App) of
             {ok, _} -> ok;
             {error, Reason} -> Fail(83, {app_failed, App, Reason})
         end || {atom, _, App} <- Tokens]
end.
