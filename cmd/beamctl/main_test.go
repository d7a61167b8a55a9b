package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/launcher"
)

// binary is beamctl, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "beamctl-test-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // another user runs it, too
		return 1, err
	}
	// Whoever cannot build (scripts/test-unprivileged.sh) brings it along.
	if binary = os.Getenv("BEAMCTL_TEST_BINARY"); binary == "" {
		binary = filepath.Join(dir, "beamctl")
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if signal.Ignored(os.Interrupt) { // as shells have it for what runs in the background: the commands are not to inherit that
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
	code := m.Run()
	return code, errors.Join(stopForeigners(), goleak.Find())
}

// world is where one test's commands run: a directory with a project, a user, an index of clusters of their own.
type world struct {
	t   testing.TB
	dir string
	env []string
	uid uint32 // 0: the test's own
}

// nobody is the user as whom everything has to work as well.
const nobody = 65534

// unhurried are the limits of health for what takes longer on a busy machine.
var unhurried = []string{
	"BEAMCTL_HEALTH_LATENCY=1m", "BEAMCTL_HEALTH_LOCK_HELD=1m", "BEAMCTL_HEALTH_RUN_QUEUE=1000", "BEAMCTL_HEALTH_SCHEDULERS=1",
}

// newWorld makes a world with a copy of an example, or an empty one.
func newWorld(t testing.TB, example string) *world {
	t.Helper()
	base, err := os.MkdirTemp("", "w") //nolint:usetesting // short, since a socket's path is, and open to another user
	require.NoError(t, err)
	base, err = filepath.EvalSymlinks(base)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	w := &world{t: t, dir: filepath.Join(base, "project")}
	if example != "" {
		require.NoError(t, os.CopyFS(w.dir, os.DirFS(filepath.Join("..", "..", "examples", example))))
	} else {
		require.NoError(t, os.Mkdir(w.dir, 0o755))
	}
	run := filepath.Join(base, "run")
	require.NoError(t, os.Mkdir(run, 0o700))
	w.env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "BEAMCTL_") || strings.HasPrefix(kv, "ERL_") || strings.HasPrefix(kv, "MIX_ENV=")
	}), "XDG_RUNTIME_DIR="+run, "BEAMCTL_RUNTIME_DIR="+filepath.Join(run, "beamctl"), "NO_COLOR=1",
		"BEAMCTL_STOP_TIMEOUT=30s") // what it takes to be killed at the end would show
	w.env = append(w.env, unhurried...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.logs())
		}
		for _, id := range w.ids() { // whatever a failed test leaves; by now a good one has nothing
			for _, pid := range marked(id) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	return w
}

// as makes everything belong to uid, who does the rest.
func (w *world) as(uid uint32) *world {
	w.t.Helper()
	w.uid = uid
	require.NoError(w.t, filepath.WalkDir(filepath.Dir(w.dir), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(uid))
	}))
	w.env = append(w.env, "HOME="+w.dir)
	return w
}

// write puts a file into the project, at once: who watches it sees no half.
func (w *world) write(name, content string) {
	w.t.Helper()
	path, whole := filepath.Join(w.dir, name), filepath.Join(filepath.Dir(w.dir), "written")
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(whole, []byte(content), 0o644))
	require.NoError(w.t, os.Rename(whole, path))
}

// hangs is when a command is taken for one that hangs; whatever it waits for has shorter deadlines.
const hangs = 4 * time.Minute

type result struct {
	code     int
	out, err string
}

// patience is how long the verbs that give up on one node after seconds have in tests, unless those say otherwise: a machine with all of them
// on it may not let a good one run for longer.
var patience = map[string]string{
	"status": "1m", "rpc": "1m", "shell": "1m", "stop": "2m", "health": "20s", "diagnose": "20s",
}

func (w *world) cmd(args ...string) *exec.Cmd {
	given := func(flag string) bool { return slices.Contains([]string{"--timeout", "--watch", "-w"}, flag) } // a watch has no end
	if within := patience[args[0]]; within != "" && !slices.ContainsFunc(args, given) {
		args = append(slices.Clone(args), "--timeout", within)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangs)
	w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	if w.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: w.uid, Gid: w.uid}}
	}
	return cmd
}

// run runs beamctl to its end.
func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := w.cmd(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(w.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok runs beamctl and returns what it wrote to stdout; it has to succeed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	require.Equal(w.t, 0, r.code, "beamctl %v\n%s%s", args, r.out, r.err)
	return r.out
}

// status returns what `status -o json` says. The supervisor has its own deadline for what it asks of nodes: where one has passed although
// nothing keeps the node from answering, it is asked again.
func (w *world) status() launcher.Status {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		var st launcher.Status
		require.NoError(w.t, json.Unmarshal([]byte(w.ok("status", "-o", "json")), &st))
		slow := func(n launcher.NodeStatus) bool { return n.Problem != "" && n.Down == nil }
		if !slices.ContainsFunc(st.Nodes, slow) || time.Now().After(end) {
			return st
		}
	}
}

// crashed waits until it is known how a node has ended, and returns what status says of it.
func (w *world) crashed(i int) (n launcher.NodeStatus) {
	w.t.Helper()
	eventually(w.t, "its end is known", func() bool { n = w.status().Nodes[i]; return n.State == launcher.NodeCrashed && n.Exit != "" })
	return n
}

// within tries a command whose time has to run out, but not too early: with more and more of it, until it is as it should be.
func within(t testing.TB, try func(timeout string) bool) {
	t.Helper()
	require.True(t, slices.ContainsFunc([]string{"2s", "7s", "20s", "60s"}, try), "it never went as far as it should")
}

// records reads what the clusters in the project wrote about themselves.
func (w *world) records() []launcher.Record { return w.recordsIn(".beamctl") }

// recordsIn is records in another state directory.
func (w *world) recordsIn(stateDir string) []launcher.Record {
	var out []launcher.Record
	files, _ := filepath.Glob(filepath.Join(w.dir, stateDir, "*", "cluster.json"))
	for _, f := range files {
		var r launcher.Record
		if b, err := os.ReadFile(f); err == nil && json.Unmarshal(b, &r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// ids returns the ids of all clusters that were ever recorded in this world.
func (w *world) ids() []string {
	var ids []string
	for _, r := range w.records() {
		ids = append(ids, r.ID)
	}
	entries, _ := filepath.Glob(filepath.Join(filepath.Dir(w.dir), "run", "beamctl", "*.json"))
	for _, e := range entries {
		ids = append(ids, strings.TrimSuffix(filepath.Base(e), ".json"))
	}
	return ids
}

func (w *world) record() launcher.Record {
	w.t.Helper()
	rs := w.records()
	require.Len(w.t, rs, 1)
	return rs[0]
}

// logs returns every log in the world, for a test that failed.
func (w *world) logs() string {
	var b strings.Builder
	for _, pattern := range []string{"*/*.log", "*/events.jsonl", "*/nodes/*/*.log"} {
		files, _ := filepath.Glob(filepath.Join(w.dir, ".beamctl", pattern))
		for _, f := range files {
			content, _ := os.ReadFile(f)
			fmt.Fprintf(&b, "--- %s\n%s\n", f, content)
		}
	}
	return b.String()
}

// marked returns the living processes of the cluster with that id. It asks the kernel itself: the code under test is no witness.
func marked(id string) []int {
	return processes(func(pid string) bool {
		env, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
		return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+launcher.MarkerEnv+"="+id+"\x00"))
	})
}

// processes returns the living processes that are wanted.
func processes(wanted func(pid string) bool) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && wanted(e.Name()) && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// alive tells whether pid runs; a zombie doesn't.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')'):]), " ")
	return after != "" && after[0] != 'Z' && after[0] != 'X'
}

// files lists everything below a directory.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it is just being removed
			return nil
		}
		out = append(out, path)
		return err
	}))
	return out
}

// eventually waits for a condition that something outside brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 2*time.Minute, 10*time.Millisecond, what)
}

// following is a command that goes on until it is ended. What it shows is in a file.
type following struct {
	*exec.Cmd
	w    *world
	file string
}

func (w *world) follow(args ...string) *following {
	w.t.Helper()
	out, err := os.CreateTemp(w.t.TempDir(), "shown")
	require.NoError(w.t, err)
	defer out.Close()
	f := &following{w.cmd(args...), w, out.Name()}
	f.Stdout = out
	require.NoError(w.t, f.Start())
	return f
}

// text is what it has shown so far.
func (f *following) text() string {
	b, err := os.ReadFile(f.file)
	require.NoError(f.w.t, err)
	return string(b)
}

// shows waits until it has shown something.
func (f *following) shows(text string) {
	f.w.t.Helper()
	eventually(f.w.t, "it shows "+text, func() bool { return strings.Contains(f.text(), text) })
}
