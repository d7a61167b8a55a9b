package codesync

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// tick is how often a test looks whether what it waits for has come.
const tick = 20 * time.Millisecond

// caseTime bounds one case, boots included, on a busy machine.
const caseTime = 6 * time.Minute

// bench is a cluster to push to, and a folder of compiled modules.
type bench struct {
	t     testing.TB
	r     nodetest.Release
	c     *nodetest.Cluster
	dir   string
	args  []string
	n     *node.Node
	erls  []*nodetest.Erl
	nodes []string
	ctx   context.Context
}

// newBench boots connected nodes of the release, each with the bench's folder in its code path.
func newBench(t testing.TB, r nodetest.Release, count int, args ...string) *bench {
	t.Helper()
	b := &bench{t: t, r: r, c: nodetest.New(t), dir: t.TempDir()}
	b.args = append([]string{"-pa", b.dir}, args...)
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(t.Context(), caseTime)
	if _, long := t.(*testing.B); long {
		b.ctx = t.Context()
	}
	t.Cleanup(cancel)
	for i := range count {
		e := b.c.ErlOf(r.Bin, string(rune('a'+i)), b.args...)
		b.erls, b.nodes = append(b.erls, e), append(b.nodes, e.Name)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("output of %s:\n%s", e.Name, e.Output())
			}
		})
	}
	b.n = b.c.Node(b.erls...)
	b.mesh()
	return b
}

// mesh connects all nodes with each other.
func (b *bench) mesh() {
	b.t.Helper()
	for i, name := range b.nodes {
		for _, other := range b.nodes[:i] {
			require.Equal(b.t, etf.Atom("pong"), b.call(name, "net_adm", "ping", etf.Atom(other)))
		}
	}
}

// again boots a node that has ended.
func (b *bench) again(i int) {
	b.t.Helper()
	alive, _, _ := strings.Cut(b.nodes[i], "@")
	b.erls[i] = b.c.ErlOf(b.r.Bin, alive, b.args...)
	_ = b.c.Node(b.erls[i]).Close() // it has booted
	b.mesh()
}

func (b *bench) call(name string, module, function etf.Atom, args ...etf.Term) etf.Term {
	b.t.Helper()
	got, err := b.n.Call(b.ctx, name, module, function, args...)
	require.NoError(b.t, err)
	return got
}

// compile compiles module.erl with the text into a folder, that of the bench if dir is "".
func (b *bench) compile(dir string, modules map[string]string) {
	b.t.Helper()
	if dir == "" {
		dir = b.dir
	}
	src := b.t.TempDir()
	args := []string{"+debug_info", "-o", dir}
	for name, text := range modules {
		path := filepath.Join(src, name+".erl")
		require.NoError(b.t, os.WriteFile(path, []byte("-module("+name+").\n"+text), 0o600))
		args = append(args, path)
	}
	cmd := exec.CommandContext(b.ctx, b.r.Program("erlc"), args...)
	out, err := cmd.CombinedOutput()
	require.NoError(b.t, err, "%s", out)
}

// set is what the bench's folder holds.
func (b *bench) set() Set {
	b.t.Helper()
	set, err := ReadDirs(b.ctx, b.dir)
	require.NoError(b.t, err)
	return set
}

func (b *bench) compare(opts Options) *Plan {
	b.t.Helper()
	plan, err := Compare(b.ctx, b.n, b.nodes, b.set(), opts)
	require.NoError(b.t, err)
	return plan
}

// push compares and pushes, which has to go well.
func (b *bench) push(opts Options) *Report {
	b.t.Helper()
	report, err := Push(b.ctx, b.n, b.compare(opts))
	require.NoError(b.t, err)
	return report
}

// versions of the source of a module with a value and a process that serves it.
func source(value string) string {
	return `-export([value/0, start/0, loop/0]).
		value() -> ` + value + `.
		start() -> spawn(fun loop/0).
		loop() -> receive {From, What} -> From ! {self(), value(), What}, ?MODULE:loop() end.`
}

// ask asks a process of source for its value.
func (b *bench) ask(name string, pid etf.Term) int64 {
	b.t.Helper()
	p, err := b.n.NewProcess()
	require.NoError(b.t, err)
	defer p.Exit(nil)
	us, err := p.Pid(b.ctx, name)
	require.NoError(b.t, err)
	require.NoError(b.t, p.Send(b.ctx, pid, etf.Tuple{us, etf.Atom("value")}))
	msg, err := p.Receive(b.ctx)
	require.NoError(b.t, err)
	var got struct {
		From  etf.Pid
		Value int64
		What  etf.Atom
	}
	require.NoError(b.t, etf.Assign(msg, &got))
	return got.Value
}

// server is the source of a gen_server that answers with its code's value and that of its state, which code_change makes the same.
func server(value string) string {
	return `-vsn({was, ` + value + `}).
		-export([start/0, init/1, handle_call/3, handle_cast/2, code_change/3]).
		start() -> {ok, P} = gen_server:start(?MODULE, [], []), P.
		init([]) -> {ok, ` + value + `}.
		handle_call({sleep, T}, _, S) -> timer:sleep(T), {reply, ok, S};
		handle_call(_, _, S) -> {reply, {` + value + `, S}, S}.
		handle_cast({set, S}, _) -> {noreply, S}.
		code_change({was, _}, S, []) when S < 100 -> {ok, ` + value + `};
		code_change(_, 200, []) -> erlang:error(boom);
		code_change(Vsn, _, []) -> {error, Vsn}.`
}
