package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"

	"github.com/beamctl/beamctl/node/remsh/remshtest"
)

// seat is beamctl at a terminal of its own.
type seat struct {
	*remshtest.Screen
	t        *testing.T
	cmd      *exec.Cmd
	ptm, tty *os.File
	before   *term.State
	read     chan struct{} // closed when all is read
}

// sit runs beamctl at a terminal of 80x24.
func (w *world) sit(t *testing.T, args ...string) *seat {
	t.Helper()
	ptm, tty, err := pty.Open()
	require.NoError(t, err)
	s := &seat{Screen: remshtest.New(80, 24), t: t, cmd: w.cmd(args...), ptm: ptm, tty: tty, read: make(chan struct{})}
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Cols: 80, Rows: 24}))
	s.before, err = term.GetState(int(tty.Fd()))
	require.NoError(t, err)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, s.cmd.Start())
	go func() {
		defer close(s.read)
		_, _ = io.Copy(s.Screen, ptm)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = tty.Close()
		_ = ptm.Close()
		<-s.read
	})
	return s
}

func (s *seat) types(keys string) {
	s.t.Helper()
	_, err := s.ptm.WriteString(keys)
	require.NoError(s.t, err)
}

// left waits for the end, when the terminal has to be as it was, and returns the exit code.
func (s *seat) left() int {
	s.t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(s.t, err)
	}
	after, err := term.GetState(int(s.tty.Fd()))
	require.NoError(s.t, err)
	assert.Equal(s.t, s.before, after, "the terminal is as it was")
	s.Until(s.t, "the end of bracketed paste", func([]string) bool { return strings.Contains(s.Raw(), "\x1b[?2004l") })
	assert.Empty(s.t, s.Unknown())
	return s.cmd.ProcessState.ExitCode()
}

// piped runs beamctl with an input.
func (w *world) piped(in string, args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := w.cmd(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestShell(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q", "-n", "2")
	defer w.ok("stop", "-q")

	t.Run("pipe", func(t *testing.T) {
		assert.Equal(t, result{0, "'node1@127.0.0.1'\n", ""}, w.piped("node().\n", "shell"))
		assert.Equal(t, result{0, "ok\n{ok,red}\n['node1@127.0.0.1']\n", ""}, w.piped("kv:put(c, red).\nkv:get(c).\nnodes().", "shell", "node2"))
		assert.Equal(t, result{0, "2\n", ""}, w.piped("1+1.\n", "shell", "node2@127.0.0.1", "--lang", "erlang"))
		for _, tc := range []struct {
			args []string
			code int
			says string
		}{
			{[]string{"node1", "--lang", "elixir"}, exitFailed, "Elixir does not run there"},
			{[]string{"node1", "--lang", "perl"}, exitUsage, "erlang, elixir"},
			{[]string{"node1", "node2"}, exitUsage, "shell opens one node's"},
			{[]string{"node9"}, exitNoCluster, "there are node1, node2"},
			{[]string{"node1", "-o", "json"}, exitUsage, "--output"},
		} {
			r := w.piped("1.\n", append([]string{"shell"}, tc.args...)...)
			assert.Equal(t, tc.code, r.code, "%v", tc.args)
			assert.Contains(t, r.err, tc.says, "%v", tc.args)
			assert.Empty(t, r.out)
		}
	})

	t.Run("attached", func(t *testing.T) {
		other := newWorld(t, "")
		var env map[string]string
		require.NoError(t, json.Unmarshal([]byte(w.ok("env", "-o", "json")), &env))
		cookie := env["BEAMCTL_COOKIE_FILE"]
		other.env = append(other.env, "ERL_EPMD_PORT="+env["ERL_EPMD_PORT"])
		for _, args := range [][]string{
			{"node2@127.0.0.1", "--cookie-file", cookie},
			{"--attach", "node2@127.0.0.1,node1@127.0.0.1", "--cookie-file", cookie},
			{"node2", "--attach", "node1@127.0.0.1,node2@127.0.0.1", "--cookie-file", cookie},
		} {
			assert.Equal(t, result{0, "'node2@127.0.0.1'\n", ""}, other.piped("node().\n", append([]string{"shell"}, args...)...), "%v", args)
		}
	})

	const prompt = "(node2@127.0.0.1)"
	t.Run("terminal", func(t *testing.T) {
		s := w.sit(t, "shell", "node2")
		s.Wait(t, prompt+"1>")
		assert.Equal(t, "Connected to node2@127.0.0.1 (OTP 25). Ctrl-D leaves, Ctrl-\\ at any time, and the node goes on; q() would stop it. "+prompt+"1>",
			strings.Join(strings.Fields(strings.Join(s.Lines(), " ")), " "))
		s.types("1 + 2.\r")
		s.Wait(t, "3", prompt+"2>")
		s.types("\x1b[A\x1b[D\x1b[D3")
		s.Wait(t, prompt+"2> 1 + 32.")
		s.types("\r")
		s.Wait(t, "33", prompt+"3>")
		s.types("kv:ge\t")
		s.Wait(t, prompt+"3> kv:get(")
		s.types("c).\r")
		s.Wait(t, "{ok,red}", prompt+"4>")
		require.NoError(t, pty.Setsize(s.tty, &pty.Winsize{Cols: 60, Rows: 24}))
		s.Resize(60, 24)
		eventually(t, "the shell knows the new size", func() bool {
			s.types("io:columns().\r")
			s.Until(t, "an answer", func(lines []string) bool { return strings.HasPrefix(lines[len(lines)-2], "{ok,") })
			return s.Lines()[len(s.Lines())-2] == "{ok,60}"
		})
		s.types("f(), (fun F() -> F() end)().\r")
		s.Until(t, "evaluation", func(lines []string) bool { return strings.HasSuffix(lines[len(lines)-1], "end)().") })
		s.types("\x03")
		s.Until(t, "interrupted", func(lines []string) bool { return lines[len(lines)-2] == "** exception exit: killed" })
		s.types("\x04")
		assert.Equal(t, 0, s.left())
		assert.Equal(t, "'node2@127.0.0.1'\n", w.ok("rpc", "node2", "erlang:node()"))
	})

	t.Run("signals", func(t *testing.T) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			s := w.sit(t, "shell", "node2", "-q")
			s.Wait(t, prompt+"1>")
			s.types("half a line")
			s.Wait(t, prompt+"1> half a line")
			require.NoError(t, s.cmd.Process.Signal(sig))
			assert.Equal(t, exitInterrupted, s.left(), sig)
		}
	})

	t.Run("stopped and killed", func(t *testing.T) {
		s := w.sit(t, "shell", "node2", "-q")
		s.Wait(t, prompt+"1>")
		pid := w.status().Nodes[1].Pid
		w.stopProcess(pid)
		s.types("\x03")
		s.Wait(t, "*** node2@127.0.0.1 does not answer. Ctrl-\\ leaves.")
		s.types("\x1c")
		assert.Equal(t, 0, s.left())
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))

		s = w.sit(t, "shell", "node2", "-q")
		s.Wait(t, prompt+"1>")
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		assert.Equal(t, exitNoCluster, s.left())
		s.Until(t, "the cause", func(lines []string) bool {
			text := strings.Join(lines, "\n")
			return strings.Contains(text, "beamctl: the connection to node2@127.0.0.1 is lost") && strings.Contains(text, "crashed at")
		})
	})
}

func TestShellIEx(t *testing.T) {
	w := newWorld(t, "elixir-counter")
	w.ok("start", "-q", "-n", "1")
	defer w.ok("stop", "-q")
	assert.Equal(t, result{0, "5\n6\n", ""}, w.piped("x = Counter.increment(5)\nx + 1\n", "shell"))
	assert.Equal(t, result{0, "'node1@127.0.0.1'\n", ""}, w.piped("node().\n", "shell", "--lang", "erlang"))
	assert.Equal(t, result{exitFailed, "", "beamctl: the input ended in the middle of an expression\n"}, w.piped("node().\n", "shell"))

	s := w.sit(t, "shell", "-q")
	s.Wait(t, "iex(node1@127.0.0.1)1>")
	s.types("Counter.inc\t")
	s.Wait(t, "iex(node1@127.0.0.1)1> Counter.increment")
	s.types("(2)\r")
	s.Wait(t, "7", "iex(node1@127.0.0.1)2>")
	s.types("\x04")
	assert.Equal(t, 0, s.left())
}
