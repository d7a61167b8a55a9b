package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/diagnose"
)

// diagnose runs `diagnose -o json` with more arguments.
func (w *world) diagnose(args ...string) (*diagnose.Report, int) {
	w.t.Helper()
	r := w.run(append([]string{"diagnose", "-o", "json", "--sample", "50ms"}, args...)...)
	var rep diagnose.Report
	require.NoError(w.t, json.Unmarshal([]byte(r.out), &rep), "%s%s", r.out, r.err)
	return &rep, r.code
}

// about returns the findings of one area, for one node, as text.
func about(r *diagnose.Report, area diagnose.Area, node string) string {
	var all []string
	for _, f := range r.Findings {
		if f.Area == area && f.Node == node {
			all = append(all, f.Error())
		}
	}
	return strings.Join(all, "\n")
}

// Secrets, as they get into a project, into what a node prints, and into its memory.
const (
	plantedPassword = "Tr0ub4dor-and-3"
	plantedKey      = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
	plantedLogged   = "only-ever-logged-77"
)

// TestDiagnose breaks a cluster in several ways at once: an application is stopped, a server crashes, a node ends with a crash dump. All of it is
// found, and the bundle that holds all of it holds no secret.
func TestDiagnose(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("beamctl.yaml", "cluster: sick\ncount: 3\nenv:\n  DB_PASSWORD: "+plantedPassword+"\n  SIGNING_KEY: "+plantedKey+"\n  COLOUR: visible\n")
	w.ok("start", "-q")
	cookie := w.secret()
	r, code := w.diagnose()
	assert.Equal(t, exitOK, code)
	assert.True(t, r.OK)
	assert.Empty(t, of(diagnose.Fail, r))
	assert.Len(t, r.Parts, 1)
	assert.Len(t, r.Logs.Files, 3)
	assert.NotEmpty(t, r.Links)
	for _, n := range r.Nodes {
		assert.True(t, n.Reached)
		assert.Len(t, n.Sees, 2)
		assert.NotEmpty(t, n.Top.Memory)
	}

	w.inNode(`begin
		group_leader(whereis(user), self()), % what is logged stays here
		io:format(user, "connecting to postgres://app:` + plantedPassword + `@db with ` + plantedKey + ` ~s~n", [erlang:get_cookie()]),
		logger:error("login failed, password=` + plantedLogged + ` cookie: ~s", [erlang:get_cookie()]),
		erpc:call('node2@127.0.0.1', application, stop, [kv]),
		spawn(fun() -> error({no_such_table, users}) end),
		erpc:call('node1@127.0.0.1', fun() ->
			P = proc_lib:spawn(fun() -> register(victim, self()), gen_server:enter_loop(kv_store, [], #{token => <<"` + plantedLogged + `">>}, {local, victim}) end),
			M = monitor(process, P), P ! crash_please, gen_server:cast(P, boom),
			receive {'DOWN', M, _, _, _} -> ok end end),
		catch erpc:call('node3@127.0.0.1', fun() -> put(password, <<"` + plantedPassword + `">>), put(cookie, atom_to_list(erlang:get_cookie())),
			erlang:halt("sick of it: ` + plantedKey + `") end)
	end`)
	w.crashed(2)
	eventually(t, "all is logged", func() bool {
		log := w.ok("logs", "node1")
		return strings.Contains(log, "registered_name: victim") && strings.Contains(log, "no_such_table") && strings.Contains(log, "login failed")
	})

	bundle := filepath.Join(w.dir, "incident.tar.gz")
	r, code = w.diagnose("--bundle", bundle)
	assert.Equal(t, exitFailed, code)
	assert.False(t, r.OK)
	assert.Contains(t, about(r, diagnose.AreaReach, "node2@127.0.0.1"), "kv not running")
	gone := about(r, diagnose.AreaReach, "node3@127.0.0.1")
	assert.Contains(t, gone, "node3@127.0.0.1 does not run")
	assert.Contains(t, gone, "crashed at")
	assert.Contains(t, gone, "crash dump: sick of it: [removed]")
	crash := about(r, diagnose.AreaCrash, "node3@127.0.0.1")
	assert.Equal(t, 1, strings.Count(crash, "crashed"), "the dump alone; the ladder tells the rest")
	assert.Contains(t, crash, "sick of it: [removed]")
	assert.Contains(t, crash, "erlang:halt/1")
	logged := about(r, diagnose.AreaLog, "node1@127.0.0.1")
	assert.Contains(t, logged, "victim crashed")
	assert.Contains(t, logged, "{no_such_table,users}")
	assert.Contains(t, logged, "password=[removed]")

	text := w.run("diagnose", "--sample", "50ms")
	assert.Equal(t, exitFailed, text.code)
	page := w.run("diagnose", "-o", "html", "--sample", "50ms")
	assert.Equal(t, exitFailed, page.code)
	assert.Contains(t, page.out, "<svg")
	assert.Contains(t, page.out, "node3@127.0.0.1")
	assert.NotRegexp(t, `(?:src|href)=|<script|@import|url\(`, page.out, "it needs nothing from elsewhere")

	js, err := json.Marshal(r)
	require.NoError(t, err)
	contents := unpack(t, bundle)
	contents["text"], contents["html"], contents["json"] = []byte(text.out), []byte(page.out), js
	for _, secret := range []string{cookie, plantedPassword, plantedKey, plantedLogged} {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret))
		for name, b := range contents {
			for line := range strings.Lines(string(b)) {
				if strings.Contains(line, secret) || strings.Contains(line, encoded[:len(encoded)-4]) {
					assert.Failf(t, "a secret", "%s: %s", name, line)
				}
			}
		}
	}
	for _, name := range []string{
		"README.txt", "report.json", "report.html", "matrix.json", "beamctl.yaml", "cluster.json", "events.jsonl",
		"nodes/node1/console.log", "nodes/node2/console.log", "nodes/node3/console.log", "nodes/node3/erl_crash.dump",
	} {
		assert.NotEmpty(t, contents["incident/"+name], name)
	}
	assert.Contains(t, string(contents["incident/beamctl.yaml"]), "COLOUR: visible")
	assert.Contains(t, string(contents["incident/beamctl.yaml"]), "DB_PASSWORD: [removed]")
	assert.Contains(t, string(contents["incident/nodes/node1/console.log"]), "login failed")
	assert.Contains(t, string(contents["incident/nodes/node3/erl_crash.dump"]), "=proc:<0.1.0>")
	var matrix struct {
		Nodes []struct{ Node string }
	}
	require.NoError(t, json.Unmarshal(contents["incident/matrix.json"], &matrix))
	assert.Len(t, matrix.Nodes, 3)
	fi, err := os.Stat(bundle)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm())

	// The dump alone, from a directory where there is no cluster.
	dump := filepath.Join(w.dir, ".beamctl", "sick", "nodes", "node3", "erl_crash.dump")
	alone, code := newWorld(t, "").diagnose("--dump", dump)
	assert.Equal(t, exitFailed, code)
	require.Len(t, alone.Dumps, 1)
	assert.True(t, alone.Dumps[0].Complete)
	assert.Empty(t, alone.Nodes)
	w.ok("stop", "-q")
}

// unpack reads a bundle.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	out := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		var b bytes.Buffer
		_, err = io.Copy(&b, r)
		require.NoError(t, err)
		out[h.Name] = b.Bytes()
	}
}

func TestDiagnoseUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	assert.Equal(t, exitNoCluster, w.run("diagnose").code)
	w.write("cookie", "nothing-secret")
	for _, name := range []string{"rabbit", "rabbit@", "@h", ""} {
		assert.Equal(t, exitUsage, w.run("diagnose", "--cookie-file", "cookie", "--attach", "a@h,"+name).code, name)
	}
	assert.Equal(t, exitUsage, w.run("diagnose", "--top", "0").code)
	assert.Equal(t, exitUsage, w.run("diagnose", "--sample", "1h").code)
	assert.Equal(t, exitUsage, w.run("diagnose", "-o", "junit").code)
	assert.Equal(t, exitUsage, w.run("diagnose", "--since", "yesterday").code)
	w.write("empty.log", "")
	assert.Equal(t, exitOK, w.run("diagnose", "--log", "empty.log").code)
	none := w.run("diagnose", "--log", "nosuch.log")
	assert.Equal(t, exitFailed, none.code)
	assert.Contains(t, none.out, "no such file")
	require.NoError(t, syscall.Mkfifo(filepath.Join(w.dir, "pipe"), 0o600))
	assert.Contains(t, w.run("diagnose", "--log", "pipe").out, "pipe is no regular file")
	w.write("not.dump", "hello")
	assert.Contains(t, w.run("diagnose", "--dump", "not.dump").out, "no crash dump of an Erlang VM")
}

// A cluster that could not start is diagnosed by what it has left.
func TestDiagnoseWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.app(`, {applications, [kernel, stdlib]}, {mod, {a_app, []}}`, `start(_, _) -> error({out_of, luck}).`)
	assert.Equal(t, exitNoStart, w.run("start", "-q", "-n", "1").code)
	r, code := w.diagnose()
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, r.Nodes, "there is nothing to reach")
	assert.Contains(t, about(r, diagnose.AreaCluster, ""), "does not run")
	assert.True(t, slices.ContainsFunc(r.Logs.Groups, func(g diagnose.Group) bool { return strings.Contains(g.Title+g.Example, "luck") }), "%+v", r.Logs)
	w.ok("clean", "-q")
}
