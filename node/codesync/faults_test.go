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
	t.Parallel()
	f := newFaults(t)
	for _, m := range moments {
		t.Run(m.String(), func(t *testing.T) {
			f.t = t
			f.child(m.moment)
			f.check([]int{0, 1, 2}, m.all)
		})
	}
}

// The connection with node b is cut at every moment.
func TestLinkCut(t *testing.T) {
	t.Parallel()
	f := newFaults(t)
	for _, m := range moments {
		t.Run(m.String(), func(t *testing.T) {
			f.t = t
			p := newProxy(t, f.c.EPMD.Addr, f.nodes[1])
			report, err := f.push(m.moment, p.addr, p.cut)
			f.check([]int{0, 1, 2}, m.all)
			f.judge(report, err, m.all)
		})
	}
}

// Node b is killed (SIGKILL) at every moment.
func TestNodeKilled(t *testing.T) {
	t.Parallel()
	f := newFaults(t)
	for _, m := range moments {
		t.Run(m.String(), func(t *testing.T) {
			f.t = t
			report, err := f.push(m.moment, "", f.erls[1].Kill)
			f.check([]int{0, 2}, m.all)
			f.judge(report, err, m.all)
			f.restart(1)
		})
	}
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

// faults is a bench with two versions of a program, each with a module that the other lacks, and a process of it on each node.
type faults struct {
	*bench
	t        *testing.T
	sets     [2]Set
	dirs     [2]string
	now      int // the version that runs
	pids     []etf.Term
	baseline []map[etf.Pid]bool
}

func newFaults(t *testing.T) *faults {
	t.Helper()
	f := &faults{bench: newBench(t, releases(t)[0], 3), t: t}
	for v := range f.sets {
		f.dirs[v] = t.TempDir()
		value := fmt.Sprint(v)
		f.compile(f.dirs[v], map[string]string{"one": source(value), "two": source(value), "three": source(value), "only" + value: source(value)})
	}
	for v := range f.sets {
		set, err := ReadDirs(f.ctx, f.dirs[v])
		require.NoError(t, err)
		set.Dirs = f.dirs[:]
		f.sets[v] = set
	}
	f.pids = make([]etf.Term, len(f.nodes))
	plan, err := Compare(f.ctx, f.n, f.nodes, f.sets[0], Options{})
	require.NoError(t, err)
	_, err = Push(f.ctx, f.n, plan)
	require.NoError(t, err)
	for i, name := range f.nodes {
		f.pids[i] = f.call(name, "one", "start")
	}
	f.remember()
	return f
}

// remember notes what runs on each node.
func (f *faults) remember() {
	f.baseline = nil
	for _, name := range f.nodes {
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
	n, err := node.Start(node.Config{Cookie: f.c.Cookie})
	require.NoError(f.t, err)
	defer n.Close()
	for i, e := range f.erls {
		p := f.c.Peer(e)
		if i == 1 {
			p.Addr = addr
		}
		require.NoError(f.t, n.AddPeer(p))
	}
	plan, err := Compare(f.ctx, n, f.nodes, f.sets[1-f.now], Options{Progress: m.progress(f.nodes, fault)})
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
		require.Eventually(f.t, func() bool { return f.runs(name) == f.now }, 20*time.Second, 20*time.Millisecond,
			"%s runs %d (-1 is both) and not %d", name, f.runs(name), f.now)
		var strays []etf.Pid
		require.Eventually(f.t, func() bool {
			strays = slices.DeleteFunc(f.processes(name), func(p etf.Pid) bool { return f.baseline[i][p] })
			return len(strays) <= 1 // the one that answers this call
		}, 20*time.Second, 20*time.Millisecond, "strays on %s: %v", name, strays)
		f.ask(name, f.pids[i])
		require.Equal(f.t, int64(f.now), f.ask(name, f.pids[i]), "the process that was there before")
	}
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
	f.pids[i] = f.call(f.nodes[i], "one", "start")
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
	set.Dirs = j.Dirs
	die := func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	plan, err := Compare(ctx, n, j.Nodes, set, Options{Progress: j.Moment.progress(j.Nodes, die)})
	if err != nil {
		return err
	}
	_, err = Push(ctx, n, plan)
	return fmt.Errorf("the moment never came: %w", err)
}
