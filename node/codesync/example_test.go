package codesync_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// A node runs a module, the module is changed and compiled, and the node runs that.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "codesync")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	compile(ctx, dir, "greet", `hello() -> "good morning".`)
	n, name, stop := startErlang(ctx, dir)
	defer stop()

	var text string
	if err := n.CallInto(ctx, name, &text, "greet", "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)

	compile(ctx, dir, "greet", `hello() -> "good evening".`)
	set, err := codesync.ReadDirs(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	plan, err := codesync.Compare(ctx, n, []string{name}, set, codesync.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, ch := range plan.Nodes[0].Push {
		fmt.Println("to push:", ch.Module)
	}
	report, err := codesync.Push(ctx, n, plan)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pushed:", report.Nodes[0].Pushed)
	if err := n.CallInto(ctx, name, &text, "greet", "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output:
	// good morning
	// to push: greet
	// pushed: 1
	// good evening
}

func compile(ctx context.Context, dir, module, text string) {
	file := filepath.Join(dir, module+".erl")
	text = "-module(" + module + ").\n-export([hello/0]).\n" + text + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, "erlc", "-o", dir, file).CombinedOutput(); err != nil {
		log.Fatalf("%v: %s", err, out)
	}
}

// startErlang boots an Erlang node with an EPMD of its own, and connects to it.
func startErlang(ctx context.Context, dir string) (n *node.Node, name string, stop func()) {
	const cookie = "example"
	if err := os.WriteFile(filepath.Join(dir, ".erlang.cookie"), []byte(cookie), 0o400); err != nil {
		log.Fatal(err)
	}
	up := make(chan struct{}, 1)
	server := epmd.NewServer(epmd.Config{Hooks: epmd.Hooks{Registered: func(epmd.Node, string) { up <- struct{}{} }}})
	addr, err := server.Listen("127.0.0.1:0", "")
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr.String())
	erl := exec.CommandContext(ctx, "erl", "-name", "a@127.0.0.1", "-start_epmd", "false", "-noinput", "-pa", dir,
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}")
	erl.Env = append(os.Environ(), "ERL_EPMD_PORT="+port, "HOME="+dir)
	if err := erl.Start(); err != nil {
		log.Fatal(err)
	}
	if n, err = node.Start(node.Config{Cookie: dist.NewCookie(cookie)}); err != nil {
		log.Fatal(err)
	}
	if err := n.AddPeer(node.Peer{Name: "a@127.0.0.1", EPMD: addr.String()}); err != nil {
		log.Fatal(err)
	}
	<-up
	for n.Ping(ctx, "a@127.0.0.1") != nil && ctx.Err() == nil { // it listens a moment later
		time.Sleep(10 * time.Millisecond)
	}
	return n, "a@127.0.0.1", func() { //nolint:contextcheck // it has one of its own
		_ = n.Close()
		_ = erl.Process.Kill()
		_ = erl.Wait()
		_ = server.Close()
	}
}
