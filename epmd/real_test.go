package epmd_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
)

// The peers of these tests are real: erl, erl_call and epmd of the installed OTP. Without them the tests fail.

// startEPMD runs the system's epmd as a child on a free loopback port until the test ends, and returns its address.
func startEPMD(t testing.TB, args ...string) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := l.Addr().String()
		require.NoError(t, l.Close())
		if runEPMD(t, addr, args...) { // nobody has taken what was free a moment ago
			return addr
		}
	}
}

// runEPMD runs an epmd at an address until the test ends, and tells when it answers; false: it has ended instead.
func runEPMD(t testing.TB, addr string, args ...string) bool {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	cmd := exec.Command("epmd", append([]string{"-port", port, "-address", "127.0.0.1"}, args...)...)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	c := &epmd.Client{Addr: addr}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err := c.Names(ctx)
		if err == nil {
			return true
		}
		require.NoError(t, ctx.Err(), "epmd does not answer: %v", err)
		select {
		case <-ended:
			return false
		case <-time.After(tick):
		}
	}
}

// beam runs Erlang programs that use the EPMD on one port and share a cookie, which is in a file of their home only.
type beam struct {
	env []string
}

func newBeam(t testing.TB, port int) *beam {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(rand.Text()), 0o400))
	return &beam{append(os.Environ(), "HOME="+home, "ERL_EPMD_PORT="+strconv.Itoa(port))}
}

func (b *beam) command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = b.env
	return cmd
}

// erl is the command for a node that evaluates an expression. It never starts an epmd, and listens on loopback.
func (b *beam) erl(t testing.TB, name, eval string, flags ...string) *exec.Cmd {
	t.Helper()
	args := append([]string{
		"-name", name + "@127.0.0.1", "-start_epmd", "false", "-noshell",
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-eval", eval,
	}, flags...)
	return b.command(t, "erl", args...)
}

// node is a running node. It ends when stop is called, or the test ends.
type node struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// start runs a node that prints "up" and what eval prints, and lives until its standard input ends.
func (b *beam) start(t testing.TB, name, eval string, flags ...string) *node {
	t.Helper()
	cmd := b.erl(t, name, `io:format("up~n"), `+eval+`, io:get_line(""), halt().`, flags...)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	n := &node{cmd, stdin, bufio.NewReader(stdout)}
	t.Cleanup(n.stop)
	require.Equal(t, "up", n.line(t))
	return n
}

func (n *node) line(t testing.TB) string {
	t.Helper()
	s, err := n.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(s)
}

func (n *node) stop() {
	_ = n.stdin.Close()
	_ = n.cmd.Wait()
}

// TestRealNodes: two nodes register with our server, find each other through it, connect, and go.
func TestRealNodes(t *testing.T) {
	events := make(chan string, 10)
	asked := make(chan string, 10)
	hook := func(what string) func(epmd.Node, string) {
		return func(n epmd.Node, asker string) { events <- what + " " + n.Name + " via " + asker }
	}
	e := epmdtest.StartConfig(t, epmd.Config{Hooks: epmd.Hooks{
		Registered: hook("came"), Gone: hook("went"),
		Lookup: func(asker string, n epmd.Node) epmd.Node { asked <- asker + " asks for " + n.Name; return n },
	}})
	// As in the launcher: each node has a port of its own, so that it is known who asks.
	beams := map[string]*beam{}
	for _, name := range []string{"n1", "n2"} {
		addr, err := e.Server.Listen("127.0.0.1:0", name)
		require.NoError(t, err)
		beams[name] = newBeam(t, addr.(*net.TCPAddr).Port)
	}
	beams["n2"].env = append(beams["n2"].env, homeOf(beams["n1"].env)) // one cookie

	n1 := beams["n1"].start(t, "n1", "ok")
	assert.Equal(t, "came n1 via n1", <-events)
	n2 := beams["n2"].start(t, "n2", `io:format("~p~n", [net_adm:ping('n1@127.0.0.1')]), io:format("~p~n", [net_adm:names()])`)
	assert.Equal(t, "came n2 via n2", <-events)
	assert.Equal(t, "pong", n2.line(t))
	assert.Equal(t, "n2 asks for n1", <-asked)
	assert.Contains(t, n2.line(t), `{"n1",`)

	nodes := e.Server.Nodes()
	require.Len(t, nodes, 2)
	for _, n := range nodes {
		assert.Equal(t, epmd.TypeNormal, n.Type)
		assert.GreaterOrEqual(t, n.HighestVersion, uint16(6))
		assert.NotZero(t, n.Creation)
		assert.NotZero(t, n.Port)
	}
	n1.stop()
	assert.Equal(t, "went n1 via n1", <-events)
	_, err := e.Client().Lookup(t.Context(), "n1")
	require.ErrorIs(t, err, epmd.ErrNotRegistered)
	n2.stop()
	assert.Equal(t, "went n2 via n2", <-events)
}

func homeOf(env []string) string {
	for _, v := range slices.Backward(env) {
		if strings.HasPrefix(v, "HOME=") {
			return v
		}
	}
	return ""
}

// TestRealCreation: the creation that our server gives is the node's: its pids carry it.
func TestRealCreation(t *testing.T) {
	e := epmdtest.Start(t)
	n := newBeam(t, e.Port).start(t, "x", `io:format("~p~n", [erlang:system_info(creation)])`)
	assert.Equal(t, strconv.FormatUint(uint64(e.Server.Nodes()[0].Creation), 10), n.line(t))
}

// TestRealNameTaken: the second node of a name ends, saying so.
func TestRealNameTaken(t *testing.T) {
	e := epmdtest.Start(t)
	b := newBeam(t, e.Port)
	b.start(t, "x", "ok")
	out, err := b.erl(t, "x", "halt().").CombinedOutput()
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // Cmd returns it bare
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "the name x@127.0.0.1 seems to be in use by another Erlang node")
	require.Len(t, e.Server.Nodes(), 1)
}

// TestRealHidden: a node of ours registered as hidden and an "erl -hidden" are found alike.
func TestRealHidden(t *testing.T) {
	e := epmdtest.Start(t)
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: "ours", Port: 4711, Type: epmd.TypeHidden})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	b := newBeam(t, e.Port)
	b.start(t, "h", "ok", "-hidden")
	n := b.start(t, "x", `io:format("~p~n", [erl_epmd:port_please("ours", {127,0,0,1})]), `+
		`io:format("~p ~p ~p~n", [net_adm:ping('h@127.0.0.1'), nodes(), nodes(hidden)])`)
	assert.Equal(t, "{port,4711,6}", n.line(t))
	assert.Equal(t, "pong [] ['h@127.0.0.1']", n.line(t))
}

// TestRealReRegister: nodes outlive our server and register again when it is back, within some 2 seconds.
func TestRealReRegister(t *testing.T) {
	e := epmdtest.Start(t)
	b := newBeam(t, e.Port)
	b.start(t, "n1", "ok")
	b.start(t, "n2", "ok")
	eventuallyNames(t, e.Client(), "n1", "n2")
	require.NoError(t, e.Server.Close())
	e = epmdtest.StartAt(t, e.Addr, epmd.Config{})
	eventuallyNames(t, e.Client(), "n1", "n2")
}

// TestEPMDCommand: the epmd command's questions are answered by our server as by its own.
func TestEPMDCommand(t *testing.T) {
	e := epmdtest.Start(t)
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: "x", Port: 4711})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	b := newBeam(t, e.Port)
	want := fmt.Sprintf("epmd: up and running on port %d with data:\nname x at port 4711\n", e.Port)
	for _, args := range [][]string{{"-names"}, {"-port", strconv.Itoa(e.Port), "-names"}} {
		out, err := b.command(t, "epmd", args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want, string(out))
	}
	// What epmd answers itself.
	out, err := b.command(t, "epmd", "-kill").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "Killing not allowed - living nodes in database.\n", string(out))
	out, err = b.command(t, "epmd", "-stop", "x").CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, "epmd: local epmd responded with <>\n", string(out))
	eventuallyNames(t, e.Client(), "x")

	e = epmdtest.StartConfig(t, epmd.Config{AllowKill: true})
	b = newBeam(t, e.Port)
	r, err = e.Client().Register(t.Context(), epmd.Node{Name: "x", Port: 4711})
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // nil
	out, err = b.command(t, "epmd", "-stop", "x").CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "STOPPED")
	<-r.Done()
	out, err = b.command(t, "epmd", "-kill").CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "Killed")
	<-e.Server.Done()
}

// TestErlCall: a C client (ei) finds a node through our server.
func TestErlCall(t *testing.T) {
	e := epmdtest.Start(t)
	b := newBeam(t, e.Port)
	b.start(t, "x", "ok")
	out, err := b.command(t, "erl_call", "-name", "x@127.0.0.1", "-a", "erlang node").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "'x@127.0.0.1'", string(out))
}
