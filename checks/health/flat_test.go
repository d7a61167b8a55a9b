package health_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

var flatRuns = flag.Int("flat.runs", 100, "how often TestFlat examines a node")

// witness makes a node write down what it has, whenever asked to by a file, and by nothing else: no connection and no process but this
// one, which is there from the start.
const witness = `file:read_file_info("ask"), W = fun Watch() ->
		case file:delete("ask") of
			ok ->
				{Reductions, _} = erlang:statistics(exact_reductions), {Cpu, _} = erlang:statistics(runtime),
				Text = io_lib:format("{\"atoms\": ~b, \"processes\": ~b, \"modules\": ~0p, \"newest\": ~0p, \"reductions\": ~b, \"cpu\": ~b}",
					[erlang:system_info(atom_count), erlang:system_info(process_count), [atom_to_list(M) || M <- lists:sort([M || {M, _} <- code:all_loaded()])],
					[atom_to_list(binary_to_term(<<131, 75, (erlang:system_info(atom_count) - I):24>>)) || I <- [1, 2, 3, 4, 5]], Reductions, Cpu]),
				ok = file:write_file("said.new", Text), ok = file:rename("said.new", "said");
			_ -> ok
		end,
		receive after 5 -> ok end, Watch()
	end, spawn(W).`

// said is what the witness writes.
type said struct {
	Atoms, Processes, Reductions int
	Modules                      []string
	Newest                       []string // atoms
	CPU                          int      // ms
}

func ask(t *testing.T, dir string) (s said) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ask"), nil, 0o600))
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(dir, "said"))
		if err == nil {
			require.NoError(t, os.Remove(filepath.Join(dir, "said")))
			require.NoError(t, json.Unmarshal(text, &s))
			return s
		}
		require.True(t, time.Now().Before(end), "the witness is silent")
	}
}

// schedulerSecond is how many reductions a scheduler makes in a second of calls that do little: 15 to 60 million on machines of today.
const schedulerSecond = 20_000_000

// maxNew is how many atoms a node may have more after any number of runs: the key atom_limit, which no emulator knows before it is asked; and
// two names that it gives to us, which it uses again: we may be back before it has noticed that we were gone.
const maxNew = 3

// TestFlat examines a node that has neither mnesia nor os_mon many times, and compares what it has then with what it had before the first
// time.
func TestFlat(t *testing.T) {
	for _, release := range []string{"25", "27"} {
		t.Run(release, func(t *testing.T) {
			c := nodetest.New(t)
			// A node in a cluster has had a connection before ours. And net_kernel loads crypto when it has to name a node for the first time, as
			// we ask it to; nearly all have it already: whatever speaks TLS, and all of Elixir's.
			e := c.ErlOf(bin(t, release), "a", "-eval", "{module, _} = code:ensure_loaded(crypto), "+witness)
			c.Eval(`pong = net_adm:ping('a@127.0.0.1')`)
			dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", e.Pid))
			require.NoError(t, err)
			// Long enough for the node to have booted, and the witness to have loaded what it needs itself: it must be the same twice.
			before := ask(t, dir)
			for again := ask(t, dir); again.Atoms != before.Atoms || len(again.Modules) != len(before.Modules) || again.Processes != before.Processes; {
				before, again = again, ask(t, dir)
			}
			printed := e.Output()
			n, err := node.Start(node.Config{})
			require.NoError(t, err)
			target := []checks.Target{{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}}
			idle := ask(t, dir)
			time.Sleep(time.Second)
			began, at := ask(t, dir), time.Now()
			perSecond := said{Reductions: began.Reductions - idle.Reductions, CPU: began.CPU - idle.CPU} // of the witness itself
			for range *flatRuns {
				rep := health.Run(context.Background(), n, target, health.Options{PerNode: time.Minute, Limits: patient})
				require.True(t, rep.Healthy, "%+v", rep)
			}
			done, took := ask(t, dir), time.Since(at).Seconds()
			perRun := func(did, of int) float64 { return (float64(did) - took*float64(of)) / float64(*flatRuns) }
			reductions := perRun(done.Reductions-began.Reductions, perSecond.Reductions)
			t.Logf("OTP %s, per run: %.2f ms of CPU, %.0f reductions", release, perRun(done.CPU-began.CPU, perSecond.CPU), reductions)
			assert.Less(t, reductions, float64(schedulerSecond)/100, "a run a second takes less than 1 %% of a scheduler")
			require.NoError(t, n.Close())
			var after said
			for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // our connection ends
				if after = ask(t, dir); after.Processes == before.Processes || time.Now().After(end) {
					break
				}
			}
			assert.Equal(t, before.Processes, after.Processes, "processes")
			assert.Equal(t, before.Modules, after.Modules, "loaded modules")
			assert.LessOrEqual(t, after.Atoms-before.Atoms, maxNew, "atoms: %v", after.Newest)
			assert.Equal(t, printed, e.Output(), "log")
			assert.NotContains(t, strings.ToLower(e.Output()), "error")
		})
	}
}
