package codesync

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// moment is when a fault happens: when the node with that index has come to the phase. Meanwhile those of Hold are kept from the
// phases named, and go on after the fault, if they can.
type moment struct {
	At   step
	Hold []step
}

type step struct {
	Node  int
	Phase Phase
}

func (m moment) String() string {
	s := fmt.Sprintf("%s of %c", m.At.Phase, 'a'+m.At.Node)
	for _, h := range m.Hold {
		s += fmt.Sprintf(", before %s of %c", h.Phase, 'a'+h.Node)
	}
	return s
}

// progress makes the fault happen at its moment.
func (m moment) progress(nodes []string, fault func()) func(Event) {
	var once sync.Once
	over := make(chan struct{})
	return func(e Event) {
		at := step{slices.Index(nodes, e.Node), e.Phase}
		if at == m.At {
			once.Do(func() { fault(); close(over) })
		}
		if slices.Contains(m.Hold, at) {
			<-over
		}
	}
}

// moments are the table's rows. All is what the nodes that live have to run in the end.
var moments = []struct {
	moment
	all State
}{
	{moment{At: step{1, Starting}}, Old},
	{moment{At: step{1, Starting}, Hold: []step{{2, Starting}}}, Old},
	{moment{At: step{1, Sending}}, Old},
	{moment{At: step{0, Staged}, Hold: []step{{1, Sending}}}, Old},
	{moment{At: step{1, Staged}}, Old},
	{moment{At: step{1, Gating}}, Old},
	{moment{At: step{1, Preparing}}, Old},
	{moment{At: step{0, Promised}, Hold: []step{{1, Preparing}}}, Old},
	{moment{At: step{1, Promised}, Hold: []step{{2, Preparing}}}, Old},
	{moment{At: step{1, Committing}, Hold: []step{{0, Committing}, {2, Committing}}}, New},
	{moment{At: step{0, Committed}, Hold: []step{{1, Committing}}}, New},
	{moment{At: step{0, Committed}, Hold: []step{{1, Committing}, {2, Committing}}}, New},
	{moment{At: step{1, Committed}}, New},
	{moment{At: step{1, Ending}, Hold: []step{{0, Ending}}}, New},
}

// The pusher is killed (SIGKILL) at every moment: the nodes run all of the old code or all of the new, the same on each, and no process
// of ours is left on any.
func TestPusherKilled(t *testing.T) {
	everyMoment(t, func(f *faults, m moment, all State) {
		f.child(m)
		f.check([]int{0, 1, 2}, all)
	})
}

// The connection with node b is cut at every moment.
func TestLinkCut(t *testing.T) {
	everyMoment(t, func(f *faults, m moment, all State) {
		p := newProxy(f.t, f.c.EPMD.Addr, f.nodes[1])
		report, err := f.push(m, p.addr, p.cut)
		f.check([]int{0, 1, 2}, all)
		f.judge(report, err, all)
	})
}

// Node b is killed (SIGKILL) at every moment.
func TestNodeKilled(t *testing.T) {
	everyMoment(t, func(f *faults, m moment, all State) {
		report, err := f.push(m, "", f.erls[1].Kill)
		f.check([]int{0, 2}, all)
		f.judge(report, err, all)
		f.restart(1)
	})
}

// everyMoment runs a test for each moment, on each release, with one cluster.
func everyMoment(t *testing.T, test func(f *faults, m moment, all State)) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		f := newFaults(t, r)
		for _, m := range moments {
			t.Run(m.String(), func(t *testing.T) {
				f.t = t
				test(f, m.moment, m.all)
			})
		}
	})
}

// judge checks what Push says of a fault that hit node b.
func (f *faults) judge(report *Report, err error, all State) {
	f.t.Helper()
	require.Error(f.t, err)
	if all == Old {
		require.NotErrorIs(f.t, err, ErrLost)
		for _, nr := range report.Nodes {
			assert.Equal(f.t, Old, nr.State, nr.Node)
		}
		return
	}
	require.ErrorIs(f.t, err, ErrLost)
	assert.Equal(f.t, New, report.Nodes[0].State)
	assert.Equal(f.t, New, report.Nodes[2].State)
}

// changed are the modules whose processes convert their state in the tests of faults.
var changed = []etf.Atom{"srv"}

// faults is a bench with two versions of a program, each with a module that the other lacks, and a process of it on each node.
type faults struct {
	*bench
	t        *testing.T
	sets     [2]Set
	dirs     [2]string
	now      int        // the version that runs
	pids     []etf.Term // of a process of source on each node
	servers  []etf.Term // of one of server
	baseline []map[etf.Pid]bool
	tick     time.Duration // of the node that pushes
}

func newFaults(t *testing.T, r nodetest.Release, args ...string) *faults {
	t.Helper()
	f := &faults{bench: newBench(t, r, 3, args...), t: t}
	for v := range f.sets {
		f.dirs[v] = t.TempDir()
		value := fmt.Sprint(v)
		f.compile(f.dirs[v], map[string]string{"one": source(value), "two": source(value), "three": source(value), "only" + value: source(value), "srv": server(value)})
	}
	for v := range f.sets {
		set, err := ReadDirs(f.ctx, f.dirs[v])
		require.NoError(t, err)
		set.Dirs, set.Here = f.dirs[:], false
		f.sets[v] = set
	}
	f.pids, f.servers = make([]etf.Term, len(f.nodes)), make([]etf.Term, len(f.nodes))
	plan, err := Compare(f.ctx, f.n, f.nodes, f.sets[0], Options{})
	require.NoError(t, err)
	_, err = Push(f.ctx, f.n, plan)
	require.NoError(t, err)
	for i, name := range f.nodes {
		f.pids[i], f.servers[i] = f.call(name, "one", "start"), f.call(name, "srv", "start")
	}
	f.remember()
	return f
}

// remember notes what runs on each node.
func (f *faults) remember() {
	f.baseline = nil
	for _, name := range f.nodes {
		// OTP starts its resolver when it first needs it, which some releases do when they connect once more.
		f.call(name, "inet", "gethostbyname", etf.Charlist("localhost"))
		all := map[etf.Pid]bool{}
		for _, pid := range f.processes(name) {
			all[pid] = true
		}
		f.baseline = append(f.baseline, all)
	}
}

func (f *faults) processes(name string) []etf.Pid {
	f.t.Helper()
	var pids []etf.Pid
	require.NoError(f.t, f.n.CallInto(f.ctx, name, &pids, "erlang", "processes"))
	return pids
}

// push pushes the other version by a node of its own, which reaches node b at addr, with a fault at a moment.
func (f *faults) push(m moment, addr string, fault func()) (*Report, error) {
	f.t.Helper()
	n, err := node.Start(node.Config{Cookie: f.c.Cookie, TickTime: f.tick})
	require.NoError(f.t, err)
	defer n.Close()
	for i, e := range f.erls {
		p := f.c.Peer(e)
		if i == 1 {
			p.Addr = addr
		}
		require.NoError(f.t, n.AddPeer(p))
	}
	plan, err := Compare(f.ctx, n, f.nodes, f.sets[1-f.now], Options{ChangeCode: changed, Progress: m.progress(f.nodes, fault)})
	require.NoError(f.t, err)
	return Push(f.ctx, n, plan)
}

// check waits until the nodes run the state, and nothing else than before.
func (f *faults) check(nodes []int, all State) {
	f.t.Helper()
	if all == New {
		f.now = 1 - f.now
	}
	for _, i := range nodes {
		name := f.nodes[i]
		f.eventually(func() string {
			if runs := f.runs(name); runs != f.now {
				return fmt.Sprintf("%s runs %d (-1 is both) and not %d", name, runs, f.now)
			}
			return ""
		})
		f.eventually(func() string { return f.strays(i) })
		f.ask(name, f.pids[i])
		require.Equal(f.t, int64(f.now), f.ask(name, f.pids[i]), "the process that was there before")
		state := etf.Tuple{int64(f.now), int64(f.now)}
		require.Equal(f.t, state, f.call(name, "gen_server", "call", f.servers[i], etf.Atom("get")), "the server that was suspended")
	}
}

// eventually waits until there is nothing to complain about.
func (f *faults) eventually(complaint func() string) {
	f.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(tick) {
		what := complaint()
		if what == "" {
			return
		}
		if time.Now().After(end) {
			require.Fail(f.t, what)
		}
	}
}

// strays names the processes that were not there before, but for the one that answers the question.
func (f *faults) strays(i int) string {
	f.t.Helper()
	var found []string
	for _, pid := range f.processes(f.nodes[i]) {
		if f.baseline[i][pid] {
			continue
		}
		info := f.call(f.nodes[i], "erlang", "process_info", pid, etf.List{
			etf.Atom("initial_call"), etf.Atom("current_stacktrace"), etf.Atom("registered_name"), etf.Atom("messages"),
		})
		if info != etf.Term(etf.Atom("undefined")) {
			found = append(found, etf.Format(pid)+" "+etf.Format(info))
		}
	}
	return strings.Join(found, "\n")
}

// runs says which version a node runs: -1 for parts of both.
func (f *faults) runs(name string) int {
	f.t.Helper()
	var found [2]int
	for _, m := range []etf.Atom{"one", "two", "three"} {
		found[f.call(name, m, "value").(int64)]++
	}
	for v, m := range []etf.Atom{"only0", "only1"} {
		if f.call(name, "erlang", "module_loaded", m) == etf.Term(etf.Atom("true")) {
			found[v]++
		}
	}
	for v, n := range found {
		if n == 4 && found[1-v] == 0 {
			return v
		}
	}
	return -1
}

// restart boots a killed node again, with the code that the others run.
func (f *faults) restart(i int) {
	f.t.Helper()
	f.again(i)
	plan, err := Compare(f.ctx, f.n, f.nodes, f.sets[f.now], Options{})
	require.NoError(f.t, err)
	_, err = Push(f.ctx, f.n, plan)
	require.NoError(f.t, err)
	f.pids[i], f.servers[i] = f.call(f.nodes[i], "one", "start"), f.call(f.nodes[i], "srv", "start")
	f.remember()
}

// job is what a pusher of its own is told, on its standard input.
type job struct {
	Cookie string
	EPMD   string
	Nodes  []string
	Dir    string
	Dirs   []string
	Moment moment
}

// child lets a process of its own push the other version, which kills itself at the moment.
func (f *faults) child(m moment) {
	f.t.Helper()
	in, err := json.Marshal(job{f.c.Cookie.Secret(), f.c.EPMD.Addr, f.nodes, f.dirs[1-f.now], f.dirs[:], m})
	require.NoError(f.t, err)
	cmd := exec.CommandContext(f.ctx, os.Args[0])
	cmd.Env = append(os.Environ(), pusherEnv+"=1")
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(f.t, err, &exit, "%s", out)
	require.Equal(f.t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "%s", out)
}

// pusherEnv makes the test's program a pusher.
const pusherEnv = "CODESYNC_TEST_PUSHER"

// pusher is what the child runs.
func pusher() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), caseTime)
	defer cancel()
	n, err := node.Start(node.Config{Cookie: dist.NewCookie(j.Cookie)})
	if err != nil {
		return err
	}
	for _, name := range j.Nodes {
		if err := n.AddPeer(node.Peer{Name: name, EPMD: j.EPMD}); err != nil {
			return err
		}
	}
	set, err := ReadDirs(ctx, j.Dir)
	if err != nil {
		return err
	}
	set.Dirs, set.Here = j.Dirs, false
	die := func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	plan, err := Compare(ctx, n, j.Nodes, set, Options{ChangeCode: changed, Progress: j.Moment.progress(j.Nodes, die)})
	if err != nil {
		return err
	}
	_, err = Push(ctx, n, plan)
	return fmt.Errorf("the moment never came: %w", err)
}

// The connection with node b falls silent, and nobody is told: what it has promised it does when the others do, at once. What it has
// not is given up when either side's ticks are missing.
func TestLinkFrozen(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		moment
		all State
	}{
		{moment{At: step{1, Gating}}, Old},
		{moment{At: step{1, Committing}, Hold: []step{{0, Committing}, {2, Committing}}}, New},
	} {
		t.Run(row.String(), func(t *testing.T) {
			t.Parallel()
			f := newFaults(t, releases(t)[0], "-kernel", "net_ticktime", "10")
			p := newProxy(t, f.c.EPMD.Addr, f.nodes[1])
			f.tick = 10 * time.Second
			began := time.Now()
			report, err := f.push(row.moment, p.addr, p.freeze)
			t.Logf("after %v: %v", time.Since(began), err)
			f.check([]int{0, 1, 2}, row.all)
			f.judge(report, err, row.all)
		})
	}
}
