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
)

// TestUsersOwnEPMD: a user's epmd, and a node registered there under a name that the cluster uses, too, live through a
// cluster's whole life, and the cluster neither shows there nor starts another.
func TestUsersOwnEPMD(t *testing.T) {
	standard := listens(epmd.DefaultPort)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, port, _ := strings.Cut(addr, ":")
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
	assert.NoError(t, own.Process.Signal(syscall.Signal(0)), "the user's node")
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
