// Package docs_test runs every command block of the README and the documentation, each file in a shell of its own, in a
// copy of the examples, with the built binary; what a console block shows is compared with what really comes out.
package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inCI are the commands that cannot run inside a test, because they run the tests: CI has to run them itself.
var inCI = []string{"make demo", "make test"}

// readOnly are commands that only read the module; they run where it is, and not in the copy.
var readOnly = regexp.MustCompile(`^go (doc|build) `)

// looks are commands that only look: on a busy machine a node may be late to answer, or be warned of, once.
var looks = regexp.MustCompile(`^beamctl (health|status|diagnose|list)\b[^>]*$`)

// block is one fenced code block with commands.
type block struct {
	line    int
	console bool // with prompts and output; else commands only
	text    string
}

func blocks(md string) []block {
	var out []block
	var cur *block
	for i, line := range strings.Split(md, "\n") {
		switch {
		case cur != nil && strings.HasPrefix(line, "```"):
			out = append(out, *cur)
			cur = nil
		case cur != nil:
			cur.text += line + "\n"
		case line == "```sh" || line == "```console":
			cur = &block{line: i + 1, console: line == "```console"}
		}
	}
	return out
}

// step is a command and the output that the document shows for it.
type step struct {
	command, want string
	compare       bool
}

func (b block) steps() []step {
	var out []step
	for line := range strings.Lines(b.text) {
		switch cmd, prompt := strings.CutPrefix(line, "$ "); {
		case !b.console && strings.TrimSpace(line) != "":
			out = append(out, step{command: strings.TrimSpace(line)})
		case prompt:
			out = append(out, step{command: strings.TrimSpace(cmd), compare: true})
		case b.console && len(out) > 0:
			out[len(out)-1].want += line
		}
	}
	return out
}

var (
	numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
	spaces  = regexp.MustCompile(` +`)
)

// picture reduces output to what is the same every time.
func picture(s string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(numbers.ReplaceAllString(s, "#"), " "))
}

func TestEveryCommandBlock(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/beamctl", "./cmd/beamctl")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	files, err := filepath.Glob(root + "/docs/*.md")
	require.NoError(t, err)
	files = append(files, root+"/README.md", root+"/examples/erlang-kv/README.md", root+"/examples/elixir-counter/README.md")
	total := 0
	for _, file := range files {
		md, err := os.ReadFile(file)
		require.NoError(t, err)
		rel, err := filepath.Rel(root, file)
		require.NoError(t, err)
		bs := blocks(string(md))
		total += len(bs)
		t.Run(strings.ReplaceAll(rel, "/", "_"), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "beamctl")
			require.NoError(t, os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(root+"/examples")))
			at := dir
			if strings.HasPrefix(rel, "examples/") {
				at = filepath.Dir(filepath.Join(dir, rel))
			}
			// Tests run on busy machines, of which health warns.
			unhurried := []string{"BEAMCTL_HEALTH_LATENCY=1m", "BEAMCTL_HEALTH_LOCK_HELD=1m", "BEAMCTL_HEALTH_RUN_QUEUE=1000", "BEAMCTL_HEALTH_SCHEDULERS=1"}
			s := &shell{t: t, dir: at, root: root, env: append(append(os.Environ(), unhurried...),
				"PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "BEAMCTL_RUNTIME_DIR="+shortDir(t)+"/run", "HOME="+t.TempDir())}
			t.Cleanup(func() { s.run("beamctl clean --all -q") })
			for _, b := range bs {
				for _, st := range b.steps() {
					s.step(fmt.Sprintf("%s:%d: %s", rel, b.line, st.command), st)
				}
			}
		})
	}
	require.Greater(t, total, 8, "the documents have blocks")
}

// shortDir is a runtime directory in which a unix socket's path fits.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // t.TempDir has the test's name in it, which is too long
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// shell runs the commands of one document one after the other; it keeps the directory and the last exit status.
type shell struct {
	t         *testing.T
	dir, root string
	env       []string
	status    int
}

func (s *shell) step(where string, st step) {
	s.t.Helper()
	for _, c := range inCI {
		if st.command == c {
			ci, err := os.ReadFile(s.root + "/.ci/run")
			require.NoError(s.t, err)
			assert.Contains(s.t, "\n"+string(ci), "\n"+c+"\n", "%s: CI runs it", where)
			return
		}
	}
	out, stderr := s.run(st.command)
	for end := time.Now().Add(time.Minute); st.compare && looks.MatchString(st.command) && picture(st.want) != picture(out) && time.Now().Before(end); {
		out, stderr = s.run(st.command)
	}
	if !st.compare {
		assert.Zero(s.t, s.status, "%s\n%s%s", where, out, stderr)
		return
	}
	assert.Equal(s.t, picture(st.want), picture(out), "%s\n%s", where, stderr)
}

// run runs one command with the state of the shell; stdout is what the documents show.
func (s *shell) run(command string) (stdout, stderr string) {
	if to, ok := strings.CutPrefix(command, "cd "); ok {
		s.dir = filepath.Join(s.dir, to)
		return "", ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, env := s.dir, s.env
	if readOnly.MatchString(command) {
		dir, env = s.root, nil
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", fmt.Sprintf("(exit %d); %s", s.status, command))
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		s.status = 0
	case errors.As(err, &exit):
		s.status = exit.ExitCode()
	default:
		s.t.Fatalf("%s: %v", command, err)
	}
	return out.String(), errs.String()
}
