package conformance

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
	"github.com/beamctl/beamctl/node"
)

// Every case of the suite has its nodes registered with our EPMD; here are the release's other clients of one.
var epmdCases = []Case{
	{"`epmd -names` lists our EPMD's nodes", epmdNames},
	{"`erl_call` (erl_interface) finds a node by our EPMD", erlCall},
	{"nodes find each other by our EPMD, and its registry shows their end", epmdRegistry},
	{"the node registers again when our EPMD restarts", epmdRestarts},
	{"our node registers with its `epmd`, again when that restarts", itsEPMD},
}

// run runs one of the release's programs in the case's cluster, and returns what it prints.
func (e *Env) run(program string, args ...string) (string, error) {
	e.t.Helper()
	home := e.t.TempDir()
	require.NoError(e.t, os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(e.Cluster().Cookie.Secret()), 0o400))
	cmd := exec.CommandContext(e.t.Context(), e.Program(program), args...) //nolint:gosec // a test's own
	cmd.Env = append(os.Environ(), e.Cluster().EPMD.Env(), "HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func epmdNames(t *testing.T, e *Env) {
	p := e.Peer()
	reg, err := e.Cluster().EPMD.Client().Lookup(t.Context(), "a")
	require.NoError(t, err)
	out, err := e.run("epmd", "-names")
	require.NoError(t, err, out)
	assert.Contains(t, out, "name a at port "+strconv.Itoa(int(reg.Port))+"\n", p.Name)
}

func erlCall(t *testing.T, e *Env) {
	p := e.Peer()
	out, err := e.run("erl_call", "-n", p.Name, "-a", "erlang node")
	require.NoError(t, err, out)
	assert.Equal(t, "'"+p.Name+"'", strings.TrimSpace(out))
	out, err = e.run("erl_call", "-n", "nobody@127.0.0.1", "-a", "erlang node")
	require.Error(t, err, out)
}

func epmdRegistry(t *testing.T, e *Env) {
	p, b := e.Peer(), e.Erl("b")
	e.Cluster().Node(b) // listens
	out, err := e.run("erl", "-name", "asker@127.0.0.1", "-hidden", "-start_epmd", "false", "-noinput", "-eval",
		"io:format(\"~p ~p\", [net_adm:ping('"+p.Name+"'), net_adm:ping('"+b.Name+"')]), halt().")
	require.NoError(t, err, out)
	assert.Equal(t, "pong pong", out)
	b.Kill()
	require.Eventually(t, func() bool {
		names, err := e.Cluster().EPMD.Client().Names(t.Context())
		return err == nil && len(names) == 1 && names[0].Name == "a"
	}, caseTime/2, 5*time.Millisecond)
}

func epmdRestarts(t *testing.T, e *Env) {
	p := e.Peer()
	at := e.Cluster().EPMD
	require.NoError(t, at.Server.Close())
	again := epmdtest.StartAt(t, at.Addr, epmd.Config{})
	// Where a release has it, erl_epmd tries every 2 s.
	const most = 6 * time.Second
	for end := time.Now().Add(most); ; time.Sleep(tick) {
		if reg, err := again.Client().Lookup(t.Context(), "a"); err == nil {
			assert.NotZero(t, reg.Port)
			return
		}
		if e.Major < 24 && time.Now().After(end) {
			e.Note("no")
			require.NoError(t, p.Node.Ping(t.Context(), p.Name), "the connection has nothing to do with it")
			return
		}
		require.True(t, time.Now().Before(end.Add(caseTime/2)), "not registered again")
	}
}

// itsEPMD runs the release's epmd, on a port of its own, in the foreground: so it ends with the case.
func itsEPMD(t *testing.T, e *Env) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	client := &epmd.Client{Addr: addr}
	start := func() (stop func()) {
		cmd := exec.CommandContext(t.Context(), e.Program("epmd"), "-port", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), "-address", "127.0.0.1")
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { _, err := client.Names(t.Context()); return err == nil }, caseTime/2, tick)
		return func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	}
	stop := start()
	n, bound := e.Open(node.Config{Name: goName}, node.ListenConfig{EPMD: addr})
	registered := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			reg, err := client.Lookup(t.Context(), "go")
			return err == nil && bound == net.JoinHostPort("127.0.0.1", strconv.Itoa(int(reg.Port)))
		}, caseTime/2, tick)
	}
	registered()
	stop()
	stop = start()
	defer stop()
	registered()
	require.NoError(t, n.Close())
	require.Eventually(t, func() bool {
		_, err := client.Lookup(t.Context(), "go")
		return errors.Is(err, epmd.ErrNotRegistered)
	}, caseTime/2, tick)
}
