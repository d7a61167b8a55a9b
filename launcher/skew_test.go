package launcher

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher/control"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// strangeCluster is a cluster whose supervisor, a process that lives, answers every request with the same line.
func strangeCluster(t *testing.T, answer string) *Cluster {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	waited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(waited) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-waited })

	dir, err := os.MkdirTemp("", "skew") //nolint:usetesting // short, since a socket's path is
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	id := newID("c")
	run, err := makeRuntimeDir(len(id) + len(socketSuffix))
	require.NoError(t, err)
	socket := filepath.Join(run, id+socketSuffix)
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			var req control.Request
			if json.Unmarshal([]byte(line), &req) == nil {
				_, _ = conn.Write([]byte(answer + "\n"))
			}
			_ = conn.Close()
		}
	}()
	p, lock, err := lockPlace(t.TempDir(), "c")
	require.NoError(t, err)
	require.NoError(t, lock.Close())
	r := &Record{
		Schema: recordSchema, ID: id, State: Ready, Socket: socket, Supervisor: proc.Identify(cmd.Process.Pid),
		Spec: Spec{Cluster: "c", Nodes: []NodeSpec{{Name: "node1@127.0.0.1"}}}, Nodes: []NodeRecord{{Name: "node1@127.0.0.1"}},
	}
	require.NoError(t, r.write(p))
	return &Cluster{place: p, record: r}
}

// TestOtherVersions: a supervisor that doesn't understand is named as what is wrong, and can be stopped all the same.
func TestOtherVersions(t *testing.T) {
	for name, answer := range map[string]string{
		"newer": `{"error":{"code":"version","message":"the supervisor speaks version 2 of the control protocol, the client 1"}}`,
		"older": `{"error":{"code":"unknown","message":"the supervisor doesn't know \"change\""}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := strangeCluster(t, answer)
			_, err := c.Status(t.Context())
			require.ErrorIs(t, err, ErrSkew)
			err = c.RestartNodes(t.Context(), ChangeConfig{})
			require.ErrorIs(t, err, ErrSkew)
			var f *checks.Finding
			require.ErrorAs(t, err, &f)
			assert.Contains(t, f.What, `was started by another version of beamctl`)
			assert.Contains(t, f.Saw, "the supervisor")

			supervisor := c.record.Supervisor
			rep, err := c.Stop(t.Context(), StopConfig{})
			require.NoError(t, err)
			assert.True(t, rep.Forced)
			assert.False(t, supervisor.Alive())
			assert.NoDirExists(t, string(c.place))
		})
	}
}

// TestNovelties: what a newer supervisor says more is no reason not to understand the rest.
func TestNovelties(t *testing.T) {
	c := strangeCluster(t, `{"result":{"cluster":"c","state":"ready","mood":"good","nodes":[{"name":"node1@127.0.0.1","state":"up","shoe":42}]},"more":1}`)
	st, err := c.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "up", st.Nodes[0].State)
}

// TestRecordOfAnotherVersion: a cluster whose record has another schema is still seen, named, and ended when that is asked for.
func TestRecordOfAnotherVersion(t *testing.T) {
	c := strangeCluster(t, `{}`)
	w := Where{StateDir: parentDir(c.place)}
	t.Setenv("BEAMCTL_RUNTIME_DIR", filepath.Dir(c.record.Socket))
	require.NoError(t, writeIndex(filepath.Dir(c.record.Socket), c.record.ID, c.place))
	b, err := os.ReadFile(c.place.record())
	require.NoError(t, err)
	var r map[string]any
	require.NoError(t, json.Unmarshal(b, &r))
	r["schema"], r["state"], r["nodes"], r["socket"] = recordSchema+1, 17, "elsewhere", []string{"new"}
	b, err = json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.place.record(), b, 0o600))

	all := All()
	require.Len(t, all, 1)
	assert.Equal(t, "c", all[0].Name())
	assert.Equal(t, Skewed, all[0].Record().State)
	_, err = Open(w)
	require.ErrorIs(t, err, ErrSkew)
	assert.Contains(t, err.Error(), "schema 2, this version knows 1")

	done, err := Clean(t.Context(), CleanConfig{Where: w})
	require.NoError(t, err)
	assert.Empty(t, done, "it lives")
	found, err := Find(w)
	require.NoError(t, err)
	rep, err := found.Stop(t.Context(), StopConfig{})
	require.NoError(t, err)
	assert.True(t, rep.Forced)
	assert.False(t, c.record.Supervisor.Alive())
	assert.NoDirExists(t, string(c.place))
	assert.Empty(t, All())
}
