package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is the cookie of the users in these tests. It must be seen nowhere.
const secret = "QXWZJVBNMKLPOIUYTREWQ"

// user is a machine's user with nothing wrong, and a project that could be started.
type user struct {
	*doctor.Subject
	t    *testing.T
	home string
}

func newUser(t *testing.T) *user {
	t.Helper()
	dir := t.TempDir()
	u := &user{t: t, home: filepath.Join(dir, "home")}
	u.Subject = &doctor.Subject{
		Env: map[string]string{
			"HOME": u.home, "PATH": os.Getenv("PATH"), "TMPDIR": filepath.Join(dir, "tmp"), "ERL_EPMD_PORT": strconv.Itoa(freePort(t)),
		},
		Project: &doctor.Plan{
			Cluster: "demo", Runtime: "erl", Dir: filepath.Join(dir, "project"), State: filepath.Join(dir, "project", ".beamctl", "demo"),
			Nodes:    []string{"node1@127.0.0.1", "node2@127.0.0.1"},
			Programs: []doctor.Program{{Name: "erl", Path: os.Getenv("PATH")}},
			Build:    doctor.Build{Code: []string{filepath.Join(dir, "project", "ebin")}, Stale: func() ([]string, error) { return nil, nil }},
		},
		Clusters: doctor.Clusters{Sockets: doctor.Dir{Path: filepath.Join(dir, "run"), Fault: func() error { return nil }}},
	}
	for _, d := range []string{"home", "tmp", "run", "project/ebin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o700))
	}
	u.write(".erlang.cookie", secret+"\n", 0o400)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "project", "ebin", "demo.beam"), nil, 0o600))
	return u
}

// write puts a file into the user's home.
func (u *user) write(name, text string, mode os.FileMode) string {
	u.t.Helper()
	path := filepath.Join(u.home, name)
	require.NoError(u.t, os.MkdirAll(filepath.Dir(path), 0o755))
	_ = os.Remove(path)
	require.NoError(u.t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(u.t, os.Chmod(path, mode))
	return path
}

// path makes a PATH of programs, which are links to or scripts with what is given, and gives it to the nodes.
func (u *user) path(programs map[string]string) {
	u.t.Helper()
	dir := u.t.TempDir()
	for name, what := range programs {
		if strings.HasPrefix(what, "/") {
			require.NoError(u.t, os.Symlink(what, filepath.Join(dir, name)))
		} else {
			require.NoError(u.t, os.WriteFile(filepath.Join(dir, name), []byte(what), 0o755)) //nolint:gosec // a program
		}
	}
	u.Env["PATH"] = dir
	for i := range u.Project.Programs {
		u.Project.Programs[i].Path = dir
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, l := listener(t)
	require.NoError(t, l.Close())
	return port
}

func listener(t *testing.T) (int, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port, l
}

func which(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	require.NoError(t, err)
	path, err = filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return path
}

// examine runs all checks; no word of what they say may be a cookie.
func (u *user) examine() *doctor.Report {
	u.t.Helper()
	r := doctor.Examine(u.t.Context(), u.Subject)
	b, err := json.Marshal(r)
	require.NoError(u.t, err)
	assert.NotContains(u.t, string(b), secret)
	return r
}

func result(t *testing.T, r *doctor.Report, check string) doctor.Result {
	t.Helper()
	for _, res := range r.Results {
		if res.Check == check {
			return res
		}
	}
	require.Fail(t, "no result of "+check)
	return doctor.Result{}
}

// text is all that a result says.
func text(res doctor.Result) string {
	out := res.Saw
	for _, p := range res.Problems {
		out += "\n" + p.Error()
	}
	return out
}

func TestNothingIsWrong(t *testing.T) {
	u := newUser(t)
	r := u.examine()
	require.Len(t, r.Results, len(doctor.All()))
	for i, c := range doctor.All() {
		res := r.Results[i]
		assert.Equal(t, c.Name, res.Check)
		assert.NotEqual(t, doctor.Fail, res.Verdict, "%s: %s", c.Name, text(res))
		assert.NotEmpty(t, res.Saw, c.Name)
		for _, doc := range []string{c.What, c.Looks, c.Fails, c.Fix} {
			assert.NotEmpty(t, doc, c.Name)
		}
	}
	assert.True(t, r.OK)
	b, err := json.Marshal(r)
	require.NoError(t, err)
	assert.NotContains(t, string(b), "null")
	require.NoError(t, doctor.Preflight(t.Context(), u.Subject))
	// Nothing of the probes is left.
	for _, dir := range []string{u.home, u.Env["TMPDIR"], u.Project.Dir} {
		files, err := filepath.Glob(filepath.Join(dir, ".beamctl*"))
		require.NoError(t, err)
		assert.Empty(t, files)
	}

	u.Project = nil
	r = u.examine()
	assert.True(t, r.OK)
	for _, check := range []string{"project", "names", "hosts", "ports", "ephemeral", "build", "programs", "state"} {
		assert.Equal(t, doctor.None, result(t, r, check).Verdict, check)
	}
}

// fault is something that is made wrong for real.
type fault struct {
	make  func(t *testing.T, u *user)
	wants map[string]doctor.Verdict // of these checks; all others say what they say when nothing is wrong
	says  []string
	start bool // it also fails a start
	// What Mend does, and that the check is ok then; "": nothing.
	mends string
}

func only(check string, v doctor.Verdict) map[string]doctor.Verdict {
	return map[string]doctor.Verdict{check: v}
}

// TestFaults: every check fails for its own reason, and no other does.
func TestFaults(t *testing.T) {
	baseline := make(map[string]doctor.Verdict)
	for _, res := range newUser(t).examine().Results {
		baseline[res.Check] = res.Verdict
	}
	for _, set := range []map[string]fault{epmdFaults, projectFaults, toolFaults, cookieFaults, machineFaults} {
		for name, f := range set {
			t.Run(name, func(t *testing.T) {
				u := newUser(t)
				f.make(t, u)
				r := u.examine()
				var said strings.Builder
				for _, res := range r.Results {
					want, ok := f.wants[res.Check]
					if ok {
						said.WriteString(text(res))
						if want == doctor.Fail || want == doctor.Warn {
							require.NotEmpty(t, res.Problems, res.Check)
							for _, p := range res.Problems {
								assert.NotEmpty(t, p.What)
								assert.NotEmpty(t, p.Fix, p.What)
							}
						}
					} else {
						want = baseline[res.Check]
					}
					assert.Equal(t, want, res.Verdict, "%s: %s", res.Check, text(res))
				}
				for _, s := range f.says {
					assert.Contains(t, said.String(), s)
				}
				err := doctor.Preflight(t.Context(), u.Subject)
				assert.Equal(t, f.start, err != nil, "preflight: %v", err)
				if f.start {
					assert.Equal(t, f.mends != "", strings.Contains(err.Error(), "beamctl doctor --fix"), "%v", err)
				}
				if f.mends != "" {
					f.mended(t, u, r)
				}
			})
		}
	}
}

// mended mends what is wrong, and looks that it is right then.
func (f *fault) mended(t *testing.T, u *user, r *doctor.Report) {
	after := doctor.Mend(t.Context(), u.Subject, r)
	require.Len(t, after.Results, len(r.Results))
	for check := range f.wants {
		res := result(t, after, check)
		assert.Equal(t, doctor.OK, res.Verdict, text(res))
		assert.Contains(t, strings.Join(res.Mended, "\n"), f.mends)
		assert.Equal(t, doctor.OK, result(t, u.examine(), check).Verdict)
	}
}

var epmdFaults = map[string]fault{
	"an EPMD that never answers": {
		make: func(t *testing.T, u *user) {
			port, l := listener(t)
			go func() { // it accepts, and that is all
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					t.Cleanup(func() { _ = conn.Close() })
				}
			}()
			u.Env["ERL_EPMD_PORT"] = strconv.Itoa(port)
		},
		wants: only("epmd", doctor.Fail), says: []string{"no EPMD that answers", "deadline exceeded", fmt.Sprintf("held by pid %d (", os.Getpid())},
	},
	"something else where an EPMD should be": {
		make: func(t *testing.T, u *user) {
			port, l := listener(t)
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
					_ = conn.Close()
				}
			}()
			u.Env["ERL_EPMD_PORT"] = strconv.Itoa(port)
		},
		wants: only("epmd", doctor.Fail), says: []string{"no EPMD that answers"},
	},
	"a port that is none": {
		make:  func(_ *testing.T, u *user) { u.Env["ERL_EPMD_PORT"] = "4369x" },
		wants: only("epmd", doctor.Warn), says: []string{"ERL_EPMD_PORT=4369x", "nodes take 4369"},
	},
}

// TestRealEPMD: whose it is, of which version, and what is registered; it is left alone.
func TestRealEPMD(t *testing.T) {
	u := newUser(t)
	port := freePort(t)
	cmd := exec.Command(which(t, "epmd"), "-port", strconv.Itoa(port), "-address", "127.0.0.1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	client := epmd.Client{Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	require.Eventually(t, func() bool { _, err := client.Names(t.Context()); return err == nil }, time.Minute, 5*time.Millisecond)
	u.Env["ERL_EPMD_PORT"] = strconv.Itoa(port)
	answered := func(u *user) (r *doctor.Report, res doctor.Result) {
		require.Eventually(t, func() bool {
			r = u.examine()
			res = result(t, r, "epmd")
			return res.Verdict == doctor.OK
		}, time.Minute, 5*time.Millisecond, "it answers in time")
		return r, res
	}
	_, res := answered(u)
	assert.Contains(t, res.Saw, "no node is registered")

	reg, err := client.Register(t.Context(), epmd.Node{Name: "mine", Port: 4711})
	require.NoError(t, err)
	defer reg.Close()
	r, res := answered(u)
	assert.Regexp(t, fmt.Sprintf(`^pid %d \(epmd of erts [0-9.]+, user \w+\) answers on port %d in [0-9.]+ ms, and speaks the protocol that nodes do \(PORT2_RESP\); registered: mine$`, cmd.Process.Pid, port), res.Saw)
	doctor.Mend(t.Context(), u.Subject, r)
	names, err := client.Names(t.Context())
	require.NoError(t, err, "it is the user's")
	assert.Len(t, names, 1)
}

var projectFaults = map[string]fault{
	"no directory": {
		make:  func(t *testing.T, u *user) { u.Project.Dir = filepath.Join(u.home, "gone") },
		wants: only("project", doctor.Fail), says: []string{"the project's directory cannot be read"}, start: true,
	},
	"a file for a directory": {
		make:  func(_ *testing.T, u *user) { u.Project.Dir = u.write("file", "", 0o600) },
		wants: only("project", doctor.Fail), says: []string{"is not a directory"}, start: true,
	},
	"a long name without a dot": {
		make:  func(_ *testing.T, u *user) { u.Project.Nodes[0] = "node1@somewhere" },
		wants: only("names", doctor.Fail), says: []string{"the host of node1@somewhere is not a full one", "node1@127.0.0.1"}, start: true,
	},
	"a short name with a dot": {
		make: func(_ *testing.T, u *user) {
			u.Project.Nodes, u.Project.Short = []string{"a@localhost", "b@127.0.0.1"}, true
		},
		wants: only("names", doctor.Fail), says: []string{"the host of b@127.0.0.1 is a full one"}, start: true,
	},
	"names that are none, and twice": {
		make: func(_ *testing.T, u *user) {
			u.Project.Nodes = []string{"a@127.0.0.1", "a@127.0.0.1", "nohost", "sp ace@127.0.0.1", strings.Repeat("x", 300) + "@127.0.0.1"}
		},
		wants: only("names", doctor.Fail), start: true,
		says: []string{"two nodes are called a@127.0.0.1", `"nohost" is not a node name`, `"sp ace@127.0.0.1" is not a node name`, "is too long"},
	},
	"a host that is not ours": {
		make:  func(_ *testing.T, u *user) { u.Project.Nodes[1] = "b@192.0.2.1" }, // TEST-NET-1: nobody's
		wants: only("hosts", doctor.Fail), says: []string{"nodes cannot listen on 192.0.2.1"}, start: true,
	},
	"a fixed port that is taken": {
		make: func(t *testing.T, u *user) {
			port, _ := listener(t)
			u.Project.Ports = []doctor.Ports{{Name: "epmd_port", Lo: port, Hi: port, Need: 1, Host: "127.0.0.1"}}
		},
		wants: map[string]doctor.Verdict{"ports": doctor.Fail, "ephemeral": doctor.Warn}, // the kernel gave it
		says:  []string{"(epmd_port) is taken", fmt.Sprintf("is held by pid %d: ", os.Getpid())}, start: true,
	},
	"fewer ports than nodes": {
		make: func(_ *testing.T, u *user) {
			u.Project.Ports = []doctor.Ports{{Name: "ports.http", Lo: 24001, Hi: 24002, Need: 3}}
		},
		wants: only("ports", doctor.Fail), says: []string{"of the ports 24001-24002 (ports.http) 3 are wanted and 2 free", "a wider range"}, start: true,
	},
	"ports of the kernel's": {
		make: func(_ *testing.T, u *user) {
			lo := checks.KernelPorts().Lo
			u.Project.Ports = []doctor.Ports{{Name: "ports.dist", Lo: lo - 10, Hi: lo + 9, Need: 2}}
		},
		wants: map[string]doctor.Verdict{"ephemeral": doctor.Warn, "ports": doctor.OK}, says: []string{"may give 10 of the ports", "ip_local_reserved_ports"},
	},
	"sources newer than what was compiled": {
		make: func(_ *testing.T, u *user) {
			u.Project.Build.Stale = func() ([]string, error) { return []string{"src/kv.erl is newer than ebin/kv.beam"}, nil }
		},
		wants: only("build", doctor.Warn), says: []string{"older than its sources", "src/kv.erl"},
	},
	"nothing compiled": {
		make: func(t *testing.T, u *user) {
			require.NoError(t, os.Remove(filepath.Join(u.Project.Build.Code[0], "demo.beam")))
		},
		wants: only("build", doctor.Warn), says: []string{"nothing is compiled", "no .beam file in "},
	},
	"a cluster that died": {
		make: func(_ *testing.T, u *user) {
			u.Clusters.Dead = []string{"demo: files (/p/.beamctl/demo)"}
			u.Clusters.Clean = func(context.Context) ([]string, error) { return []string{"cleared away demo: files"}, nil }
		},
		wants: only("clusters", doctor.Warn), says: []string{"demo: files (/p/.beamctl/demo)"}, mends: "cleared away demo: files",
	},
}

// TestOwnPorts: what the project's own running cluster holds is not taken by a stranger.
func TestOwnPorts(t *testing.T) {
	u := newUser(t)
	port, _ := listener(t)
	u.Project.Ports = []doctor.Ports{{Name: "epmd_port", Lo: port, Hi: port, Need: 1, Host: "127.0.0.1"}}
	u.Clusters.Owner = func(pid int) string {
		assert.Equal(t, os.Getpid(), pid)
		return "demo"
	}
	res := result(t, u.examine(), "ports")
	assert.Equal(t, doctor.OK, res.Verdict, text(res))
	assert.Contains(t, res.Saw, "1 held by the running cluster demo")
}

// TestPlanErr: what is wrong with a configuration is told, and the machine examined all the same.
func TestPlanErr(t *testing.T) {
	u := newUser(t)
	u.Project = nil
	u.PlanErr = multierror.Append(fmt.Errorf("beamctl.yaml:1:1: one"), fmt.Errorf("beamctl.yaml:2:1: two"))
	r := u.examine()
	res := result(t, r, "project")
	assert.Equal(t, doctor.Fail, res.Verdict)
	assert.Contains(t, text(res), "saw   beamctl.yaml:1:1: one\n        beamctl.yaml:2:1: two")
	assert.Equal(t, doctor.OK, result(t, r, "embedded").Verdict)
}

// TestPreflightFindsEverything: all faults are reported at once, each with what was seen.
func TestPreflightFindsEverything(t *testing.T) {
	u := newUser(t)
	port, _ := listener(t)
	u.Project.Dir = u.write("file", "", 0o600)
	u.Project.Programs[0].Path = "/nowhere"
	u.Project.Nodes = []string{"a@127.0.0.1", "a@127.0.0.1", "short@host", "nohost", "c@192.0.2.1"}
	u.Project.Ports = []doctor.Ports{{Name: "epmd_port", Lo: port, Hi: port, Need: 1, Host: "127.0.0.1"}}
	err := doctor.Preflight(t.Context(), u.Subject)
	var all *multierror.Error
	require.ErrorAs(t, err, &all)
	for _, want := range []string{
		"is not a directory", "erl is not on PATH", "two nodes are called a@127.0.0.1", "the host of short@host is not a full one",
		`"nohost" is not a node name`, "nodes cannot listen on 192.0.2.1", "is taken", "held by pid",
	} {
		assert.Contains(t, err.Error(), want)
	}
	assert.Len(t, all.Errors, 7)
	for _, e := range all.Errors {
		var f *checks.Finding
		require.ErrorAs(t, e, &f)
	}
	require.ErrorIs(t, err, exec.ErrNotFound)
}

// beam makes a .beam file with nothing in it but what compiler has made it.
func beam(t testing.TB, compiler string) string {
	t.Helper()
	info, err := etf.Marshal(etf.List{etf.Tuple{etf.Atom("version"), compiler}})
	require.NoError(t, err)
	chunk := func(id string, body []byte) string {
		n := len(body)
		return id + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + string(body) + strings.Repeat("\x00", -n&3)
	}
	body := "BEAM" + chunk("AtU8", []byte{1, 2, 3}) + chunk("CInf", info)
	return chunk("FOR1", []byte(body))
}
