{application, libcluster, [{vsn, "3.5.0"}, {modules, ['Elixir.Cluster.Supervisor', 'Elixir.Cluster.Strategy.Epmd']}, {registered, []},
    {applications, [kernel, stdlib]}]}.
