{application, kv, [
    {description, "A replicated in-memory key-value store"},
    {vsn, "1.0.0"},
    {modules, [kv, kv_app, kv_store, kv_sup]},
    {registered, [kv_pg, kv_store, kv_sup]},
    {applications, [kernel, stdlib]},
    {mod, {kv_app, []}}
]}.
