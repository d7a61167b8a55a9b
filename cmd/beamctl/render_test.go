package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher"
)

// inWindow is an app on a terminal of a size.
func inWindow(width, height int) (*app, *bytes.Buffer) {
	var out bytes.Buffer
	s := streams{out: &out, err: &out, outTTY: true, width: width, outSize: func() (int, int) { return width, height }}
	return &app{streams: s, output: "table"}, &out
}

// shown is what a terminal shows of text: its lines without the sequences.
func shown(text string) []string {
	for _, sequence := range []string{cursorHome, eraseAll, eraseLine, eraseBelow} {
		text = strings.ReplaceAll(text, sequence, "")
	}
	return strings.Split(strings.TrimSuffix(uncolored(text), "\n"), "\n")
}

func assertFits(t *testing.T, width int, text, what string) {
	t.Helper()
	for _, line := range shown(text) {
		if !strings.Contains(strings.TrimSpace(line), " ") && !strings.Contains(text, cursorHome) {
			continue // a path, for example, is not broken
		}
		assert.LessOrEqual(t, len([]rune(line)), width, "%s, width %d: %s", what, width, line)
	}
}

// aStatus has nodes in all states; those of so many more are up.
func aStatus(more int) *launcher.Status {
	now := time.Now()
	st := &launcher.Status{Time: now, Since: now, Cluster: "kv", State: launcher.Ready, EPMD: "127.0.0.1:40000", StateDir: "/home/somebody/with/a/long/path/.beamctl/kv"}
	for i := range more {
		st.Nodes = append(st.Nodes, launcher.NodeStatus{
			Name: fmt.Sprintf("up%d@127.0.0.1", i+1), State: launcher.NodeUp, Pid: 1234567, OSPid: 1234567, Port: 9100, Ping: 12.34, Uptime: 7200, Memory: 1 << 30, CPU: 3600,
			OTP: "25", Apps: []string{"kv", "a_second_application"}, Peers: []string{"a@b", "c@d"},
		})
	}
	for _, n := range []launcher.NodeStatus{
		{State: launcher.NodeUp, Missing: []string{"kv"}, Drift: []string{"kv", "kv_store"}, Lost: []string{"kv"}, Restart: 2},
		{State: launcher.NodeCrashed, Exit: "exit status 1", Cause: "the disc is on fire; crash dump: the disc is on fire  (.beamctl/kv/nodes/node2/erl_crash.dump)"},
		{State: launcher.NodeUnreachable, Pid: 1234567, Problem: "does not answer: the node is stopped (SIGSTOP), overloaded, or packets are dropped on the way"},
		{State: launcher.NodeExited, Exit: "exit status 0"},
		{State: launcher.NodeStopped, Exit: "exit status 0"},
	} {
		n.Name = fmt.Sprintf("node%d@127.0.0.1", len(st.Nodes)-more+1)
		st.Nodes = append(st.Nodes, n)
	}
	return st
}

func TestStatusFitsTheWindow(t *testing.T) {
	for _, width := range []int{40, 60, 80, 200} {
		a, out := inWindow(width, 100)
		a.noColor = width == 60
		a.say("%s", a.headline(aStatus(2)))
		require.NoError(t, a.showNodes(a.out, aStatus(2), nil))
		assertFits(t, width, out.String(), "status")
		text := uncolored(out.String())
		for _, want := range []string{"NODE", "STATE", "APPS", "up1", "crashed", "unreachable", "!kv"} {
			assert.Contains(t, text, want, "width %d", width)
		}
		assert.Equal(t, width == 200, strings.Contains(text, "EPMD 127.0.0.1:40000, /home"))
		assert.Equal(t, width == 200, strings.Contains(text, "up1@127.0.0.1    up"))
	}
}

// What is wrong is said below the table in words, and what was meant to be is not.
func TestStatusSaysWhatIsWrong(t *testing.T) {
	a, out := inWindow(200, 100)
	require.NoError(t, a.showNodes(a.out, aStatus(0), nil))
	_, below, _ := strings.Cut(uncolored(out.String()), "\n\n")
	assert.Equal(t, `node1@127.0.0.1 does not run kv
  cause the application was stopped, or has crashed
  fix   beamctl restart node1; why it ended: beamctl logs node1
node1@127.0.0.1 runs code that is not on disk: kv
  cause the project is being built right now, or its last build failed
  fix   mend the source: beamctl sync --compile shows what is wrong
node1@127.0.0.1 runs other code than the disk has: kv_store
  fix   beamctl sync loads it, and beamctl restart, too
node1@127.0.0.1 was restarted 2×
  fix   why it crashed: beamctl events, beamctl logs node1
node2@127.0.0.1 crashed
  saw   exit status 1
  cause the disc is on fire; crash dump: the disc is on fire  (.beamctl/kv/nodes/node2/erl_crash.dump)
  fix   beamctl start node2; what it printed: beamctl logs node2
node3@127.0.0.1 does not answer
  cause the node is stopped (SIGSTOP), overloaded, or packets are dropped on the way
  fix   beamctl diagnose says more; beamctl restart node3 starts it anew
node4@127.0.0.1 ended by itself
  saw   exit status 0
  fix   beamctl start node4; what it printed: beamctl logs node4
`, below)
	assert.Contains(t, a.headline(aStatus(0)), "1 of 5 nodes up")
	assert.NotContains(t, a.headline(&launcher.Status{Nodes: []launcher.NodeStatus{{State: launcher.NodeUp}}}), "nodes up")

	many := &launcher.Status{}
	for i := range 6 {
		many.Nodes = append(many.Nodes, launcher.NodeStatus{Name: fmt.Sprintf("node%d@h", i+1), State: launcher.NodeCrashed, Exit: "killed"})
	}
	assert.Equal(t, "\nnode1@h, node2@h, node3@h and 3 more crashed\n  saw   killed\n  fix   beamctl start NODE…; what it printed: beamctl logs NODE…\n",
		uncolored(a.troubleText(many)), "what is alike is said once")
	drift := launcher.NodeStatus{State: launcher.NodeUp, Name: "node1@h", Drift: []string{"kv"}}
	other := drift
	other.Name = "node3@h"
	assert.Contains(t, uncolored(a.troubleText(&launcher.Status{Nodes: []launcher.NodeStatus{drift, other}})), "\nnode1@h, node3@h run other code than the disk has: kv\n")
	a.cluster = "five"
	assert.Contains(t, a.troubleText(many), "\n  fix   beamctl start --cluster five NODE…; what it printed: beamctl logs --cluster five NODE…\n", "advice is for the same cluster")
	assert.Equal(t, "gone\n  saw   beamctl stop\n        beamctl stop\n  fix   beamctl start --cluster five;\n        beamctl epmd names, beamctl stop --cluster five",
		a.advise("gone\n  saw   beamctl stop\n        beamctl stop\n  fix   beamctl start;\n        beamctl epmd names, beamctl stop"))
	a.stateDir = "/a b"
	assert.Equal(t, "beamctl logs --state-dir '/a b' --cluster five; beamctl clean --state-dir '/a b'", a.advise("beamctl logs; beamctl clean"))
	t.Setenv("BEAMCTL_STATE_DIR", "/a b")
	assert.Equal(t, "beamctl logs --cluster five", a.advise("beamctl logs"), "the next command has it, too")
	wd, err := os.Getwd()
	require.NoError(t, err)
	for project, want := range map[string]string{"/elsewhere": "beamctl logs --state-dir /elsewhere/.beamctl", wd: "beamctl logs", filepath.Dir(wd): "beamctl logs"} {
		assert.Equal(t, want, (&app{project: project}).advise("beamctl logs"), "from here it is found")
	}
}

// A live view never has more lines than the window, where the cursor has one, too: it would scroll.
func TestLiveViewsFitTheWindow(t *testing.T) {
	for _, size := range []window{{40, 8}, {60, 14}, {80, 24}, {100, 4}, {200, 60}} {
		a, out := inWindow(size.width, size.height)
		require.NoError(t, a.snapshot(aStatus(20), nil))
		assertFits(t, size.width, out.String(), "status -w")
		lines := shown(out.String())
		assert.LessOrEqual(t, len(lines), size.height-1)
		if size.height < 20 {
			assert.Regexp(t, `^… and \d+ lines more$`, lines[len(lines)-1])
		}
		if size.height == 8 { // what is wrong comes first
			assert.Contains(t, strings.Join(lines, "\n"), "unreachable")
			assert.NotContains(t, strings.Join(lines, "\n"), "up20")
		}

		out.Reset()
		require.NoError(t, a.showHealth(aReport(3), &healthFlags{}, time.Now(), true))
		assertFits(t, size.width, out.String(), "health --watch")
		lines = shown(out.String())
		assert.LessOrEqual(t, len(lines), size.height-1)
		tall := strings.Contains(out.String(), "supervisors")
		assert.Equal(t, size.height >= 24, tall, "the matrix with a line for each check: only where there is room for it, and for what is wrong")
	}
}

func TestTable(t *testing.T) {
	header := []string{"NODE", "STATE", "SPARE", "LONG"}
	rows := func() [][]string {
		return [][]string{{"node1@127.0.0.1", paint(true, green, "up"), "12345678", "a text of some length"}, {"node2@127.0.0.1", "down", "", "-"}}
	}
	for width, want := range map[int]string{
		0:  "NODE             STATE  SPARE     LONG\nnode1@127.0.0.1  up     12345678  a text of some length\nnode2@127.0.0.1  down             -\n",
		45: "NODE   STATE  SPARE     LONG\nnode1  up     12345678  a text of some length\nnode2  down             -\n",
		40: "NODE   STATE  SPARE     LONG\nnode1  up     12345678  a text of some …\nnode2  down             -\n",
		32: "NODE   STATE  LONG\nnode1  up     a text of some le…\nnode2  down   -\n",
		10: "N…  S…  L…\nn…  up  a…\nn…  d…  -\n",
	} {
		var b bytes.Buffer
		require.NoError(t, table(&b, width, header, rows(), "SPARE"))
		assert.Equal(t, want, uncolored(b.String()), "width %d", width)
	}
	assert.Equal(t, string(red)+"ab…"+reset, cut(paint(true, red, "abcdef"), 3))
	assert.Equal(t, "äö…", cut("äöüß", 3))
}

func TestWrap(t *testing.T) {
	text := "node1@h crashed in a way that takes some words\n  cause one two three four five six seven\n  fix   do\n        more of that, and then some more of it\n  ok    check          what was seen here"
	assert.Equal(t, text, wrap(text, 0))
	assert.Equal(t, `node1@h crashed in a way that
  takes some words
  cause one two three four five
        six seven
  fix   do
        more of that, and then
        some more of it
  ok    check          what was
        seen here`, wrap(text, 32))
	assert.Equal(t, "  ok    check          what was seen here and\n                       there", wrap("  ok    check          what was seen here and there", 47))
}

// TestErrorText has errors of several nodes: as they are, and explained.
func TestErrorText(t *testing.T) {
	both := multierror.Append(nil, errors.New("a: refused"), errors.New("b: refused"))
	assert.Equal(t, "a: refused\nb: refused", errorText(startError{both}))
	f := &checks.Finding{What: "nothing was pushed", Fix: "build again", Err: both}
	assert.Equal(t, f.Error(), errorText(f))
	assert.Equal(t, "x: "+f.Error(), errorText(fmt.Errorf("x: %w", f)))
}
