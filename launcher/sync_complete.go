package launcher

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// complete returns an error if modules would be deleted whose build has not come to its end: Mix and erlc delete what they are going to
// write, and have not written it yet, or never will because there is an error in it. An .app file still lists such a module, or its source,
// which for Erlang is one of its own, is still there.
func (g *syncGroup) complete(ctx context.Context, n *node.Node) error {
	gone := make(map[string]string) // module → a node that has it
	for _, ns := range g.nodes {
		for _, m := range ns.Deleted {
			gone[m] = ns.Node
		}
	}
	if len(gone) == 0 {
		return nil
	}
	var lines []string
	missing := g.code.missing()
	for _, m := range slices.Sorted(maps.Keys(gone)) {
		if app := missing[m]; app != "" {
			lines = append(lines, fmt.Sprintf("%s lists module %s, which is not there", app, m))
			continue
		}
		source, err := sourceOf(ctx, n, gone[m], m)
		if err != nil {
			return err
		}
		if _, err := os.Stat(source); err == nil && filepath.Ext(source) == ".erl" {
			lines = append(lines, source+" was not compiled")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &checks.Finding{
		What: "the build is not complete; nothing was pushed", Saw: some(lines), Cause: "the project is being built right now, or its last build failed",
		Fix: "build it: beamctl sync --compile", Err: ErrBuildIncomplete,
	}
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
