package conformance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// goldenTrace is where the session of a release is kept; package dist replays it without the release.
func goldenTrace(r nodetest.Release) string {
	return filepath.Join("..", "..", "dist", "disttest", "testdata", fmt.Sprintf("otp%d.trace", r.Major))
}

// golden has the same session as always with the release, and compares it with the recorded one but for what is random. With
// -update it is recorded anew where they differ.
func golden(t *testing.T, e *Env) {
	e.Cluster().Cookie = dist.NewCookie("golden") // the trace holds its digests
	p := e.Peer()
	reg, err := e.Cluster().EPMD.Client().Lookup(t.Context(), "a")
	require.NoError(t, err)
	proxy := disttest.StartRecordingProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(reg.Port))),
		fmt.Sprintf("golden@127.0.0.1 and a node of %s: handshake, ping, call, exception, monitor, large terms", e.Release))
	n := e.Start(node.Config{Name: "golden@127.0.0.1"})
	require.NoError(t, n.AddPeer(node.Peer{Name: p.Name, Addr: proxy.Addr}))
	session(t, n, p)
	n.Disconnect(p.Name)

	got := proxy.Trace()
	text, err := os.ReadFile(goldenTrace(e.Release))
	if !*update {
		require.NoError(t, err, "make compatibility records it")
	}
	want, err := disttest.ParseTrace(string(text))
	if *update && (err != nil || !slices.Equal(masked(want), masked(got))) {
		require.NoError(t, os.WriteFile(goldenTrace(e.Release), []byte(got.Format()), 0o644)) //nolint:gosec // a fixture
		return
	}
	require.NoError(t, err)
	assert.Equal(t, masked(want), masked(got))
}

// session is what a trace shows. One thing after the other: the order of lines is to be the same each time.
func session(t *testing.T, n *node.Node, p *Peer) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, n.Ping(ctx, p.Name))
	got, err := n.Call(ctx, p.Name, "lists", "reverse", etf.List{1, etf.Atom("b"), "c", 2.5})
	require.NoError(t, err)
	require.Len(t, got, 4)
	_, err = n.Call(ctx, p.Name, "erlang", "throw", etf.Atom("ball"))
	require.Error(t, err)
	proc, err := n.NewProcess()
	require.NoError(t, err)
	ref, err := proc.Monitor(ctx, atoms("nobody", etf.Atom(p.Name)))
	require.NoError(t, err)
	require.Equal(t, ref, receive(t, proc).(node.Down).Ref)
	got, err = n.Call(ctx, p.Name, "erlang", "byte_size", make([]byte, 150_000))
	require.NoError(t, err)
	require.Equal(t, int64(150_000), got)
	got, err = n.Call(ctx, p.Name, "binary", "copy", []byte("b"), 150_000)
	require.NoError(t, err)
	require.Len(t, got, 150_000)
}

// random is what differs between two sessions. A call's number is one of them: how often the node was asked before it
// was ready is not the same each time.
var random = regexp.MustCompile(`(#Ref)?<\w+@[0-9.]+>|creation \d+|sequence \d+|\b\d+,(lists|erlang|binary|return|throw)\b`)

// masked is what a trace says without what is random in it, and without ticks.
func masked(t *disttest.Trace) (lines []string) {
	for _, m := range t.Messages {
		if m.Kind != "tick" {
			lines = append(lines, fmt.Sprintf("%v %s %s", m.Out, m.Kind, random.ReplaceAllString(m.Text(), "…")))
		}
	}
	return lines
}
