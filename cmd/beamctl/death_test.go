package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// killed starts a cluster whose nodes have children, kills one process of it, and waits until nothing runs any more.
func killed(t *testing.T, w *world, which func(launcher.Record) int) {
	t.Helper()
	w.ok("start")
	w.inNode(`spawn(fun() -> open_port({spawn, "sleep 1001"}, []), receive stop -> ok end end)`)
	rec := w.record()
	victim := which(rec)
	require.True(t, alive(victim))
	require.NoError(t, syscall.Kill(victim, syscall.SIGKILL))
	eventually(t, "the whole subtree goes with it", func() bool { return len(marked(rec.ID)) == 0 })
}

func TestSupervisorKilled(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	killed(t, w, func(r launcher.Record) int { return r.Supervisor.Pid })
	st := w.run("status")
	assert.Equal(t, exitNoCluster, st.code)
	assert.Contains(t, st.err, "its supervisor is gone")
	r, code := w.diagnose()
	assert.Equal(t, exitFailed, code)
	require.Len(t, r.Findings, 1, "what the nodes' end follows from is told, and no more")
	assert.Equal(t, "cluster kv does not run", r.Findings[0].What)
	assert.Equal(t, "the supervisor was killed", r.Findings[0].Cause)
	assert.Empty(t, r.Nodes)
	assert.Contains(t, w.ok("list"), "dead")
	assert.Contains(t, w.ok("stop"), "nothing is left")
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
	assert.NoDirExists(t, filepath.Join(filepath.Dir(w.dir), "run", "beamctl"))
}

func TestGuardianKilled(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	killed(t, w, func(r launcher.Record) int { return r.Guardian.Pid })
	st := w.run("status")
	assert.Equal(t, exitNoCluster, st.code)
	assert.Contains(t, st.err, "the guardian process was killed; the nodes ended with it; `beamctl stop` or `beamctl clean` clears away")
	assert.Contains(t, w.ok("list"), "dead")
	assert.Contains(t, w.ok("stop"), "nothing is left")
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
}

// TestKilledBehindScripts: also a VM that is the grandchild of a script, and may have become another user's on the way, goes with
// supervisor or guardian.
func TestKilledBehindScripts(t *testing.T) {
	shell := "sh"
	if os.Getuid() == 0 {
		shell = "su, root" // whose own session it has, and no death signal
	}
	w := newWorld(t, "")
	w.write("beamctl.yaml", "count: 1\nruntime: command\ncommand: ["+shell+", -c, \"sh -c 'erl -noinput; true'; true\"]\n")
	for _, which := range []func(launcher.Record) int{supervisorPid, guardianPid} {
		killed(t, w, which)
		w.ok("clean")
	}
}

// TestStartAfterDeath: also at once, while the guardian is still ending what there was.
func TestStartAfterDeath(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	killed(t, w, func(r launcher.Record) int { return r.Supervisor.Pid })
	w.ok("start")
	require.NoError(t, syscall.Kill(w.record().Supervisor.Pid, syscall.SIGKILL))
	w.ok("start")
	for _, n := range w.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State)
	}
	w.ok("stop")
}

// TestFilesRemovedInStart: what a start goes on making is cleared away as well.
func TestFilesRemovedInStart(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	cmd := w.cmd("start")
	require.NoError(t, cmd.Start())
	nodes := filepath.Join(w.dir, ".beamctl", "kv", "nodes")
	eventually(t, "the nodes start", func() bool { _, err := os.Stat(nodes); return err == nil })
	id := w.ids()[0]
	// A node that starts in this moment makes its directory anew. All in two system calls: the cluster may be gone in the next moment.
	made, gone := filepath.Join(filepath.Dir(w.dir), "made"), filepath.Join(filepath.Dir(w.dir), "gone")
	require.NoError(t, os.MkdirAll(filepath.Join(made, "kv", "nodes"), 0o700))
	require.NoError(t, os.Rename(filepath.Join(w.dir, ".beamctl"), gone))
	require.NoError(t, os.Rename(made, filepath.Join(w.dir, ".beamctl")))
	_ = cmd.Wait()
	eventually(t, "the cluster ends", func() bool { return len(marked(id)) == 0 })
	eventually(t, "nothing is left", func() bool { _, err := os.Stat(filepath.Join(w.dir, ".beamctl")); return os.IsNotExist(err) })
	require.NoError(t, os.RemoveAll(gone))
}

// TestFilesRemoved: who removes a project removes its cluster; one that is started in the same place meanwhile is another.
func TestFilesRemoved(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	old := w.record().ID
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, ".beamctl")))
	w.ok("start", "-n", "1")
	require.NotEqual(t, old, w.record().ID)
	eventually(t, "the old cluster ends", func() bool { return len(marked(old)) == 0 })
	assert.Equal(t, "up", w.status().Nodes[0].State, "the new one runs on")
	w.ok("stop")
	assert.NoDirExists(t, filepath.Join(filepath.Dir(w.dir), "run", "beamctl"))
}

func TestNodeKilled(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	require.NoError(t, syscall.Kill(w.record().Nodes[1].Process.Pid, syscall.SIGKILL))
	w.crashed(1)
	st := w.status()
	assert.Contains(t, st.Nodes[1].Exit, "signal 9")
	assert.Contains(t, st.Nodes[1].Cause, "SIGKILL")
	for _, args := range [][]string{{"rpc", "node2", "erlang:node()"}, {"shell", "node2"}} {
		r := w.run(args...)
		assert.Equal(t, exitNoCluster, r.code)
		assert.Regexp(t, `node2@127.0.0.1 does not run\n  saw   crashed at [0-9: -]+: killed by signal 9`, r.err, "%v", args)
		assert.Contains(t, r.err, "beamctl start node2", "%v", args)
	}
	assert.Contains(t, w.run("exec", "--", "true").err, "SIGKILL")
	assert.Regexp(t, `kv +ready +2 of 3 up`, w.ok("list"))
	assert.Zero(t, st.Nodes[1].Port)
	assert.Equal(t, launcher.NodeUp, st.Nodes[0].State, "the others go on")
	assert.Equal(t, launcher.NodeUp, st.Nodes[2].State)
	w.ok("stop")
}

func TestNodeThatHangs(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	node2 := w.record().Nodes[1].Process.Pid
	w.stopProcess(node2)
	st := w.status()
	assert.Equal(t, launcher.NodeUnreachable, st.Nodes[1].State)
	assert.Equal(t, "stands still: somebody has sent it SIGSTOP, or a debugger holds it", st.Nodes[1].Problem)
	diagnosis := w.run("diagnose", "--sample", "50ms", "--timeout", "2s")
	for _, r := range []result{
		w.run("status"), w.run("rpc", "node2", "erlang:node()", "--timeout", "1s"), w.run("shell", "node2", "--timeout", "1s"),
		w.run("exec", "--", "true"), diagnosis,
	} {
		assert.Contains(t, r.out+r.err, "node2@127.0.0.1 stands still\n  saw   it does not answer: its process", "whoever is asked says the same")
		assert.Contains(t, r.out+r.err, fmt.Sprintf("kill -CONT %d", node2))
	}
	assert.Regexp(t, `node2@127.0.0.1 +stands still`, diagnosis.out, "it is not down")
	w.ok("stop")
	assert.False(t, alive(node2))
}

func TestSupervisorThatHangs(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start")
	rec := w.record()
	w.stopProcess(rec.Supervisor.Pid)
	st := w.run("status", "--timeout", "1s")
	assert.Equal(t, exitTimeout, st.code)
	assert.Contains(t, st.err, "the supervisor does not answer\n  saw   process")
	assert.Contains(t, st.err, fmt.Sprintf("kill -CONT %d", rec.Supervisor.Pid))
	require.NoError(t, syscall.Kill(rec.Guardian.Pid, syscall.SIGKILL)) // nobody is left to end the nodes
	stop := w.run("stop")
	assert.Equal(t, exitOK, stop.code, stop.err)
	assert.Contains(t, stop.err, "did not answer; what it left was ended by its marker")
	assert.Empty(t, marked(rec.ID))
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
}

// TestInterruptedStart interrupts at one moment after the other: nothing may be left whenever it is.
func TestInterruptedStart(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			w := newWorld(t, "erlang-kv")
			w.ok("start") // so that it is built
			w.ok("stop")
			before := files(t, filepath.Dir(w.dir))
			for delay := 2 * time.Millisecond; delay < 250*time.Millisecond; delay *= 2 {
				cmd := w.cmd("start")
				var errs bytes.Buffer
				cmd.Stderr = &errs
				require.NoError(t, cmd.Start())
				time.Sleep(delay)
				ids := w.ids()
				require.NoError(t, cmd.Process.Signal(sig))
				_ = cmd.Wait()
				if cmd.ProcessState.ExitCode() == exitOK { // we were so late that it was over
					w.ok("stop")
				} else if sig == syscall.SIGINT {
					assert.Contains(t, []int{exitInterrupted, -1}, cmd.ProcessState.ExitCode(), "%s: %s", delay, errs.String()) // -1: before it listened for signals
					assert.NotContains(t, errs.String(), "no such file")
				}
				ids = append(ids, w.ids()...)
				eventually(t, "nothing runs", func() bool {
					for _, id := range ids {
						if len(marked(id)) > 0 {
							return false
						}
					}
					return true
				})
				left := func() []string {
					return slices.DeleteFunc(files(t, filepath.Dir(w.dir)), func(f string) bool { return slices.Contains(before, f) })
				}
				if sig == syscall.SIGKILL { // it may hit between making the directory and starting the supervisor
					eventually(t, "clean removes what is left", func() bool { w.ok("clean"); return len(left()) == 0 })
				}
				assert.Empty(t, left(), "after %s", delay)
			}
		})
	}
}

func TestCleanLeavesTheLivingAlone(t *testing.T) {
	living, dead := newWorld(t, "erlang-kv"), newWorld(t, "erlang-kv")
	dead.env = living.env // one user's index has both
	living.ok("start")
	killedID := func() string {
		dead.ok("start")
		r := dead.record()
		require.NoError(t, syscall.Kill(r.Supervisor.Pid, syscall.SIGKILL))
		eventually(t, "it is dead", func() bool { return len(marked(r.ID)) == 0 })
		return r.ID
	}()
	out := living.ok("clean") // from another directory: the index knows
	assert.Contains(t, out, dead.dir)
	assert.NotContains(t, out, living.dir)
	assert.NoDirExists(t, filepath.Join(dead.dir, ".beamctl"))
	assert.Empty(t, marked(killedID))
	for _, n := range living.status().Nodes {
		assert.Equal(t, launcher.NodeUp, n.State)
	}
	assert.Contains(t, living.ok("clean", "--all", "--dry-run"), "would stop kv: cluster")
	assert.Contains(t, living.ok("clean", "--all"), "stopped kv: cluster")
	assert.NoDirExists(t, filepath.Join(living.dir, ".beamctl"))
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("state/kv/thesis.tex", "years of work")
	r := w.run("start", "--state-dir", "state")
	assert.Equal(t, exitNoStart, r.code)
	assert.Contains(t, r.err, "not beamctl's")
	w.run("clean", "--state-dir", "state")
	b, err := os.ReadFile(filepath.Join(w.dir, "state", "kv", "thesis.tex"))
	require.NoError(t, err)
	assert.Equal(t, "years of work", string(b))
	assert.NotContains(t, w.ok("list"), "kv")
}
