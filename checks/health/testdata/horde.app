{application, horde, [{vsn, "0.10.0"}, {modules, ['Elixir.Horde.Cluster', 'Elixir.Horde.RegistryImpl']}, {registered, []}, {applications, [kernel, stdlib]}]}.
