package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/launcher"
)

// patient is a world whose user has a HOME with a cookie, and no EPMD.
func patient(t *testing.T, example string) *world {
	t.Helper()
	w := newWorld(t, example)
	home := filepath.Join(filepath.Dir(w.dir), "home")
	require.NoError(t, os.Mkdir(home, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte("QXWZJVBNMKLPOIUYTREWQ"), 0o400))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	w.env = append(w.env, "HOME="+home, "TMPDIR=/tmp", "ERL_EPMD_PORT="+strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	return w
}

// report is what `doctor -o json` says; cmd runs it.
func report(t testing.TB, cmd *exec.Cmd) map[string]doctor.Result {
	t.Helper()
	var errs strings.Builder
	cmd.Stderr = &errs
	out, _ := cmd.Output()
	var r doctor.Report
	require.NoError(t, json.Unmarshal(out, &r), "%s", errs.String())
	code := exitOK
	if !r.OK {
		code = exitFailed
	}
	assert.Equal(t, code, cmd.ProcessState.ExitCode(), errs.String())
	byName := make(map[string]doctor.Result)
	for _, res := range r.Results {
		byName[res.Check] = res
	}
	require.Len(t, byName, len(doctor.All()))
	return byName
}

// doctored is what doctor says.
func (w *world) doctored(args ...string) map[string]doctor.Result {
	w.t.Helper()
	return report(w.t, w.cmd(append([]string{"doctor", "-o", "json"}, args...)...))
}

// apart makes cmd run in mount and host name namespaces of its own, after a script, which has a directory in $T. Nothing there
// asks a name server of this machine's.
func apart(t *testing.T, cmd *exec.Cmd, script string) *exec.Cmd {
	t.Helper()
	const prepare = `mount --make-rprivate / 2>/dev/null || true; echo nameserver 127.0.0.1 > $T/resolv; mount --bind $T/resolv /etc/resolv.conf; `
	args := []string{"--mount", "--uts"}
	if os.Getuid() != 0 {
		args = append(args, "--map-root-user")
	}
	args = append(append(args, "sh", "-euc", prepare+script+`; exec "$0" "$@"`), cmd.Args...)
	out := exec.CommandContext(t.Context(), "unshare", args...)
	out.Dir, out.Env = cmd.Dir, append(cmd.Env, "T="+t.TempDir())
	return out
}

// cgroup makes a script that puts its process into a control group of version 2 with the given files.
func cgroup(files map[string]string) string {
	s := `mkdir -p $T/fs/box; echo 0::/box > $T/cgroup; `
	for name, text := range files {
		s += fmt.Sprintf("printf '%s\\n' > $T/fs/box/%s; ", text, name)
	}
	return s + `mount --bind $T/cgroup /proc/$$/cgroup; mount --bind $T/fs /sys/fs/cgroup`
}

// TestDoctorFaultsOfTheMachine makes each fault for real, in namespaces and with limits of its own; no other check takes it for its.
func TestDoctorFaultsOfTheMachine(t *testing.T) {
	w := patient(t, "erlang-kv")
	state := filepath.Join(filepath.Dir(w.dir), "state")
	require.NoError(t, os.Mkdir(state, 0o755))
	args := []string{"doctor", "-o", "json", "--state-dir", state}
	baseline := report(t, apart(t, w.cmd(args...), "true"))
	fail, warn := doctor.Fail, doctor.Warn
	for name, c := range map[string]struct {
		script string
		wants  map[string]doctor.Verdict
		says   []string
	}{
		"localhost is another machine": {
			script: `(echo 192.0.2.9 localhost; echo 127.0.0.1 $(hostname)) > $T/hosts; mount --bind $T/hosts /etc/hosts`,
			wants:  map[string]doctor.Verdict{"localhost": warn}, says: []string{"localhost is not this machine", "192.0.2.9"},
		},
		"localhost does not resolve": {
			script: `echo 127.0.0.1 $(hostname) > $T/hosts; mount --bind $T/hosts /etc/hosts`,
			wants:  map[string]doctor.Verdict{"localhost": warn}, says: []string{"localhost does not resolve", "/etc/hosts"},
		},
		"the host name does not resolve": {
			script: `hostname nowhere-to-be-found`,
			wants:  map[string]doctor.Verdict{"hostname": warn}, says: []string{"a@nowhere-to-be-found leads nowhere"},
		},
		"no loopback": {
			script: `exec unshare --net "$0" "$@"`,
			wants:  map[string]doctor.Verdict{"localhost": fail, "embedded": fail, "hosts": fail, "hostname": warn}, says: []string{"nothing that listens on 127.0.0.1 can be reached", "nodes cannot listen on 127.0.0.1"},
		},
		"few files": {
			script: `ulimit -n 300`,
			wants:  map[string]doctor.Verdict{"files": warn}, says: []string{"nodes may have few files open", "ulimit -n is 300"},
		},
		"too few files": {
			script: `ulimit -Sn 60`,
			wants:  map[string]doctor.Verdict{"files": fail}, says: []string{"nodes may have too few files open", "ulimit -n is 60"},
		},
		"too few files for the supervisor": {
			script: `ulimit -n 60`,
			wants:  map[string]doctor.Verdict{"files": fail}, says: []string{"beamctl may have too few files open for 3 nodes", "ulimit -Hn is 60"},
		},
		"no room for threads": {
			script: cgroup(map[string]string{"pids.max": "50", "pids.current": "12"}),
			wants:  map[string]doctor.Verdict{"processes": fail}, says: []string{"no room for the threads of 3 nodes", "pids.max of /sys/fs/cgroup/box is 50, 12 are there"},
		},
		"little memory": {
			script: `sed 's/^MemAvailable:.*/MemAvailable: 300000 kB/' /proc/meminfo > $T/meminfo; mount --bind $T/meminfo /proc/meminfo`,
			wants:  map[string]doctor.Verdict{"memory": warn}, says: []string{"there is little memory", "292 MiB are free (MemAvailable) for 3 nodes"},
		},
		"too little memory": {
			script: `sed 's/^MemAvailable:.*/MemAvailable: 100000 kB/' /proc/meminfo > $T/meminfo; mount --bind $T/meminfo /proc/meminfo`,
			wants:  map[string]doctor.Verdict{"memory": fail}, says: []string{"too little memory", "97 MiB are free"},
		},
		"too little memory in a container": {
			script: cgroup(map[string]string{"memory.max": "134217728", "memory.current": "104857600", "memory.stat": "anon 1\\ninactive_file 10485760"}),
			wants:  map[string]doctor.Verdict{"memory": fail}, says: []string{"38 MiB are free (memory.max of /sys/fs/cgroup/box) for 3 nodes"},
		},
		"too little memory in an old container": {
			script: `mkdir -p $T/fs/memory/box; echo 7:memory:/box > $T/cgroup; echo 104857600 > $T/fs/memory/box/memory.limit_in_bytes; ` +
				`echo 20971520 > $T/fs/memory/box/memory.usage_in_bytes; mount --bind $T/cgroup /proc/$$/cgroup; mount --bind $T/fs /sys/fs/cgroup`,
			wants: map[string]doctor.Verdict{"memory": fail}, says: []string{"80 MiB are free (memory limit of /sys/fs/cgroup/memory/box)"},
		},
		"too little address space": {
			script: `ulimit -v 1400000`,
			wants:  map[string]doctor.Verdict{"memory": fail}, says: []string{"ulimit -v is 1367 MiB", "super carrier"},
		},
		"little room on the disk": {
			script: `mount -t tmpfs -o size=100m none ` + state,
			wants:  map[string]doctor.Verdict{"disk": warn}, says: []string{"there is little room on the disk", "100 MiB are free where " + state},
		},
		"hardly any room on the disk": {
			script: `mount -t tmpfs -o size=8m none ` + state,
			wants:  map[string]doctor.Verdict{"disk": fail}, says: []string{"the disk is nearly full"},
		},
		"no room for files": {
			script: `mount -t tmpfs -o size=600m,nr_inodes=50 none ` + state,
			wants:  map[string]doctor.Verdict{"disk": fail}, says: []string{"no room for more files", "inodes are free"},
		},
		"a full disk": {
			script: `mount -t tmpfs -o size=64k none ` + state + `; head -c 65536 /dev/zero > ` + state + `/full`,
			wants:  map[string]doctor.Verdict{"disk": fail, "state": fail}, says: []string{"the disk is full", "no space left on device"},
		},
		"a file system that is read-only": {
			script: `mount -t tmpfs -o ro,size=600m none ` + state,
			wants:  map[string]doctor.Verdict{"state": fail}, says: []string{"the cluster's state cannot be written", "read-only file system"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			for check, res := range report(t, apart(t, w.cmd(args...), c.script)) {
				want, ok := c.wants[check]
				if !ok {
					want = baseline[check].Verdict
				}
				for _, p := range res.Problems {
					said.WriteString(p.Error() + "\n")
				}
				assert.Equal(t, want, res.Verdict, "%s: %+v", check, res)
			}
			for _, s := range c.says {
				assert.Contains(t, said.String(), s)
			}
		})
	}
}

// TestDoctorThreads: root may have any number of threads, another user as many as ulimit -u says.
func TestDoctorThreads(t *testing.T) {
	w := patient(t, "erlang-kv")
	if os.Getuid() == 0 {
		w = w.as(nobody)
	}
	limited := func(n string) map[string]doctor.Result {
		cmd := w.cmd("doctor", "-o", "json")
		cmd.Path, cmd.Args = "/usr/bin/prlimit", append([]string{"prlimit", "--nproc=" + n}, cmd.Args...)
		return report(t, cmd)
	}
	res := limited("40")["processes"]
	require.Equal(t, doctor.Fail, res.Verdict, "%+v", res)
	assert.Contains(t, res.Problems[0].Saw, "ulimit -u is 40")
	assert.Equal(t, doctor.OK, limited("20000")["processes"].Verdict)
}

// TestDoctorFixes: what is safe is mended, said, and right then.
func TestDoctorFixes(t *testing.T) {
	w := patient(t, "erlang-kv")
	cookie := filepath.Join(filepath.Dir(w.dir), "home", ".erlang.cookie")
	require.NoError(t, os.Chmod(cookie, 0o644)) //nolint:gosec // that is the fault
	tmp := filepath.Join(filepath.Dir(w.dir), "tmp")
	w.env = append(w.env, "TMPDIR="+tmp)
	r := w.run("doctor")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "fail cookie_file: the cookie file "+cookie+" is open to others")
	assert.Contains(t, r.out, "chmod 400 "+cookie+"  (beamctl doctor --fix does it)")
	assert.Contains(t, r.out, "TMPDIR names a directory that is not there")

	r = w.run("doctor", "--fix")
	assert.Equal(t, exitOK, r.code, r.out)
	assert.Contains(t, r.out, "chmod 0600 "+cookie+" (was 0644)")
	assert.Contains(t, r.out, "mkdir -p -m 700 "+tmp)
	assert.DirExists(t, tmp)
	for check, res := range w.doctored("--fix") {
		assert.Empty(t, res.Mended, check)
	}
}

// TestDoctorAndClusters: one that runs is no fault, nor are its ports; one that died is, until it is cleared away; one that
// was kept is not touched.
func TestDoctorAndClusters(t *testing.T) {
	w := patient(t, "erlang-kv")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	require.NoError(t, l.Close())
	w.ok("start", "-n", "1", "--cluster", "kept")
	w.ok("stop", "--cluster", "kept", "--keep")
	w.ok("start", "-n", "1", "--epmd-port", port)
	which := w.run("status")
	assert.Equal(t, exitUsage, which.code)
	assert.Contains(t, which.err, "kept ("+w.dir+"), kv ("+w.dir+"); choose one with --cluster NAME")
	before := w.doctored("-n", "1", "--epmd-port", port)
	assert.Equal(t, doctor.OK, before["clusters"].Verdict)
	assert.Contains(t, before["clusters"].Saw, "running: kv in "+w.dir)
	assert.Contains(t, before["clusters"].Saw, "kept: kept in "+w.dir+" (stopped)")
	assert.Equal(t, doctor.OK, before["ports"].Verdict, "%+v", before["ports"])
	assert.Contains(t, before["ports"].Saw, "1 held by the running cluster kv")
	other := w.doctored("-n", "1", "--epmd-port", port, "--cluster", "other")
	assert.Equal(t, doctor.Fail, other["ports"].Verdict, "to another cluster they are taken")

	rec := w.recordsIn(".beamctl")
	for _, r := range rec {
		if r.Spec.Cluster != "kv" {
			continue
		}
		require.NoError(t, syscall.Kill(r.Supervisor.Pid, syscall.SIGKILL))
		eventually(t, "the subtree goes with it", func() bool { return len(marked(r.ID)) == 0 })
	}
	dead := w.doctored()["clusters"]
	assert.Equal(t, doctor.Warn, dead.Verdict)
	assert.Contains(t, dead.Problems[0].Saw, "kv: files ("+filepath.Join(w.dir, ".beamctl", "kv")+")")
	assert.True(t, dead.Problems[0].Mendable)
	assert.Contains(t, w.ok("clean", "--dry-run"), "would remove kept: files")
	assert.DirExists(t, filepath.Join(w.dir, ".beamctl", "kv"), "it was only looked at")

	fixed := w.doctored("--fix")["clusters"]
	assert.Equal(t, doctor.OK, fixed.Verdict)
	assert.Contains(t, strings.Join(fixed.Mended, "\n"), "cleared away kv: files")
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl", "kv"))
	assert.DirExists(t, filepath.Join(w.dir, ".beamctl", "kept"))
	assert.Contains(t, w.ok("clean"), "removed kept: files")
	assert.NoDirExists(t, filepath.Join(w.dir, ".beamctl"))
}

// TestDoctorWithoutProject: also where Erlang is not installed, and where the configuration is wrong.
func TestDoctorWithoutProject(t *testing.T) {
	w := patient(t, "")
	assert.Equal(t, doctor.None, w.doctored()["project"].Verdict)
	w.env = append(w.env, "PATH=/nonexistent")
	none := w.doctored()
	for _, check := range []string{"project", "programs", "erl", "elixir", "rebar3", "versions", "names", "ports"} {
		assert.Equal(t, doctor.None, none[check].Verdict, check)
	}
	w.write(launcher.ConfigName, "count: many\ncuont: 3\n")
	wrong := w.doctored()["project"]
	assert.Equal(t, doctor.Fail, wrong.Verdict)
	assert.Contains(t, wrong.Problems[0].Saw, "beamctl.yaml:1:8: count")
	assert.Contains(t, wrong.Problems[0].Saw, `unknown key "cuont"`)
	assert.Equal(t, exitUsage, w.run("doctor", "--env", "nonsense").code)
}

// TestDoctorBuild: what is compiled is compared with its sources, where start does not compile anyhow.
func TestDoctorBuild(t *testing.T) {
	w := patient(t, "")
	w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, `start(_, _) -> {error, never}.`)
	res := w.doctored()["build"]
	assert.Equal(t, doctor.OK, res.Verdict, "%+v", res)
	assert.Contains(t, res.Saw, "no source is newer")
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(w.dir, "ebin", "a_app.beam"), old, old))
	r := w.doctored()
	assert.Equal(t, doctor.Warn, r["build"].Verdict)
	assert.Contains(t, r["build"].Problems[0].Saw, "src/a_app.erl is newer than ebin/a_app.beam")
	assert.Equal(t, doctor.OK, r["clock"].Verdict)
	require.NoError(t, os.Remove(filepath.Join(w.dir, "ebin", "a_app.beam")))
	assert.Contains(t, w.doctored()["build"].Problems[0].What, "nothing is compiled")
	w.write("Emakefile", `{'src/*', [{outdir, "ebin"}]}.`)
	assert.Contains(t, w.doctored()["build"].Saw, "start does that first (erl -make)")
}

// TestDoctorText is what the user reads, with all that differs between machines and runs taken out.
func TestDoctorText(t *testing.T) {
	w := patient(t, "erlang-kv")
	base := filepath.Dir(w.dir)
	require.NoError(t, os.Chmod(filepath.Join(base, "home", ".erlang.cookie"), 0o644)) //nolint:gosec // that is the fault
	w.env = append(w.env, "RELEASE_COOKIE=short")
	out := w.run("doctor", "--name", "{{.Node}}@192.0.2.1").out
	out = strings.ReplaceAll(out, base, "/BASE")
	for _, r := range []struct{ from, to string }{
		{`(?m)^(  ok    (hostname|localhost|erl|elixir|rebar3|versions|disk|files|processes|memory|build)\s+).*$`, "${1}…"},
		{`[0-9]+`, "#"},
	} {
		out = regexp.MustCompile(r.from).ReplaceAllString(out, r.to)
	}
	golden := filepath.Join("testdata", "doctor.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out), 0o644)) //nolint:gosec // checked in
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), out)
}
