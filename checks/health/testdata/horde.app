{application, horde, [{vsn, "0.10.0"}, {modules, ['Elixir.Horde.DynamicSupervisor', 'Elixir.Horde.DynamicSupervisorImpl', 'Elixir.Horde.ProcessesSupervisor']},
    {registered, []}, {applications, [kernel, stdlib]}]}.
