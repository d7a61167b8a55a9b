package health_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

// depot compiles the module depot into a folder of its own and returns its file.
func depot(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "erlc", append(args, "-o", dir, "testdata/depot.erl")...).CombinedOutput() //nolint:gosec // a test's own
	require.NoError(t, err, "%s", out)
	return filepath.Join(dir, "depot.beam")
}

// load has B load a file in place of the one that it has, as if it came from there.
func load(t *testing.T, c *cluster, file string) {
	t.Helper()
	c.must(t, fmt.Sprintf(`{ok, Beam} = file:read_file(%q), File = rpc:call(B, code, which, [depot]),
		{module, _} = rpc:call(B, code, load_binary, [depot, File, Beam])`, file))
}

var codeFaults = []fault{
	{
		name: "another build on one node",
		make: func(t *testing.T, c *cluster) { load(t, c, depot(t, "-DOTHER")) },
		undo: erl(`rpc:call(B, code, purge, [depot]), {module, _} = rpc:call(B, code, load_file, [depot]), rpc:call(B, code, purge, [depot])`),
		want: map[string]health.Status{"b code": fail, "b disk": warn},
		saw: map[string]string{
			"b code": "depot is another build than on a@127.0.0.1, c@127.0.0.1",
			"b disk": "differ from their files: depot",
		},
	},
	{
		name: "compiled and not loaded",
		make: func(t *testing.T, c *cluster) { replace(t, depot(t, "-DOTHER"), c.depot) },
		undo: func(t *testing.T, c *cluster) { replace(t, depot(t), c.depot) },
		want: map[string]health.Status{"a disk": warn, "b disk": warn, "c disk": warn},
		saw:  map[string]string{"c disk": "differ from their files: depot"},
	},
	{
		name: "deleted by a build that failed",
		make: func(t *testing.T, c *cluster) { replace(t, shopFile(c), shopFile(c)+".away") },
		undo: func(t *testing.T, c *cluster) { replace(t, shopFile(c)+".away", shopFile(c)) },
		want: map[string]health.Status{"a disk": warn, "b disk": warn, "c disk": warn},
		saw:  map[string]string{"b disk": "not on disk: shop"},
	},
	{
		name: "old code in use",
		make: func(t *testing.T, c *cluster) {
			c.must(t, `P = spawn(B, depot, wait, []), In = fun() -> rpc:call(B, erlang, process_info, [P, current_function]) end,
				(fun Again() -> In() =:= {current_function, {depot, wait, 0}} orelse Again() end)()`)
			load(t, c, depot(t))
		},
		undo: erl(`true = rpc:call(B, code, purge, [depot])`),
		want: map[string]health.Status{"b oldcode": warn},
		saw:  map[string]string{"b oldcode": "in use: depot: depot:wait/0 <0."},
	},
}

func shopFile(c *cluster) string { return filepath.Join(filepath.Dir(c.depot), "shop.beam") }

func replace(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.Rename(from, to))
}
