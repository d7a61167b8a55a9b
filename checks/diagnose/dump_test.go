package diagnose

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crashed runs a VM to its end, which has to be a bad one, and returns its crash dump.
func crashed(t *testing.T, shell, eval string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "erl_crash.dump")
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", shell + ` exec erl -noshell "$@"`, "sh", "-eval", eval}, args...)...)
	cmd.Env = append(os.Environ(), "ERL_CRASH_DUMP="+path, "ERL_CRASH_DUMP_SECONDS=-1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.FileExists(t, path, "%s", out)
	return path
}

func dumpAt(path string) Source {
	return Source{Node: "n", Name: "erl_crash.dump", Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// Crash dumps that OTP has really written, each for its own reason.
func TestCrashDumps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shell, eval   string
		args          []string
		slogan, cause string
		check         func(t *testing.T, d Dump)
	}{
		"halt": {
			eval: `spawn(fun() -> register(deaf, self()), receive never -> ok end end), (fun Again() -> is_pid(whereis(deaf)) orelse Again() end)(),
				[deaf ! {hello, N} || N <- lists:seq(1, 2000)], put(secret, <<"hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2">>), erlang:halt("my slogan")`,
			slogan: "my slogan", cause: "erlang:halt/1",
			check: func(t *testing.T, d Dump) {
				require.NotEmpty(t, d.Mailboxes)
				assert.Equal(t, "deaf", d.Mailboxes[0].Name)
				assert.Equal(t, int64(2000), d.Mailboxes[0].Mailbox)
			},
		},
		"out of memory": {
			shell: "ulimit -v 1500000;", eval: `register(hungry, self()), lists:seq(1, 100000000), halt()`,
			slogan: "Cannot allocate", cause: "the system had none",
			check: func(t *testing.T, d Dump) {
				require.NotEmpty(t, d.Largest)
				assert.Equal(t, "hungry", d.Largest[0].Name)
				assert.Greater(t, d.Largest[0].Memory, int64(10<<20))
			},
		},
		"atoms": {
			eval: `[list_to_atom("a" ++ integer_to_list(N)) || N <- lists:seq(1, 20000)]`, args: []string{"+t", "16384"},
			slogan: "no more index entries in atom_tab", cause: "makes atoms of data",
			check: func(t *testing.T, d Dump) { assert.Equal(t, int64(16384), d.AtomLimit) },
		},
		"boot": {eval: `no_such:f()`, slogan: "init terminating in do_boot", cause: "the boot failed"},
		"signal": {
			eval: `os:cmd("kill -USR1 " ++ os:getpid()), timer:sleep(60000)`, slogan: "Received SIGUSR1", cause: "somebody has sent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := readDump(dumpAt(crashed(t, c.shell, c.eval, c.args...)), NewRedactor())
			assert.Contains(t, d.Slogan, c.slogan)
			assert.Contains(t, d.Cause, c.cause)
			assert.NotContains(t, d.Cause, "$")
			assert.NotEmpty(t, d.Fix)
			assert.True(t, d.Complete)
			assert.Empty(t, d.Problem)
			assert.WithinDuration(t, time.Now(), d.Time, time.Minute)
			assert.Contains(t, d.System, "Erlang/OTP 25")
			assert.Greater(t, d.Processes, 20)
			assert.Greater(t, d.Memory["total"], int64(1<<20))
			assert.Positive(t, d.Atoms)
			if c.check != nil {
				c.check(t, d)
			}
		})
	}
}

// A VM that is killed while it writes leaves half a dump, which says as much as it can.
func TestCutDump(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(crashed(t, "", `put(secret, hunter2), erlang:halt("half")`))
	require.NoError(t, err)
	half := text("n", "d", string(b[:len(b)/8]))
	d := readDump(half, NewRedactor())
	assert.Equal(t, "half", d.Slogan)
	assert.False(t, d.Complete)
	r := &Report{Dumps: []Dump{d, readDump(text("", "not.dump", "hello"), NewRedactor())}}
	r.dumps()
	require.Len(t, r.Findings, 2)
	assert.Equal(t, "n has crashed: half", r.Findings[0].What)
	assert.Contains(t, r.Findings[1].Saw, "no crash dump")

	var out bytes.Buffer
	require.NoError(t, copyDump(&out, bytes.NewReader(b), NewRedactor("hunter2")))
	assert.NotContains(t, out.String(), "hunter2", "not among the atoms")
	assert.NotContains(t, out.String(), "=proc_dictionary")
	assert.NotContains(t, out.String(), "=proc_heap")
	assert.Contains(t, out.String(), "=proc:<0.1.0>")
	again := readDump(text("n", "d", out.String()), NewRedactor())
	assert.Equal(t, "half", again.Slogan)
	assert.Positive(t, again.Processes)
}

func TestUnreadableDump(t *testing.T) {
	t.Parallel()
	d := readDump(dumpAt(filepath.Join(t.TempDir(), "none")), NewRedactor())
	assert.Contains(t, d.Problem, syscall.ENOENT.Error())
}

func FuzzDump(f *testing.F) {
	f.Add("=erl_crash_dump:0.5\nSun Nov 22 23:53:25 2026\nSlogan: x\nSystem version: Erlang/OTP 25\nAtoms: 8600\n=memory\ntotal: 13\n=proc:<0.1.0>\nName: a\nMessage queue length: 5\nMemory: 1\n=end\n")
	f.Add("=proc:<0.1.0>\nMemory: 99999999999999999999\n=proc:\nMemory: -1\n=proc\nMemory: 9223372036854775807\n=index_table:atom_tab\nlimit: x\n")
	f.Fuzz(func(t *testing.T, s string) {
		d := readDump(text("n", "d", s), NewRedactor())
		if len(d.Largest) > dumpTop || len(d.Mailboxes) > dumpTop || len(d.Memory) > 4*dumpTop || len(d.Slogan) > maxTitle+len("…") || strings.Contains(d.Cause, "$1") {
			t.Fatalf("%+v", d)
		}
		for _, p := range append(d.Largest, d.Mailboxes...) {
			if p.Memory < 0 || p.Mailbox < 0 || len(p.Name) > maxTitle+len("…") {
				t.Fatalf("%+v", p)
			}
		}
	})
}
