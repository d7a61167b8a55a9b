package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node/nodetest"
)

// TestUsersOwnEPMD: a user's epmd, and a node registered there under a name that the cluster uses, too, live through a
// cluster's whole life, and the cluster neither shows there nor starts another.
func TestUsersOwnEPMD(t *testing.T) {
	standard := listens(epmd.DefaultPort)

	port := freePort(t)
	addr := "127.0.0.1:" + port
	home := t.TempDir()
	client := &epmd.Client{Addr: addr}
	names := func() []epmd.NamePort {
		n, err := client.Names(t.Context())
		require.NoError(t, err)
		return n
	}
	daemon := exec.CommandContext(t.Context(), "epmd", "-address", "127.0.0.1", "-port", port)
	require.NoError(t, daemon.Start())
	eventually(t, "epmd answers", func() bool { _, err := client.Names(t.Context()); return err == nil })
	own := exec.CommandContext(t.Context(), "erl", "-name", "node1@127.0.0.1", "-setcookie", "mine", "-noinput")
	own.Env = append(os.Environ(), "ERL_EPMD_PORT="+port, "HOME="+home)
	require.NoError(t, own.Start())
	t.Cleanup(func() {
		_ = own.Process.Kill()
		_ = own.Wait()
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	eventually(t, "the user's node is registered", func() bool { return len(names()) == 1 })
	mine := names()

	w := newWorld(t, "erlang-kv")
	w.env = append(w.env, "ERL_EPMD_PORT="+port)
	w.ok("start", "-q")
	assert.Equal(t, mine, names(), "while the cluster runs")
	_, _, code := w.health()
	assert.Equal(t, exitOK, code)
	assert.Contains(t, w.inNode("node()"), "node1@127.0.0.1")
	w.ok("stop", "-q")

	assert.Equal(t, mine, names(), "afterwards")
	require.NoError(t, own.Process.Signal(syscall.Signal(0)), "the user's node")
	assert.Empty(t, w.epmds(), "no other epmd")
	assert.Equal(t, standard, listens(epmd.DefaultPort))
}

// epmds returns the processes that are an epmd and were started by something in this world: its environment tells.
func (w *world) epmds() []int {
	mark := []byte("XDG_RUNTIME_DIR=" + filepath.Join(filepath.Dir(w.dir), "run"))
	return processes(func(pid string) bool {
		comm, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		env, _ := os.ReadFile(filepath.Join("/proc", pid, "environ"))
		return err == nil && string(bytes.TrimSpace(comm)) == "epmd" && bytes.Contains(env, mark)
	})
}

// listens tells whether something listens on a port of the loopback interface.
func listens(port int) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// TestEPMD: real nodes and Erlang's own epmd command take ours for epmd.
func TestEPMD(t *testing.T) {
	w := newWorld(t, "")
	port := freePort(t)
	daemon := w.cmd("epmd", "--daemon", "--relaxed-command-check", "--port", port)
	out, err := daemon.CombinedOutput()
	require.NoError(t, err, "%s", out)
	again := w.run("epmd", "--daemon", "--port", port)
	assert.Equal(t, exitOK, again.code)
	assert.Contains(t, again.err, "answers already")
	taken := w.run("epmd", "--port", port)
	assert.Equal(t, exitNoStart, taken.code)
	assert.Contains(t, taken.err, "is held by pid")

	w.env = append(w.env, "ERL_EPMD_PORT="+port)
	names := func() string {
		cmd := exec.CommandContext(t.Context(), "epmd", "-names")
		cmd.Env = w.env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	assert.Contains(t, names(), "up and running on port "+port)
	erl := exec.CommandContext(t.Context(), "erl", "-name", "real@127.0.0.1", "-setcookie", "x", "-start_epmd", "false", "-noinput")
	erl.Env = append(w.env, "HOME="+t.TempDir())
	require.NoError(t, erl.Start())
	t.Cleanup(func() { _ = erl.Process.Kill(); _ = erl.Wait() })
	eventually(t, "the node is registered", func() bool { return strings.Contains(names(), "name real at port ") })
	assert.Contains(t, w.ok("epmd", "names"), "real  ")
	assert.Contains(t, w.ok("epmd", "names", "-o", "json"), `"name": "real"`)

	kill := exec.CommandContext(t.Context(), "epmd", "-kill")
	kill.Env = w.env
	out, err = kill.CombinedOutput()
	require.NoError(t, err, "%s", out)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	eventually(t, "it is gone", func() bool { return !listens(number) })
	gone := w.run("epmd", "names")
	assert.Equal(t, exitNoCluster, gone.code)
	assert.Contains(t, gone.err, "no EPMD answers")
}

// closedPort returns a port on which nothing listens during the test.
func closedPort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(nodetest.ClosedAddr(t))
	require.NoError(t, err)
	return port
}

// freePort returns a port on which nothing listens now.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := unusedPort()
	require.NoError(t, err)
	return port
}

func unusedPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
