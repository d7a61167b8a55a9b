package health

import (
	"context"
	"fmt"

	"github.com/beamctl/beamctl/dist/etf"
)

// describe tells processes of x's node apart for a reader: by name, what they were started as, and what they do now. It always
// returns one text for each.
func describe(ctx context.Context, x *exam, pids []etf.Pid) []string {
	out := make([]string, len(pids))
	list, keys := make(etf.List, len(pids)), make(etf.List, len(pids))
	for i, p := range pids {
		out[i], list[i] = localPid(p), p
		keys[i] = etf.List{etf.Atom("registered_name"), etf.Atom("current_function"), etf.Atom("initial_call")}
	}
	var infos []etf.Term
	info := etf.Export{Module: "erlang", Function: "process_info", Arity: 2}
	if err := x.call(ctx, &infos, "lists", "zipwith", info, list, keys); err != nil || len(infos) != len(pids) {
		return out
	}
	var started []etf.Term
	translate := etf.Export{Module: "proc_lib", Function: "translate_initial_call", Arity: 1}
	if err := x.call(ctx, &started, "lists", "map", translate, list); err != nil || len(started) != len(pids) {
		started = make([]etf.Term, len(pids))
	}
	for i := range pids {
		info, ok := infos[i].(etf.List)
		if !ok {
			continue // it has ended
		}
		name, _ := info.Lookup("registered_name")
		current, _ := info.Lookup("current_function")
		initial, _ := info.Lookup("initial_call")
		origin := mfa(started[i])
		if origin == "" || origin == plain {
			origin = mfa(initial)
		}
		if a, ok := name.(etf.Atom); ok {
			out[i] = etf.Format(a) + " " + out[i]
		} else if origin != "" {
			out[i] = origin + " " + out[i]
		}
		if now := mfa(current); now != "" {
			out[i] += " in " + now
		}
	}
	return out
}

// plain is what proc_lib says of a process that it has not started.
const plain = "proc_lib:init_p/5"

// mfa formats {M, F, A} as m:f/a.
func mfa(t etf.Term) string {
	if f, ok := t.(etf.Tuple); ok && len(f) == 3 {
		m, isM := f[0].(etf.Atom)
		name, isF := f[1].(etf.Atom)
		arity, isA := f[2].(int64)
		if isM && isF && isA {
			return fmt.Sprintf("%s:%s/%d", etf.Format(m), etf.Format(name), arity)
		}
	}
	return ""
}

// localPid is the pid as its own node shows it.
func localPid(p etf.Pid) string { return fmt.Sprintf("<0.%d.%d>", p.ID, p.Serial) }
