package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/nodetest"
)

func TestRPC(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q")
	defer w.ok("stop", "-q")

	assert.Equal(t, "ok\n", w.ok("rpc", "node1", `kv:put({key, 1}, #{a => <<"bin"/utf8>>, 2.5 => [x, "str"]})`))
	assert.Equal(t, `node1@127.0.0.1: {ok,#{2.5 => [x,"str"],a => <<"bin">>}}
node2@127.0.0.1: {ok,#{2.5 => [x,"str"],a => <<"bin">>}}
node3@127.0.0.1: {ok,#{2.5 => [x,"str"],a => <<"bin">>}}
`, w.ok("rpc", "--all", "kv:get({key, 1})"))
	assert.Equal(t, "'node2@127.0.0.1'\n", w.ok("rpc", "node2@127.0.0.1", ":erlang.node()"))
	assert.Equal(t, "printed\nok\n", w.ok("rpc", "node3", `io:format("~s~n", ["printed"])`))

	var rs []rpcResult
	require.NoError(t, json.Unmarshal([]byte(w.ok("rpc", "--all", "-o", "json", `io:format("x")`)), &rs))
	require.Len(t, rs, 3)
	assert.Equal(t, "x", rs[0].Output)
	assert.Equal(t, "ok", *rs[0].Result)

	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"node1", "nosuch:f(1)"}, exitFailed, "error: undef in nosuch:f/1"},
		{[]string{"--all", "erlang:throw(ball)"}, exitFailed, "\nnode2@127.0.0.1: call erlang:throw/1: throw: ball"},
		{[]string{"node9", "erlang:node()"}, exitNoCluster, "there are node1, node2, node3"},
		{[]string{"node1", "erlang:node("}, exitUsage, "column"},
		{[]string{"node1"}, exitUsage, "rpc needs a node and a call"},
		{[]string{"--all", "node1", "erlang:node()"}, exitUsage, "one argument"},
	} {
		r := w.run(append([]string{"rpc"}, tc.args...)...)
		assert.Equal(t, tc.code, r.code, "%v", tc.args)
		assert.Contains(t, r.err, tc.says, "%v", tc.args)
	}
	within(t, func(timeout string) bool {
		r := w.run("rpc", "node1", "timer:sleep(infinity)", "--timeout", timeout)
		assert.Equal(t, exitTimeout, r.code)
		return strings.Contains(r.err, "the call on node1@127.0.0.1 was not done in time")
	})
}

// TestDistinctErrors: what users meet most, each with words and a code of its own.
func TestDistinctErrors(t *testing.T) {
	w := newWorld(t, "erlang-kv")
	w.ok("start", "-q")
	st := w.status()
	outside := newWorld(t, "")
	outside.write("cookie", "not-the-cookie\n")
	_, port, _ := strings.Cut(st.EPMD, ":")
	outside.env = append(outside.env, "ERL_EPMD_PORT="+port, "HOME="+outside.dir)
	right := filepath.Join(st.StateDir, "cookie")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	closed := nodetest.ClosedAddr(t)

	poor := newWorld(t, "erlang-kv")
	poor.env = append(poor.env, "PATH=/nowhere")

	seen := map[string]bool{}
	for _, tc := range []struct {
		name string
		w    *world
		args []string
		code int
		says []string
	}{
		{"wrong cookie", outside, []string{"rpc", "node1@127.0.0.1", "erlang:node()", "--cookie-file", "cookie"}, exitRefused, []string{"rejects the cookie", "--cookie-file"}},
		{"no cookie", outside, []string{"rpc", "node1@127.0.0.1", "erlang:node()"}, exitRefused, []string{"no cookie", "--cookie-file"}},
		{"absent node", outside, []string{"rpc", "absent@127.0.0.1", "erlang:node()", "--cookie-file", right}, exitNoCluster, []string{"is not running", `the name "absent"`, "it knows node"}},
		{"typing error", outside, []string{"rpc", "nod1@127.0.0.1", "erlang:node()", "--cookie-file", right}, exitNoCluster, []string{"is not running", "is node1@127.0.0.1 meant?"}},
		{"nothing listens", outside, []string{"rpc", "node1@127.0.0.1=" + closed, "erlang:node()", "--cookie-file", right}, exitNoCluster, []string{"nothing listens on its distribution port", "the address was given"}},
		{"no address", outside, []string{"rpc", "node1@127.0.0.1=127.0.0.1:99999", "erlang:node()", "--cookie-file", right}, exitUsage, []string{`"127.0.0.1:99999" is no address`}},
		{"no name", outside, []string{"rpc", "no de1@127.0.0.1", "erlang:node()", "--cookie-file", right}, exitUsage, []string{"is not a full node name"}},
		{"no time", outside, []string{"rpc", "node1@127.0.0.1", "erlang:node()", "--timeout", "-1s"}, exitUsage, []string{"--timeout -1s"}},
		{"no such host", outside, []string{"rpc", "node1@no.such.host.invalid", "erlang:node()", "--cookie-file", right}, exitNoCluster, []string{"does not resolve"}},
		{"not a node", outside, []string{"rpc", "node1@127.0.0.1=" + st.EPMD, "erlang:node()", "--cookie-file", right}, exitNoCluster, []string{"cannot be reached"}},
		{"taken port", newWorld(t, "erlang-kv"), []string{"start", "-q", "--epmd-port", taken}, exitNoStart, []string{"port " + taken + " (epmd_port) is taken", "held by pid " + strconv.Itoa(os.Getpid()) + ": beamctl.test"}},
		{"no erl", poor, []string{"start", "-q"}, exitNoStart, []string{"erl is not on PATH", "install it"}},
	} {
		r := tc.w.run(tc.args...)
		assert.Equal(t, tc.code, r.code, "%s: %s", tc.name, r.err)
		for _, want := range tc.says {
			assert.Contains(t, r.err, want, tc.name)
		}
		assert.NotContains(t, r.err, "not-the-cookie")
		first, _, _ := strings.Cut(r.err, "\n")
		assert.False(t, seen[first], "each says something else: %s", first)
		seen[first] = true
	}
	w.ok("stop", "-q")
}
