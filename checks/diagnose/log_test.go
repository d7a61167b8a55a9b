package diagnose

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// text is a source that is in memory.
func text(node, name, s string) Source {
	return Source{Node: node, Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

// counted is what groups say: title → how often.
func counted(l *Logs, kinds ...Kind) map[string]int {
	m := map[string]int{}
	for _, g := range l.Groups {
		for _, k := range kinds {
			if g.Kind == k {
				m[g.Title] += g.Count
			}
		}
	}
	return m
}

// crashes is what happens on the Erlang nodes: a server crashes three times, until its supervisor gives up; two processes crash, and more.
const crashes = `
	Wait = fun(P) -> R = monitor(process, P), receive {'DOWN', R, _, _, _} -> ok end end,
	Boom = fun(F) -> case whereis(my_srv) of undefined -> timer:sleep(5), F(F); P -> gen_server:cast(P, boom), Wait(P) end end,
	Sup = spawn(fun() -> process_flag(trap_exit, true), {ok, S} = my_sup:start_link(), Wait(S) end),
	Boom(Boom), Boom(Boom), Boom(Boom), Wait(Sup),
	Wait(spawn(fun() -> error(oops) end)),
	Wait(proc_lib:spawn(fun() -> exit(weird) end)),
	[logger:error("plain ~p problem", [N]) || N <- [41, 42]],
	logger:warning("careful")`

func TestErlangLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	compile := exec.CommandContext(t.Context(), "erlc", "-o", dir, "crash_srv.erl", "my_sup.erl")
	compile.Dir = "testdata"
	out, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", out)
	c := nodetest.New(t)
	for name, args := range map[string][]string{
		"default":     nil,
		"single_line": {"-kernel", "logger", `[{handler,default,logger_std_h,#{formatter=>{logger_formatter,#{single_line=>true}}}}]`},
		"no_header":   {"-kernel", "logger", `[{handler,default,logger_std_h,#{formatter=>{logger_formatter,#{template=>[time," [",level,"] ",pid," ",msg,"\n"],single_line=>false}}}}]`},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now().Add(-time.Second)
			e := c.Erl(name, append([]string{"-pa", dir, "-eval", crashes}, args...)...)
			n := c.Node(e)
			require.Eventually(t, func() bool { // what the emulator itself reports comes when it likes
				return strings.Contains(e.Output(), "oops") && strings.Contains(e.Output(), "careful")
			}, time.Minute, 10*time.Millisecond)
			_, err := n.Call(t.Context(), e.Name, "erlang", "halt")
			require.ErrorIs(t, err, node.ErrNodeDown)
			<-e.Done() // with all that it had begun to write
			log := e.Output()
			l := (&Report{}).scanLogs([]Source{text("n", "log", log)}, time.Time{}, NewRedactor())
			require.NotEmpty(t, l.Groups, log)
			assert.Equal(t, map[string]int{"my_srv crashed: {bad,thing} in crash_srv:handle_cast/2 (crash_srv.erl:12)": 3}, counted(&l, KindServer), log)
			assert.Equal(t, map[string]int{"my_sup gave up: its child my_child: reached_max_restart_intensity": 1}, counted(&l, KindGaveUp))
			assert.Equal(t, map[string]int{"my_sup: its child my_child ended: {bad,thing} in crash_srv:handle_cast/2 (crash_srv.erl:12)": 3}, counted(&l, KindSupervisor))
			processes := fmt.Sprint(counted(&l, KindProcess))
			assert.Contains(t, processes, "a process crashed: oops")
			assert.Contains(t, processes, "exit: weird")
			assert.Len(t, counted(&l, KindProcess), 2, "proc_lib's report of my_srv is the same crash")
			assert.Equal(t, map[string]int{"plain 41 problem": 2}, counted(&l, KindError))
			assert.Equal(t, map[string]int{"careful": 1}, counted(&l, KindWarning))
			for _, g := range l.Groups {
				assert.False(t, g.First.IsZero(), "%+v", g)
				assert.WithinRange(t, g.First, began, g.Last)
				assert.WithinRange(t, g.Last, g.First, time.Now())
				assert.NotContains(t, g.Example, "hunter2", "states are not quoted")
				assert.Equal(t, []string{"n"}, g.Nodes)
			}
			later := (&Report{}).scanLogs([]Source{text("n", "log", log)}, time.Now().Add(time.Minute), NewRedactor())
			assert.Empty(t, later.Groups, "all of it was before")
		})
	}
}

func TestElixirLogs(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"default": nil, "SASL reports": {"--logger-sasl-reports", "true"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "elixir", append(args, "testdata/crash.exs")...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			l := (&Report{}).scanLogs([]Source{text("n", "log", stamped(string(out)))}, time.Time{}, NewRedactor())
			assert.Equal(t, map[string]int{"Srv crashed: RuntimeError: oops in Srv.handle_cast/2 (testdata/crash.exs:6)": 1}, counted(&l, KindServer), "%s", out)
			processes := fmt.Sprint(counted(&l, KindProcess))
			assert.Contains(t, processes, "a task crashed: ArgumentError: bad arg")
			assert.Contains(t, processes, "a process crashed: RuntimeError: plain process")
			assert.Len(t, counted(&l, KindProcess), 2, "%s", out)
			assert.Len(t, counted(&l, KindError), 1)
			for _, n := range counted(&l, KindError) {
				assert.Equal(t, 2, n, "numbers do not count")
			}
			if args != nil {
				assert.Equal(t, map[string]int{"child Srv of My.Sup terminated: RuntimeError: oops in Srv.handle_cast/2 (testdata/crash.exs:6)": 1}, counted(&l, KindSupervisor), "%s", out)
			}
			for _, g := range l.Groups {
				assert.False(t, g.Last.IsZero(), "beamctl's own time counts: Elixir's has no date")
				assert.NotContains(t, g.Example, "hunter2")
			}
		})
	}
}

// stamped puts a time before each line, as beamctl does in a node's log.
func stamped(s string) string {
	var b strings.Builder
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for line := range strings.Lines(s) {
		b.WriteString(at.Format("2006-01-02T15:04:05.000Z ") + line)
		at = at.Add(time.Millisecond)
	}
	return b.String()
}

// Entries that the formats above do not have, as they were found in logs of these programs.
func TestLogEntries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		log   string
		kind  Kind
		title string
	}{
		{
			"2026-11-22 23:25:00.123456+00:00 [warning] <0.123.0> 'global' at node 'a@h1' requested disconnect from node 'b@h2' in order to prevent overlapping partitions",
			KindOverlap, "global at a@h1 requested disconnect from b@h2 to prevent overlapping partitions",
		},
		{
			"=WARNING REPORT==== 22-Nov-2026::23:47:32.892612 ===\n'global' at node 'a@h1' disconnected node 'b@h2' in order to prevent overlapping partitions\n",
			KindOverlap, "global at a@h1 disconnected b@h2 to prevent overlapping partitions",
		},
		{
			"2026-11-22 23:25:00.123456+00:00 [error] <0.61.0> ** Node rabbit@h2 not responding **\n2026-11-22 23:25:00.123456+00:00 [error] <0.61.0> ** Removing (timedout) connection **",
			KindTick, "rabbit@h2 is not responding; the connection was ended (net_ticktime)",
		},
		{
			"=ERROR REPORT==== 22-Nov-2026::23:47:32 ===\n** Connection attempt from node 'x@h' rejected. Invalid challenge reply. **\n",
			KindCookie, "connection attempt of x@h rejected: another cookie",
		},
		{
			"2026-11-22 23:25:00.123 [error] <0.99.0>@mnesia_event:report_system_event:1 Mnesia('a@h'): ** ERROR ** mnesia_event got {inconsistent_database, running_partitioned_network, 'b@h'}",
			KindSplit, "inconsistent_database, running_partitioned_network, 'b@h",
		},
		{"Kernel pid terminated (application_controller) ({application_start_failure,a,b})", KindBoot, "Kernel pid terminated (application_controller) ({application_start_failure,a,b})"},
		{"eheap_alloc: Cannot allocate 123456 bytes of memory (of type \"heap\").", KindMemory, "eheap_alloc: Cannot allocate 123456 bytes of memory (of type \"heap\")."},
		{"no more index entries in atom_tab (max=1048576)", KindMemory, "no more index entries in atom_tab (max=1048576)"},
		{
			"23:47:37.166 request_id=abc user=1 [error] GenServer {:via, Registry, 1} terminating\n** (stop) :boom\nLast message: :x\nState: %{token: \"abc\"}\n",
			KindServer, "{:via, Registry, 1} crashed: stop: :boom",
		},
		{"=INFO REPORT==== 22-Nov-2026::23:47:32.892612 ===\nalarm_handler: {set,{system_memory_high_watermark,[]}}\n", KindAlarm, "alarm system_memory_high_watermark was raised"},
	} {
		l := (&Report{}).scanLogs([]Source{text("", "log", c.log)}, time.Time{}, NewRedactor())
		require.Len(t, l.Groups, 1, c.log)
		assert.Equal(t, c.kind, l.Groups[0].Kind, c.log)
		assert.Equal(t, c.title, l.Groups[0].Title)
		assert.Equal(t, 1, l.Groups[0].Count)
	}
}

// A log may have anything in it, and more of it than is good.
func TestHostileLog(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 3 * maxGroups {
		fmt.Fprintf(&b, "2026-11-22T23:25:00.123456+00:00 error: %s is different\n", strings.Repeat(string(rune('a'+i%26)), 1+i/26))
	}
	b.WriteString("2026-11-22T23:25:00.123456+00:00 error: " + strings.Repeat("x", 10*maxLine) + "\n")
	l := (&Report{}).scanLogs([]Source{text("", "log", b.String())}, time.Time{}, NewRedactor())
	assert.Len(t, l.Groups, maxGroups)
	assert.Equal(t, 2*maxGroups+1, l.More)
	assert.Equal(t, 3*maxGroups+1, l.Entries)
	for _, g := range l.Groups {
		assert.LessOrEqual(t, len(g.Title), maxTitle+len("…"))
		assert.LessOrEqual(t, len(g.Example), maxQuoted+len("…"))
	}
}

func FuzzLog(f *testing.F) {
	f.Add("=ERROR REPORT==== 22-Nov-2026::23:47:32.892612 ===\n** Generic server my_srv terminating \n** Reason for termination ==\n** {{bad,thing},\n    [{a,b,2,[]}]}\n")
	f.Add("23:47:37.166 [error] GenServer Srv terminating\n** (RuntimeError) oops\n    c.exs:5: Srv.handle_cast/2\nState: %{password: \"hunter2\"}\n")
	f.Add("2026-11-22T23:47:34.216702+00:00 error: crasher: initial call: crash_srv:init/1, pid: <0.81.0>, registered_name: my_srv, error: {x,[{a,b,2,[]}]}, ancestors: []\n")
	f.Add("\x1b[31m2026-11-22 23:25:00.123456+00:00 [error] <0.1.0> \xff\xfe\x00")
	f.Fuzz(func(t *testing.T, s string) {
		l := (&Report{}).scanLogs([]Source{text("n", "log", s)}, time.Time{}, NewRedactor("hunter2"))
		n := l.More
		for _, g := range l.Groups {
			n += g.Count
			if len(g.Title) > maxTitle+100 || len(g.Example) > maxQuoted+100 || strings.Contains(g.Example+g.Title, "hunter2") {
				t.Fatalf("%+v", g)
			}
		}
		if n > l.Entries {
			t.Fatalf("%d of %d entries", n, l.Entries)
		}
	})
}
