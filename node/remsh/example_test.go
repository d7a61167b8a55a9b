package remsh_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/remsh"
)

// Lines are evaluated by the node's own shell.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, name, stop := startErlang(ctx)
	defer stop()

	s, err := remsh.Open(ctx, n, name, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Language)
	if err := s.Pipe(ctx, strings.NewReader("X = lists:seq(1, 5).\nlists:sum(X).\nnode().\n"), os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// erlang
	// [1,2,3,4,5]
	// 15
	// 'a@127.0.0.1'
}

// startErlang boots an Erlang node with an EPMD of its own, and connects to it.
func startErlang(ctx context.Context) (n *node.Node, name string, stop func()) {
	const cookie = "example"
	dir, err := os.MkdirTemp("", "remsh")
	if err != nil {
		log.Fatal(err)
	}
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
	erl := exec.CommandContext(ctx, "erl", "-name", "a@127.0.0.1", "-start_epmd", "false", "-noinput", "-kernel", "inet_dist_use_interface", "{127,0,0,1}")
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
		_ = os.RemoveAll(dir)
	}
}
