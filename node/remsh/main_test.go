package remsh

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
	"github.com/beamctl/beamctl/node/remsh/remshtest"
)

var releasesFile = flag.String("releases", "", "file with the output of scripts/otp-releases.sh: the releases to test (default: erl on PATH)")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caseTime bounds one case, boots included, on a busy machine.
const caseTime = 5 * time.Minute

// tick is how often a test looks whether what it waits for has come.
const tick = 20 * time.Millisecond

func releases(t *testing.T) []nodetest.Release {
	t.Helper()
	return nodetest.Releases(t, *releasesFile)
}

// onReleases runs a test against a node of each release, all at the same time; for Elixir one with Elixir running.
func onReleases(t *testing.T, language Language, test func(t *testing.T, x *target)) {
	t.Helper()
	t.Parallel()
	for _, r := range releases(t) {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			test(t, boot(t, r, language))
		})
	}
}

// target is a real node, and ours.
type target struct {
	*nodetest.Erl
	t   *testing.T
	r   nodetest.Release
	n   *node.Node
	ctx context.Context
}

// boot starts a node of the release, for Elixir with Elixir running.
func boot(t *testing.T, r nodetest.Release, language Language) *target {
	t.Helper()
	c := nodetest.New(t)
	var args []string
	if language == Elixir {
		out, err := exec.CommandContext(t.Context(), r.Program("elixir"), "-e", "IO.write(:code.lib_dir(:elixir))").Output()
		require.NoError(t, err)
		dirs, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "..", "*", "ebin"))
		require.NoError(t, err)
		args = append(append([]string{"-pa"}, dirs...), "-eval", "{ok, _} = application:ensure_all_started(elixir)")
	}
	e := c.ErlOf(r.Bin, "n", args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of %s:\n%s", e.Name, e.Output())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), caseTime)
	t.Cleanup(cancel)
	x := &target{e, t, r, c.Node(e), ctx}
	x.eventually("Elixir runs", func() bool { s := x.open(""); return s.Language == language })
	return x
}

func (x *target) open(language Language) *Shell {
	x.t.Helper()
	s, err := Open(x.ctx, x.n, x.Name, language)
	require.NoError(x.t, err)
	assert.Equal(x.t, x.r.Major, s.OTP)
	return s
}

func (x *target) eventually(what string, ok func() bool) {
	x.t.Helper()
	require.Eventually(x.t, ok, caseTime/2, tick, what)
}

func (x *target) call(module, function etf.Atom, args ...etf.Term) etf.Term {
	x.t.Helper()
	got, err := x.n.Call(x.ctx, x.Name, module, function, args...)
	require.NoError(x.t, err)
	return got
}

// count is how many processes (process_count) or atoms there are.
func (x *target) count(what etf.Atom) int64 {
	x.t.Helper()
	n, ok := x.call("erlang", "system_info", what).(int64)
	require.True(x.t, ok)
	return n
}

// user sits at an emulated terminal.
type user struct {
	*remshtest.Screen
	t       *testing.T
	keys    *io.PipeWriter
	resized chan struct{}
	done    chan error
	prompt  string // up to its number
	line    int
}

// sit starts a shell at a terminal, and waits for its prompt.
func (x *target) sit(s *Shell, cols, rows int) *user {
	x.t.Helper()
	in, keys := io.Pipe()
	u := &user{Screen: remshtest.New(cols, rows), t: x.t, keys: keys, resized: make(chan struct{}), done: make(chan error, 1), line: 1}
	x.t.Cleanup(func() { _ = keys.Close() })
	u.prompt = "(" + x.Name + ")%d> "
	if s.Language == Elixir {
		u.prompt = "iex(" + x.Name + ")%d> "
	}
	go func() {
		u.done <- s.Terminal(x.ctx, Terminal{In: in, Out: u.Screen, Resized: u.resized, Size: func() (int, int) { return cols, rows }})
	}()
	u.ready()
	return u
}

// ready waits for the prompt after what is shown already.
func (u *user) ready(before ...string) {
	u.t.Helper()
	u.Wait(u.t, append(before, u.ps())...)
}

// ps is the present prompt, as it is shown without anything behind it.
func (u *user) ps(behind ...string) string {
	return strings.TrimRight(fmt.Sprintf(u.prompt, u.line)+strings.Join(behind, ""), " ")
}

// types types.
func (u *user) types(keys string) {
	u.t.Helper()
	_, err := u.keys.Write([]byte(keys))
	require.NoError(u.t, err)
}

// enter types a line, and waits for what it prints and the next prompt.
func (u *user) enter(text string, printed ...string) {
	u.t.Helper()
	u.types(text)
	u.types("\r")
	shown := u.ps(text)
	u.line++
	u.ready(append([]string{shown}, printed...)...)
}

// left waits for the end of the session.
func (u *user) left() error {
	u.t.Helper()
	select {
	case err := <-u.done:
		assert.Empty(u.t, u.Unknown(), "the terminal was sent what it does not know")
		assert.True(u.t, strings.HasSuffix(u.Raw(), bracketedPasteOff), "the terminal is as it was")
		return err
	case <-time.After(caseTime):
		u.t.Fatalf("the shell is not left:\n%s", strings.Join(u.Lines(), "\n"))
		return nil
	}
}

const (
	ctrlA, ctrlC, ctrlD, ctrlE, ctrlG, ctrlK, ctrlW, ctrlBackslash = "\x01", "\x03", "\x04", "\x05", "\x07", "\x0b", "\x17", "\x1c"

	up, down, right, left = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
)
