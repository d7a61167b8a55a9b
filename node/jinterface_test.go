package node_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// Java finds us by EPMD, connects and calls: jinterface, a third implementation of the protocol, which has no fragments, no erpc, and
// waits for answers in its own way.
func TestJInterface(t *testing.T) {
	c := nodetest.New(t)
	n, _ := open(t, c, node.Config{Name: "go@127.0.0.1"})
	n.Handle("go", "twice", func(_ context.Context, args []etf.Term) (etf.Term, error) { return etf.List{args[0], args[0]}, nil })
	echo, err := n.StartServer("echo", node.Server{
		Call: func(_ context.Context, _ node.Caller, req etf.Term) (etf.Term, error) {
			if req == etf.Term(etf.Atom("self")) {
				return n.Whereis("echo").Self(), nil
			}
			return req, nil
		},
		Cast: func(_ context.Context, msg etf.Term) error {
			return &node.ExitError{Reason: etf.Tuple{etf.Atom("asked_to"), msg}}
		},
	})
	require.NoError(t, err)
	events, stop := n.Events()
	defer stop()

	jar := c.Run("-eval", `io:put_chars(filename:join([code:lib_dir(jinterface), "priv", "OtpErlang.jar"])), halt().`)
	classes := t.TempDir()
	run := func(program string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, args...)
		home := c.Home()
		// OtpEpmd asks the port of ERL_EPMD_PORT; the cookie is read from user.home.
		cmd.Env = append(os.Environ(), c.EPMD.Env(), "HOME="+home, "JAVA_TOOL_OPTIONS=-Duser.home="+home+" -Dfile.encoding=UTF-8 -XX:-UsePerfData")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s%s", out, &stderr)
		return string(out)
	}
	run("javac", "-cp", jar, "-d", classes, filepath.Join("testdata", "Client.java"))
	out := run("java", "-Xmx64m", "-cp", jar+string(os.PathListSeparator)+classes, "Client", "java@127.0.0.1", "go@127.0.0.1")
	assert.Equal(t, `ping true
gen_call true {say,"héllo"}
large 200000
exit {asked_to,stop}
rpc [{-1,1.5},{-1,1.5}]
rpc {badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}
`, out)
	<-echo.Done()
	for _, want := range []node.Event{
		{Node: "java@127.0.0.1", Up: true, Inbound: true},
		{Node: "java@127.0.0.1"},
		{Node: "rpcjava@127.0.0.1", Up: true, Inbound: true},
		{Node: "rpcjava@127.0.0.1"},
	} {
		got := next(t, events)
		got.Err = nil
		assert.Equal(t, want, got)
	}
}
