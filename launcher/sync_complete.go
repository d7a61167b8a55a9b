package launcher

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// complete returns an error if modules would be deleted whose build has not come to its end: Mix and erlc delete what they are going to
// write, and have not written it yet, or never will because there is an error in it; so it is if protocols are to be consolidated yet.
func (g *syncGroup) complete(ctx context.Context, n *node.Node) error {
	gone := make(map[string]*codesync.NodePlan) // module → a node that has it
	file := make(map[string]string)             // … and from where
	for _, np := range g.plan.Nodes {
		for _, c := range np.Delete {
			gone[string(c.Module)], file[string(c.Module)] = np, c.File
		}
	}
	var lines []string
	missing := g.code.missing()
	for _, m := range slices.Sorted(maps.Keys(gone)) {
		if app := missing[m]; app != "" {
			lines = append(lines, StaleSource{Source: app, Module: m}.String())
			continue
		}
		if consolidated(file[m]) {
			still, err := findable(ctx, n, gone[m].Node, m)
			if err != nil {
				return err
			}
			if still {
				lines = append(lines, notConsolidated(m))
				continue
			}
		}
		source, err := sourceOf(ctx, n, gone[m].Node, m)
		if err != nil {
			return err
		}
		if _, err := os.Stat(source); err == nil && (filepath.Ext(source) == ".erl" || g.uncompiled(source, filepath.Dir(file[m]))) {
			lines = append(lines, source+" was not compiled")
		}
	}
	more, err := g.unconsolidated(ctx, n)
	if err != nil {
		return err
	}
	if lines = append(lines, more...); len(lines) == 0 {
		return nil
	}
	return &checks.Finding{
		What: "the build is not complete; nothing was pushed", Saw: some(slices.Compact(lines)), Cause: "the project is being built right now, or its last build failed",
		Fix: "build it: beamctl sync --compile", Err: ErrBuildIncomplete,
	}
}

// uncompiled tells whether of a source, which may have had several modules, nothing is there, nor the .app file that would say that this
// is how it shall be: a build has begun from nothing.
func (g *syncGroup) uncompiled(source, dir string) bool {
	return !slices.ContainsFunc(g.set.Beams, func(b *codesync.Beam) bool { return b.Source == source }) &&
		!slices.ContainsFunc(g.code.Apps, func(app string) bool { return filepath.Dir(app) == dir })
}

// unconsolidated says which protocols would be pushed as they were compiled to nodes that are to have the consolidated ones, which is
// what Mix makes of them in the end.
func (g *syncGroup) unconsolidated(ctx context.Context, n *node.Node) (lines []string, err error) {
	i := slices.IndexFunc(g.code.Dirs, func(dir string) bool { return filepath.Base(dir) == consolidatedDir })
	if i < 0 {
		return nil, nil
	}
	protocols := make(map[etf.Atom]bool)
	for _, b := range g.set.Beams {
		protocols[b.Module] = b.Protocol && !consolidated(b.Path)
	}
	for _, np := range g.plan.Nodes {
		at := slices.IndexFunc(np.Push, func(c codesync.Change) bool { return protocols[c.Module] })
		if at < 0 {
			continue
		}
		var path []string // without the folder, if the project has none consolidated
		if err := n.CallInto(ctx, np.Node, &path, "code", "get_path"); err != nil {
			return nil, err
		}
		if slices.Contains(path, g.code.Dirs[i]) {
			lines = append(lines, notConsolidated(string(np.Push[at].Module)))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

func notConsolidated(protocol string) string {
	return "protocol " + protocol + " is not consolidated yet"
}

// findable tells whether a node would find a module now: as it does the protocols of Elixir, and of dependencies, that are not
// consolidated.
func findable(ctx context.Context, n *node.Node, name, module string) (bool, error) {
	t, err := n.Call(ctx, name, "code", "where_is_file", etf.Charlist(module+beamSuffix))
	return t != etf.Atom("non_existing"), err
}

// sourceOf returns the path of what a module was compiled from, as the node that runs it knows it; "" if it doesn't.
func sourceOf(ctx context.Context, n *node.Node, name, module string) (string, error) {
	var info struct{ Source string }
	t, err := n.Call(ctx, name, "erlang", "get_module_info", etf.Atom(module), etf.Atom("compile"))
	if err != nil {
		return "", err
	}
	_ = etf.Assign(t, &info) // it may have been stripped
	return info.Source, nil
}
