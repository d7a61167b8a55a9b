package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every case of the suite has its nodes registered with our EPMD; here are the release's other clients of one.
var epmdCases = []Case{
	{"`epmd -names` lists our EPMD's nodes", epmdNames},
	{"`erl_call` (erl_interface) finds a node by our EPMD", erlCall},
	{"nodes find each other by our EPMD, and its registry shows their end", epmdRegistry},
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
