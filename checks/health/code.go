package health

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/codesync"
)

var codeChecks = []*Check{
	{
		Name: "code", Group: Code,
		What: "how many modules of applications it has loaded, OTP's and Elixir's own apart; the nodes with the same OTP release have the same builds of them", Asks: "code:all_loaded/0, erlang:get_module_info/2",
		Fails: "most others, or half of them, have another build of a module", Fix: "beamctl sync, or load the module again there: c:nl/1, or restart the node",
		run: code,
	},
	{
		Name: "disk", Group: Code,
		What: "the modules that it has loaded are the ones in its files; only for nodes whose disk this machine sees", Asks: "code:all_loaded/0, erlang:get_module_info/2, prim_file:read_file_info/2, and where files are gone application:get_application/1",
		Fails: "warns when a file has another build, or is gone and an application lists its module: a restart would run that, or be without it", Fix: "beamctl sync, or load it: c:l/1; if the loaded one is right, write it to the file",
		run: disk,
	},
	{
		Name: "oldcode", Group: Code,
		What: "no process runs the old code of a module that has been loaded anew", Asks: "erlang:check_old_code/1, and where there is some erlang:check_process_code/3",
		Fails: "warns when one does: the next load of the module kills it", Fix: "have the process call a function of its module by its full name (code_change, a hibernation), or restart it",
		run: oldCode,
	},
}

// vendors are the applications that come with OTP and Elixir. Their modules are those of the release that a node runs, and there are
// many of them.
var vendors = func() map[string]bool {
	m := map[string]bool{}
	for app := range strings.FieldsSeq(`asn1 common_test compiler crypto debugger dialyzer diameter edoc eldap erl_interface erts et eunit
		ftp hipe inets jinterface kernel megaco mnesia observer odbc os_mon parsetools public_key reltool runtime_tools sasl snmp ssh ssl
		stdlib syntax_tools tftp tools wx xmerl
		eex elixir ex_unit iex logger mix`) {
		m[app] = true
	}
	return m
}()

// build is a module as a node has it.
type build struct {
	sum  codesync.Sum
	file string // it was loaded from; "" if it was from none
}

// vendor says whether a .beam file belongs to one of these applications: …/kernel-8.5/ebin/gen_tcp.beam.
func vendor(file string) bool {
	dir := path.Dir(file)
	if path.Base(dir) == "ebin" {
		dir = path.Dir(dir)
	}
	app, _, _ := strings.Cut(path.Base(dir), "-")
	return vendors[app]
}

// modules are those that are loaded, but for vendors'.
var modules = &fact[map[etf.Atom]build]{func(ctx context.Context, x *exam) (map[etf.Atom]build, error) {
	var all []struct {
		Module etf.Atom
		File   etf.Term // a path; preloaded, cover_compiled
	}
	if err := x.call(ctx, &all, "code", "all_loaded"); err != nil {
		return nil, err
	}
	var names []etf.Atom
	var files []string
	for _, m := range all {
		var file string
		if _, word := m.File.(etf.Atom); word || etf.Assign(m.File, &file) != nil || vendor(file) {
			continue
		}
		if !path.IsAbs(file) { // made up by who loaded it
			file = ""
		}
		names, files = append(names, m.Module), append(files, file)
	}
	if len(names) == 0 {
		return nil, nil
	}
	var sums []codesync.Sum
	info := etf.Export{Module: "erlang", Function: "get_module_info", Arity: 2}
	if err := x.call(ctx, &sums, "lists", "zipwith", info, names, slices.Repeat([]etf.Atom{"md5"}, len(names))); err != nil {
		return nil, err
	}
	out := make(map[etf.Atom]build, len(names))
	for i, sum := range sums[:min(len(sums), len(names))] {
		out[names[i]] = build{sum, files[i]}
	}
	return out, nil
}}

// tally is who has which build of a module.
type tally struct {
	nodes map[codesync.Sum][]string
	files bool // somebody has it from a file; else it was made at run time, by each node for itself
}

// tallied is release → module → tally: a build's sum depends on the release that loads it.
func tallied(ctx context.Context, x *exam) map[string]map[etf.Atom]*tally {
	releases := release.everywhere(ctx, x)
	all := modules.everywhere(ctx, x)
	type key struct{}
	out, _ := learn(x.common, key{}, func() (map[string]map[etf.Atom]*tally, error) {
		out := map[string]map[etf.Atom]*tally{}
		for i, s := range all {
			r := releases[i].v
			if s.err != nil || releases[i].err != nil {
				continue
			}
			if out[r] == nil {
				out[r] = map[etf.Atom]*tally{}
			}
			for name, b := range s.v {
				t := out[r][name]
				if t == nil {
					t = &tally{nodes: map[codesync.Sum][]string{}}
					out[r][name] = t
				}
				t.nodes[b.sum] = append(t.nodes[b.sum], s.x.t.Name)
				t.files = t.files || b.file != ""
			}
		}
		return out, nil
	})
	return out
}

func code(ctx context.Context, x *exam) (Cell, error) {
	mine, err := modules.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "code:all_loaded(), erlang:get_module_info(M, md5)", "a module was unloaded meanwhile, or the code server hangs")
	}
	r, err := release.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:system_info(otp_release)", "")
	}
	c, _ := ok("%s", count(len(mine), "module", "modules"))
	var differ []string
	all := tallied(ctx, x)
	alike, split := false, false // of modules that others have, too
	for name, b := range mine {
		t := all[r][name]
		if t == nil || !t.files {
			continue
		}
		if len(t.nodes) == 1 {
			alike = alike || len(t.nodes[b.sum]) > 1
			continue
		}
		split = true
		for sum, nodes := range t.nodes {
			if sum != b.sum && len(nodes) >= len(t.nodes[b.sum]) {
				differ = append(differ, fmt.Sprintf("%s is another build than on %s", etf.Format(name), listed(nodes)))
				break
			}
		}
	}
	switch {
	case !alike || split:
	case len(all) > 1: // a build's sum says nothing across releases
		c.Saw += ", same in OTP " + r
	default:
		c.Saw += ", same everywhere"
	}
	c.Values = map[string]float64{"modules": float64(len(mine)), "differ": float64(len(differ))}
	if len(differ) > 0 {
		slices.Sort(differ)
		c.Status, c.Saw = Fail, listed(differ)
		c.Cause = "a new build was loaded on some of the nodes only"
	}
	return c, nil
}

// maxOld is how many modules with old code are looked at: for each, all processes are asked.
const maxOld = 10

func oldCode(ctx context.Context, x *exam) (Cell, error) {
	mine, err := modules.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "code:all_loaded()", "")
	}
	names := slices.Sorted(maps.Keys(mine))
	var is []bool
	if len(names) > 0 {
		if err := x.call(ctx, &is, "lists", "map", etf.Export{Module: "erlang", Function: "check_old_code", Arity: 1}, names); err != nil {
			return Cell{}, x.failed(err, "erlang:check_old_code(M)", "")
		}
	}
	var old []etf.Atom
	for i, has := range is[:min(len(is), len(names))] {
		if has {
			old = append(old, names[i])
		}
	}
	c, _ := ok("%s", count(len(old), "module has some", "modules have some"))
	c.Values = map[string]float64{"old": float64(len(old))}
	if len(old) == 0 {
		c.Saw = "none"
		return c, nil
	}
	if n, err := processes(ctx, x); err != nil || n > maxAsked {
		c.Saw += fmt.Sprintf("; %d processes are too many to ask", n)
		return c, err
	}
	var saw []string
	for _, m := range old[:min(len(old), maxOld)] {
		pids, err := lingering(ctx, x, m)
		if err != nil {
			return Cell{}, x.failed(err, "erlang:check_process_code(Pid, M)", "a process does not get to answer")
		}
		if len(pids) > 0 {
			saw = append(saw, fmt.Sprintf("%s: %s", etf.Format(m), listed(describe(ctx, x, pids[:min(len(pids), shown)]))))
		}
	}
	c.Values["in_use"] = float64(len(saw))
	if len(saw) > 0 {
		c.Status, c.Saw = Warn, "in use: "+strings.Join(saw, "; ")
		c.Cause = "the module was loaded anew, and these processes have not come out of the old code since"
	}
	return c, nil
}

// lingering returns the processes that run old code of m, as far as that can be said without garbage collections.
func lingering(ctx context.Context, x *exam, m etf.Atom) (pids []etf.Pid, err error) {
	const all, one = 1, 2
	forAll := func(form etf.Tuple) etf.Tuple {
		return apply("lists", "duplicate", apply("erlang", "length", variable(all)), form)
	}
	runs := apply("lists", "zipwith3", bif("check_process_code", 3), variable(all), forAll(value(m)),
		forAll(list(value(etf.Tuple{etf.Atom("allow_gc"), etf.Atom("false")}))))
	err = x.eval(ctx, &pids, block(
		set(all, apply("erlang", "processes")),
		each(tuple(value(etf.Atom("true")), variable(one)), apply("lists", "zip", runs, variable(all)), variable(one)),
	))
	return pids, err
}
