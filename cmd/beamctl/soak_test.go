package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/launcher"
)

var (
	soakCycles = flag.Int("soak", 3, "cycles of TestSoak")
	soakSeed   = flag.Uint64("seed", 0, "seed of TestSoak; 0: a new one, which is shown")
)

// soak is the world of one soak: cycles of start, health, stop, each disturbed in one way at a random moment.
type soak struct {
	*world
	rnd  *rand.Rand
	base []string // files that were there before
	ids  map[string]bool
	hits int // processes that were signalled: moments that were too early are no test
}

// disturbances are what may go wrong in a cycle. Each returns when it is over; cli is the start command, which runs or has
// ended. What it has to undo it undoes by itself.
var disturbances = []struct {
	name string
	do   func(s *soak, cli *exec.Cmd)
}{
	{"nothing", func(*soak, *exec.Cmd) {}},
	{"kill the supervisor", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGKILL, supervisorPid) }},
	{"kill the guardian", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGKILL, guardianPid) }},
	{"kill both", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGKILL, supervisorPid, guardianPid) }},
	{"kill a node", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGKILL, s.anyNode()) }},
	{"kill the CLI", func(_ *soak, cli *exec.Cmd) { _ = cli.Process.Kill() }},
	{"interrupt the CLI", func(_ *soak, cli *exec.Cmd) { _ = cli.Process.Signal(os.Interrupt) }},
	{"freeze a node", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGSTOP, s.anyNode()) }},
	{"freeze the supervisor for a while", func(s *soak, _ *exec.Cmd) { s.freeze(supervisorPid) }},
	{"freeze the guardian for a while", func(s *soak, _ *exec.Cmd) { s.freeze(guardianPid) }},
	{"freeze the guardian", func(s *soak, _ *exec.Cmd) { s.signal(syscall.SIGSTOP, guardianPid) }},
	{"freeze the supervisor, then kill it", func(s *soak, _ *exec.Cmd) {
		s.signal(syscall.SIGSTOP, supervisorPid)
		time.Sleep(s.moment())
		s.signal(syscall.SIGKILL, supervisorPid)
	}},
	{"steal a name", (*soak).stealName},
	{"remove the state directory", func(s *soak, _ *exec.Cmd) { _ = os.RemoveAll(filepath.Join(s.dir, ".beamctl")) }},
}

func supervisorPid(r launcher.Record) int { return r.Supervisor.Pid }
func guardianPid(r launcher.Record) int   { return r.Guardian.Pid }

// TestSoak runs -soak cycles. After each, nothing of it may be left, and nothing else may have been touched: a bystander
// cluster with the same names, and an epmd of the user's own with a node.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	s := &soak{world: newWorld(t, "erlang-kv"), rnd: rand.New(rand.NewPCG(seed, 0)), ids: make(map[string]bool)}
	s.ok("start") // builds
	s.ok("stop")
	s.base = files(t, filepath.Dir(s.dir))
	unharmed := bystanders(t)
	for i := range *soakCycles {
		s.cycle(i)
		unharmed()
		if t.Failed() {
			t.Fatalf("cycle %d failed; again with -seed=%d -soak=%d", i, seed, i+1)
		}
	}
	t.Logf("%d cycles, %d signals that hit, %d clusters", *soakCycles, s.hits, len(s.ids))
}

// moment is a random part of what a start takes.
func (s *soak) moment() time.Duration {
	return time.Duration(s.rnd.Int64N(int64(900 * time.Millisecond)))
}

func (s *soak) cycle(i int) {
	d := disturbances[s.rnd.IntN(len(disturbances))]
	late := s.rnd.IntN(3) == 0 // at a moment of the stop, not of the start
	at, thief, disk := s.moment(), s.rnd.IntN(4) == 0, os.Getuid() == 0 && s.rnd.IntN(6) == 0
	args := []string{"start", "-q", "--timeout", "20s"}
	if s.rnd.IntN(3) == 0 {
		args = append(args, "--restart", "on-crash")
	}
	if s.rnd.IntN(4) == 0 {
		args = append(args, "--tls", "auto")
	}
	name := fmt.Sprintf("cycle %d: %s after %s (of the stop: %t, ports stolen: %t, disk full: %t) %v", i, d.name, at.Round(time.Millisecond), late, thief, disk, args[4:])
	s.t.Log(name)
	if thief {
		defer s.stealPorts()()
	}
	if disk {
		defer s.fullDisk()()
		args = append(args, "--state-dir", "small")
	}
	cli := s.cmd(args...)
	var out bytes.Buffer
	cli.Stdout, cli.Stderr = &out, &out
	require.NoError(s.t, cli.Start())
	ended := make(chan struct{})
	go func() { _ = cli.Wait(); close(ended) }()
	if !late {
		time.Sleep(at)
		s.remember()
		d.do(s, cli)
	}
	s.remember()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		s.t.Errorf("%s: start hangs\n%s", name, out.String())
		_ = cli.Process.Kill()
		<-ended
	}
	s.remember()
	if !slices.Contains([]int{0, exitNoStart, exitTimeout, exitInterrupted, exitRefused, -1}, cli.ProcessState.ExitCode()) {
		s.t.Errorf("%s: start: exit code %d\n%s", name, cli.ProcessState.ExitCode(), out.String())
	}
	where := args[len(args)-2:]
	if !disk {
		where = nil
	}
	for _, verb := range []string{"status", "health"} {
		r := s.run(append([]string{verb, "--timeout", "3s"}, where...)...)
		if r.code == exitBug || r.code == exitUsage {
			s.t.Errorf("%s: %s: exit code %d\n%s", name, verb, r.code, r.err)
		}
	}
	if late {
		first := s.cmd(append([]string{"stop", "-q"}, where...)...)
		require.NoError(s.t, first.Start())
		time.Sleep(at)
		d.do(s, first)
		_ = first.Wait() // whatever it says: it was disturbed
		s.remember()
	}
	if r := s.run(append([]string{"stop"}, where...)...); r.code != 0 && r.code != exitNoCluster {
		s.t.Errorf("%s: stop: exit code %d\n%s", name, r.code, r.err)
	}
	s.remember()
	if r := s.run(append([]string{"clean"}, where...)...); r.code != 0 {
		s.t.Errorf("%s: clean: exit code %d\n%s", name, r.code, r.err)
	}
	s.nothingIsLeft(name)
}

// remember notes which clusters there are.
func (s *soak) remember() {
	for _, id := range s.world.ids() {
		s.ids[id] = true
	}
}

// nothingIsLeft looks for processes, files, sockets. What was killed may need a moment.
func (s *soak) nothingIsLeft(name string) {
	s.t.Helper()
	var left []string
	deadline := time.Now().Add(time.Minute)
	for {
		left = nil
		for _, pid := range s.processesHere() {
			cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			left = append(left, fmt.Sprintf("process %d %q", pid, cmdline))
		}
		for id := range s.ids {
			for _, pid := range marked(id) {
				left = append(left, fmt.Sprintf("process %d of %s", pid, id))
			}
		}
		for _, f := range files(s.t, filepath.Dir(s.dir)) {
			if !slices.Contains(s.base, f) && !strings.Contains(f, "/small") {
				left = append(left, f)
			}
		}
		if small, _ := filepath.Glob(filepath.Join(s.dir, "small", "*")); len(small) > 0 {
			left = append(left, slices.DeleteFunc(small, func(f string) bool { return filepath.Base(f) == "ballast" })...)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%s: this is left: %v", name, left)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// signal sends sig to processes of the cluster, if there are any yet.
func (s *soak) signal(sig syscall.Signal, which ...func(launcher.Record) int) {
	for _, r := range append(s.records(), s.recordsIn("small")...) {
		for _, pid := range which {
			if p := pid(r); p > 1 && slices.Contains(marked(r.ID), p) {
				if syscall.Kill(p, sig) == nil {
					s.hits++
				}
			}
		}
	}
}

func (s *soak) freeze(which func(launcher.Record) int) {
	s.signal(syscall.SIGSTOP, which)
	time.Sleep(s.moment())
	s.signal(syscall.SIGCONT, which)
}

func (s *soak) anyNode() func(launcher.Record) int {
	i := s.rnd.IntN(3)
	return func(r launcher.Record) int {
		if i >= len(r.Nodes) {
			return 0
		}
		return r.Nodes[i].Process.Pid
	}
}

// stealName tries to register a node's name with the cluster's EPMD before the node can, or when it is down.
func (s *soak) stealName(_ *exec.Cmd) {
	for _, r := range s.records() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		client := epmd.Client{Addr: r.EPMD}
		if reg, err := client.Register(ctx, epmd.Node{Name: "node2", Port: 1}); err == nil {
			s.t.Error("somebody else got the name of a node")
			_ = reg.Close()
		}
		cancel()
	}
}

// stealPorts takes some of the ports that nodes get by default.
func (s *soak) stealPorts() (giveBack func()) {
	var held []net.Listener
	for range 5 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 9100+s.rnd.IntN(8))); err == nil {
			held = append(held, l)
		}
	}
	return func() {
		for _, l := range held {
			_ = l.Close()
		}
	}
}

// fullDisk gives the state directory a disk of a megabyte, which becomes full at a random moment.
func (s *soak) fullDisk() (remove func()) {
	at := filepath.Join(s.dir, "small")
	require.NoError(s.t, os.MkdirAll(at, 0o755))
	require.NoError(s.t, mountSmallDisk(at))
	when := s.moment()
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(when)
		_ = os.WriteFile(filepath.Join(at, "ballast"), make([]byte, 2<<20), 0o600) // as much as there is room for
	}()
	return func() {
		<-done
		if err := unix.Unmount(at, 0); err != nil { // something keeps it busy
			s.t.Error(err)
		}
		_ = os.Remove(at)
	}
}

// bystanders start what must not be touched, and return how to see that it wasn't.
func bystanders(t *testing.T) (unharmed func()) {
	t.Helper()
	other := newWorld(t, "erlang-kv")
	other.ok("start")
	t.Cleanup(func() { other.ok("stop") })
	before := other.record()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	env := append(other.env, fmt.Sprintf("ERL_EPMD_PORT=%d", port), "HOME="+t.TempDir())
	var pids []int
	for _, args := range [][]string{
		{"epmd", "-address", "127.0.0.1", "-port", fmt.Sprint(port)},
		{"erl", "-noinput", "-start_epmd", "false", "-name", "node1@127.0.0.1", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = env
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		pids = append(pids, cmd.Process.Pid)
		eventually(t, "epmd answers", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	}
	client := epmd.Client{Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	names := func() string {
		ns, err := client.Names(context.Background())
		return fmt.Sprint(ns, err)
	}
	eventually(t, "the user's node is registered", func() bool { return strings.Contains(names(), "node1") })
	registered := names()
	return func() {
		t.Helper()
		for _, pid := range pids {
			assert.True(t, alive(pid), "the user's epmd and node")
		}
		assert.Equal(t, registered, names(), "what the user's epmd knows")
		now := other.record()
		assert.Equal(t, before.Supervisor, now.Supervisor)
		assert.Equal(t, before.Nodes, now.Nodes)
		other.meshed(3)
	}
}
