{application, syn, [{vsn, "3.4.0"}, {modules, [syn]}, {registered, []}, {applications, [kernel, stdlib]}]}.
