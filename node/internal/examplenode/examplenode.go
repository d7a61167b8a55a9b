// Package examplenode is the Erlang node that the examples of package node's own packages talk to, and the Go node with which they do. A
// test has package nodetest for that; an example has no test to give it.
package examplenode

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/node"
)

// Name is that of the Erlang node.
const Name = "a@127.0.0.1"

const (
	cookie = "example"
	// pause is that between two looks whether the node listens, which it does a moment after it has registered.
	pause = 10 * time.Millisecond
)

// Start boots an Erlang node with an EPMD of its own, and connects n to it. dir is its HOME, and in its code path. stop ends all of it.
func Start(ctx context.Context, dir string) (n *node.Node, stop func(), err error) {
	if err := os.WriteFile(filepath.Join(dir, ".erlang.cookie"), []byte(cookie), 0o400); err != nil {
		return nil, nil, err
	}
	server := epmd.NewServer(epmd.Config{})
	n, err = node.Start(node.Config{Cookie: dist.NewCookie(cookie)})
	if err != nil {
		return nil, nil, err
	}
	erl := exec.Command("erl", "-name", Name, "-start_epmd", "false", "-noinput", "-pa", dir, //nolint:noctx // stop ends it
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}")
	stop = func() { //nolint:contextcheck // the node has one of its own
		_ = n.Close()
		if erl.Process != nil {
			_ = erl.Process.Kill()
			_ = erl.Wait()
		}
		_ = server.Close()
	}
	if err := connect(ctx, n, server, erl, dir); err != nil {
		stop()
		return nil, nil, err
	}
	return n, stop, nil
}

func connect(ctx context.Context, n *node.Node, server *epmd.Server, erl *exec.Cmd, dir string) error {
	addr, err := server.Listen("127.0.0.1:0", "")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return err
	}
	erl.Env = append(os.Environ(), "ERL_EPMD_PORT="+port, "HOME="+dir)
	if err := erl.Start(); err != nil {
		return err
	}
	if err := n.AddPeer(node.Peer{Name: Name, EPMD: addr.String()}); err != nil {
		return err
	}
	for {
		err := n.Ping(ctx, Name)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
	}
}
