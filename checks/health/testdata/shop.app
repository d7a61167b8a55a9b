{application, shop, [{vsn, "1.0"}, {modules, [shop]}, {registered, [shop_sup, till, stock]},
    {applications, [kernel, stdlib]}, {mod, {shop, []}}]}.
