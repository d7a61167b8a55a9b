package proc_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// start runs a shell command with a marker of its own and ends it with the test.
func start(t *testing.T, script, marker string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append(os.Environ(), "PROC_TEST_MARKER="+marker)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestIdentity(t *testing.T) {
	assert.True(t, proc.Self().Alive())

	cmd := start(t, "exec sleep 100", "identity")
	id := proc.Identify(cmd.Process.Pid)
	assert.True(t, id.Alive())

	reused := id
	reused.Start++
	assert.False(t, reused.Alive(), "a pid with another start time is another process")
	require.NoError(t, reused.Signal(syscall.SIGKILL))
	rebooted := id
	rebooted.Boot = "another boot"
	assert.False(t, rebooted.Alive(), "nothing survives a reboot")
	require.NoError(t, rebooted.Signal(syscall.SIGKILL))
	assert.True(t, id.Alive(), "neither may have been hit")

	require.NoError(t, id.Signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { return !id.Alive() }, time.Minute, time.Millisecond,
		"a zombie counts as dead, and nobody has waited for this one yet")
	_ = cmd.Wait()
	assert.NoError(t, id.Signal(syscall.SIGKILL), "gone is no error")
}

func TestMarkedAndDescendants(t *testing.T) {
	cmd := start(t, "sleep 100 & sleep 100 & wait", "family")
	find := func() ([]proc.ID, error) {
		m, err := proc.Marked("PROC_TEST_MARKER")
		return m["family"], err
	}
	require.Eventually(t, func() bool {
		ids, err := find()
		return err == nil && len(ids) == 3
	}, time.Minute, time.Millisecond)

	kids, err := proc.Descendants(cmd.Process.Pid)
	require.NoError(t, err)
	assert.Len(t, kids, 2)
	assert.Equal(t, "family", proc.Getenv(cmd.Process.Pid, "PROC_TEST_MARKER"))
	assert.Empty(t, proc.Getenv(cmd.Process.Pid, "PROC_TEST_MARK"), "a prefix is not the key")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, proc.KillAll(ctx, find))
	ids, err := find()
	require.NoError(t, err)
	assert.Empty(t, ids)
}

func TestKillAllNamesSurvivors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	immortal := proc.ID{Pid: 1, Start: 1} // never alive under this start time, so never hit
	err := proc.KillAll(ctx, func() ([]proc.ID, error) { return []proc.ID{immortal}, nil })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "still running: 1 (")
}

func TestUsage(t *testing.T) {
	page := int64(os.Getpagesize())
	begin, before := proc.Usage(os.Getpid())
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += int(page) {
		ballast[i] = 1
	}
	var cpu time.Duration
	require.Eventually(t, func() bool {
		for range 10_000_000 {
			ballast[0]++
		}
		_, cpu = proc.Usage(os.Getpid())
		return cpu > before
	}, time.Minute, time.Millisecond)
	after, _ := proc.Usage(os.Getpid())
	assert.GreaterOrEqual(t, after-begin, int64(60<<20)) // the race detector takes as much again
	resident, cpu := proc.Usage(-1)
	assert.Zero(t, resident)
	assert.Zero(t, cpu)
	assert.Equal(t, byte(1), ballast[page])
}
