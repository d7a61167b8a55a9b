package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/nodetest"
)

// TestTLS is the life of a cluster whose nodes speak TLS, with certificates that beamctl makes.
func TestTLS(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.write("beamctl.yaml", "tls: auto\n")
	st := w.started("kv")
	w.well()
	tlsDir := filepath.Join(st.StateDir, "tls")
	for _, f := range files(t, tlsDir)[1:] {
		fi, err := os.Stat(f)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm(), f)
	}
	assert.NoFileExists(t, filepath.Join(tlsDir, ".ca.key"), "nobody else can sign")

	t.Run("from outside", func(t *testing.T) {
		assert.Equal(t, `{ok,[["inet_tls"]]}`, w.inNode(`init:get_argument(proto_dist)`))
		assert.Equal(t, "false\n", w.ok("rpc", "node1", `os:getenv("ERL_AFLAGS")`), "what the application starts is no node")
		r := w.run("exec", "--as-node", "guest", "--", "erl", "-noinput", "-eval",
			`io:format("~p ~p", [node(), length(nodes())]), erpc:call(hd(nodes()), kv, put, [a, 1]), halt()`)
		assert.Equal(t, "'guest@127.0.0.1' 3", r.out, r.err)
		assert.Contains(t, w.ok("env"), "export ERL_FLAGS='-proto_dist inet_tls -ssl_dist_optfile "+tlsDir)
		again := w.ok("exec", "--", binary, "env", "-o", "json")
		assert.Equal(t, 1, strings.Count(again, "-proto_dist"), "a second one would undo the first")
	})

	t.Run("attached", func(t *testing.T) {
		env := w.env
		defer func() { w.env = env }()
		_, port, _ := strings.Cut(st.EPMD, ":")
		w.env = append(w.env, "ERL_EPMD_PORT="+port)
		cookie, ca := "--cookie-file="+filepath.Join(st.StateDir, "cookie"), filepath.Join(tlsDir, ".ca.pem")
		user := filepath.Join(tlsDir, ".user")
		call := func(args ...string) result {
			return w.run(append([]string{"rpc", "node1@127.0.0.1", "erlang:node()", cookie}, args...)...)
		}
		assert.Equal(t, "'node1@127.0.0.1'\n", call("--tls-optfile", user+".conf").out)
		assert.Equal(t, "'node1@127.0.0.1'\n", call("--tls-ca", ca, "--tls-cert", user+".pem", "--tls-key", user+".key").out)
		w.well("--attach", "node1@127.0.0.1,node2@127.0.0.1", cookie, "--tls-optfile", user+".conf")
		diagnosed, code := w.diagnose("--attach-from", "node1@127.0.0.1", cookie, "--tls-optfile", user+".conf")
		assert.Equal(t, exitOK, code, "%+v", diagnosed.Findings)
		assert.Len(t, diagnosed.Links, 6)
		for _, l := range diagnosed.Links {
			assert.True(t, l.Counted, "%+v", l)
			assert.Positive(t, l.OutAll, "%+v", l)
		}

		stranger := nodetest.NewAuthority(t)
		stranger.Issue("stranger", "127.0.0.1")
		for name, args := range map[string][]string{
			"tls-wrong-authority": {"--tls-optfile", stranger.Args("stranger")[3]},
			"tls-no-certificate":  {"--tls-ca", ca},
			"tls-not-spoken":      nil,
		} {
			r := call(args...)
			assert.NotEqual(t, exitOK, r.code)
			golden(t, name, w.masked(r.err))
		}
		assert.Equal(t, exitUsage, call("--tls-ca", user+".key").code)
		assert.Equal(t, exitUsage, call("--tls-optfile", user+".conf", "--tls-ca", ca).code)
	})

	t.Run("changed", func(t *testing.T) {
		w.ok("add")
		w.ok("remove", "node1")
		w.ok("restart", "node2")
		w.well()
		assert.NoFileExists(t, filepath.Join(tlsDir, "node1.key"))
	})
	id := w.record().ID
	w.ok("stop", "--keep")
	assert.Empty(t, marked(id))
	assert.NoDirExists(t, tlsDir, "nothing is kept with which one could join")
	w.ok("clean")
}

// TestTLSFiles has nodes with certificates of the user's.
func TestTLSFiles(t *testing.T) {
	ca, other := nodetest.NewAuthority(t), nodetest.NewAuthority(t)
	w := newWorld(t, "erlang-kv")
	w.write("beamctl.yaml", "count: 2\ntls: 'certs of {{.Node}}.conf'\n")
	for i, a := range []*nodetest.Authority{ca, ca, other} {
		name := fmt.Sprintf("node%d", i+1)
		a.Issue(name, "127.0.0.1")
		opt, err := os.ReadFile(a.Args(name)[3])
		require.NoError(t, err)
		w.write("certs of "+name+".conf", string(opt))
	}
	w.started("kv")
	w.well()
	w.stopped()

	// Long before its time is up: which of the nodes says so first, and whether it has refused or was refused, is open.
	r := w.run("start", "-q", "-n", "3")
	assert.Equal(t, exitNoStart, r.code)
	either := regexp.MustCompile(`(node)\d|(?:(?:generated|received) (?:CLIENT|SERVER)|TLS (?:client|server)).*( ALERT)`)
	golden(t, "tls-of-two-authorities", either.ReplaceAllString(w.masked(r.err), "$1$2"))
	w.ok("clean")
}

// TestTLSOfItsOwn has a node that is started by a script, as releases are, with flags that beamctl knows nothing of.
func TestTLSOfItsOwn(t *testing.T) {
	ca := nodetest.NewAuthority(t)
	ca.Issue("node1", "127.0.0.1")
	w := newWorld(t, "")
	w.write("vm.args", strings.Join(append(ca.Args("node1"), "-noinput", "-name", "node1@127.0.0.1"), "\n"))
	w.write("beamctl.yaml", "count: 1\nruntime: command\ndistribution: own\ncommand: [erl, -args_file, "+w.dir+"/vm.args]\n")
	r := w.run("start", "-q")
	assert.Equal(t, exitNoStart, r.code)
	golden(t, "tls-of-its-own", w.masked(r.err))

	// And where the cluster speaks TLS as well, the same flag is there twice.
	w.write("proto.args", "-proto_dist inet_tls")
	w.write("beamctl.yaml", "count: 1\ntls: auto\nruntime: erl\nargs: [-args_file, "+w.dir+"/proto.args]\n")
	r = w.run("start", "-q")
	assert.Equal(t, exitNoStart, r.code)
	golden(t, "tls-twice", w.masked(r.err))
	w.ok("clean")
}
