// Package nodetest runs real Erlang nodes inside Go tests, each group on an EPMD of its own.
package nodetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
	"github.com/beamctl/beamctl/node"
)

// bootTime is how long a node may take to register: a quiet machine needs 0.1 s, a busy one with -race much more.
const bootTime = 2 * time.Minute

// Cluster is a group of nodes with one EPMD and one cookie.
type Cluster struct {
	t      testing.TB
	EPMD   *epmdtest.EPMD
	Cookie dist.Cookie

	mu         sync.Mutex
	registered map[string]chan struct{}
	rerouted   map[string]uint16
}

// New makes an empty cluster that ends with the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, registered: map[string]chan struct{}{}, rerouted: map[string]uint16{}}
	c.EPMD = epmdtest.StartConfig(t, epmd.Config{Hooks: epmd.Hooks{
		Registered: func(n epmd.Node, _ string) { c.once(n.Name) },
		Lookup:     c.lookup,
	}})
	c.Cookie = dist.NewCookie("nodetest" + strconv.FormatInt(time.Now().UnixNano(), 36))
	return c
}

func (c *Cluster) signal(alive string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signalLocked(alive)
}

func (c *Cluster) signalLocked(alive string) chan struct{} {
	if c.registered[alive] == nil {
		c.registered[alive] = make(chan struct{})
	}
	return c.registered[alive]
}

func (c *Cluster) once(alive string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.signalLocked(alive); !closed(ch) {
		close(ch)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Reroute has all who look the node up dial port, where a test may listen, instead of the node's own; 0 ends that.
func (c *Cluster) Reroute(alive string, port uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rerouted[alive] = port
}

func (c *Cluster) lookup(_ string, n epmd.Node) epmd.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if port := c.rerouted[n.Name]; port != 0 {
		n.Port = port
	}
	return n
}

// Erl is one running node.
type Erl struct {
	Name string
	Pid  int // of the VM

	t    testing.TB
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
}

var serial atomic.Int64

// Erl boots a node named alive@127.0.0.1 with extra arguments for erl, and returns when it is registered. It is killed at
// the end of the test. Its cookie comes from a file in a HOME of its own.
func (c *Cluster) Erl(alive string, args ...string) *Erl {
	c.t.Helper()
	return c.ErlOf("", alive, args...)
}

// ErlOf is Erl with the OTP whose programs are in the folder bin, "" for the one on PATH.
func (c *Cluster) ErlOf(bin, alive string, args ...string) *Erl {
	c.t.Helper()
	return c.ErlAs(bin, alive+"@127.0.0.1", append([]string{"-kernel", "inet_dist_use_interface", "{127,0,0,1}"}, args...)...)
}

// ErlAs is ErlOf with a full name, on any host.
func (c *Cluster) ErlAs(bin, name string, args ...string) *Erl {
	c.t.Helper()
	alive, _, _ := strings.Cut(name, "@")
	ready := c.signal(alive)
	e := c.start(bin, append([]string{"-name", name}, args...))
	e.Name = name
	select {
	case <-ready:
	case <-e.done:
		if !closed(ready) { // else it has done what it was to do before we looked
			c.t.Fatalf("nodetest: %s ended before it registered:\n%s", name, e.Output())
		}
	case <-time.After(bootTime):
		c.t.Fatalf("nodetest: %s did not register within %v:\n%s", name, bootTime, e.Output())
	}
	return e
}

// start runs a VM with the cluster's cookie, in a folder of its own, until the end of the test.
func (c *Cluster) start(bin string, args []string) *Erl {
	c.t.Helper()
	home := c.Home()
	args = append([]string{"-start_epmd", "false", "-noshell", "-noinput"}, args...)
	e := &Erl{t: c.t, out: &lockedBuffer{}, done: make(chan struct{})}
	e.cmd = exec.Command(filepath.Join(bin, "erl"), args...) //nolint:gosec,noctx // a test's own arguments; ended by kill below
	e.cmd.Env = append(os.Environ(), c.EPMD.Env(), "HOME="+home, "ERL_CRASH_DUMP="+filepath.Join(home, "erl_crash.dump"))
	e.cmd.Stdout, e.cmd.Stderr = e.out, e.out
	e.cmd.SysProcAttr = ownGroup()
	e.cmd.Dir = home
	if err := e.cmd.Start(); err != nil {
		c.t.Fatalf("nodetest: a real node is needed: %v", err)
	}
	e.Pid = e.cmd.Process.Pid
	go func() { _ = e.cmd.Wait(); close(e.done) }()
	c.t.Cleanup(e.Kill)
	return e
}

// Home makes a folder with the cookie in it, to be the HOME of a program.
func (c *Cluster) Home() string {
	c.t.Helper()
	home := c.t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(c.Cookie.Secret()), 0o400); err != nil {
		c.t.Fatal(err)
	}
	return home
}

// Run runs a VM with the given arguments, which need not make it a node, until it ends, and returns what it prints.
func (c *Cluster) Run(args ...string) string {
	c.t.Helper()
	return c.RunOf("", args...)
}

// RunOf is Run with the OTP whose programs are in the folder bin.
func (c *Cluster) RunOf(bin string, args ...string) string {
	c.t.Helper()
	return c.start(bin, args).finished()
}

// finished waits for the VM to end well.
func (e *Erl) finished() string {
	e.t.Helper()
	select {
	case <-e.done:
	case <-time.After(bootTime):
		e.t.Fatalf("nodetest: the VM does not end:\n%s", e.Output())
	}
	if !e.cmd.ProcessState.Success() {
		e.t.Fatalf("nodetest: the VM failed:\n%s", e.Output())
	}
	return strings.TrimSpace(e.Output())
}

// Peer says how package node reaches the node.
func (c *Cluster) Peer(e *Erl) node.Peer {
	return node.Peer{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}
}

// Node starts a hidden Go node that knows the given nodes, and waits until each completes a handshake (a node listens a
// moment after it has registered) and has booted.
func (c *Cluster) Node(es ...*Erl) *node.Node {
	c.t.Helper()
	return c.NodeConfig(node.Config{}, es...)
}

// NodeConfig is Node with a configuration; the cookie is the cluster's.
func (c *Cluster) NodeConfig(cfg node.Config, es ...*Erl) *node.Node {
	c.t.Helper()
	cfg.Cookie = c.Cookie
	n, err := node.Start(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = n.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	defer cancel()
	for _, e := range es {
		if err := n.AddPeer(c.Peer(e)); err != nil {
			c.t.Fatal(err)
		}
		for {
			if err = booted(ctx, n, e.Name); err == nil {
				break
			}
			if ctx.Err() != nil {
				c.t.Fatalf("nodetest: %v\n%s", err, e.Output())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return n
}

func booted(ctx context.Context, n *node.Node, name string) error {
	s, err := n.Call(ctx, name, "init", "get_status")
	if err == nil && etf.Format(s) != "{started,started}" {
		err = fmt.Errorf("%s is %s", name, etf.Format(s))
	}
	return err
}

// Kill ends the node at once (SIGKILL to its process group) and waits for it.
func (e *Erl) Kill() {
	e.kill()
	<-e.done
}

// Done is closed when the VM has ended.
func (e *Erl) Done() <-chan struct{} { return e.done }

// Output is what the node has printed.
func (e *Erl) Output() string { return e.out.String() }

// Eval runs Erlang code in a VM of its own that is a node of the cluster, hidden: a second opinion that shares
// no code with ours. It returns what the code prints.
func (c *Cluster) Eval(code string) string {
	c.t.Helper()
	alive := fmt.Sprintf("eval%d", serial.Add(1))
	e := c.Erl(alive, "-hidden", "-eval", code+", halt().")
	return e.finished()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
