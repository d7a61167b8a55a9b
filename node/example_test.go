package node_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// Two nodes in one program: one serves a counter, the other, which could as well be an Erlang node, uses it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cookie := dist.NewCookie("example")

	// The server: gen_server:call({counter, 'go@127.0.0.1'}, next) does in Erlang what GenCall does below.
	server, err := node.Start(node.Config{Name: "go@127.0.0.1", Cookie: cookie})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	addr, err := server.Listen(ctx, node.ListenConfig{Unregistered: true})
	if err != nil {
		log.Fatal(err)
	}
	count := 0
	_, err = server.StartServer("counter", node.Server{
		Call: func(context.Context, node.Caller, etf.Term) (etf.Term, error) { count++; return count, nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	// And a function: erpc:call('go@127.0.0.1', go, greet, [<<"Erlang">>]).
	server.Handle("go", "greet", func(_ context.Context, args []etf.Term) (etf.Term, error) {
		return fmt.Sprintf("hello %s", args...), nil
	})

	// The client, a guest without a name.
	client, err := node.Start(node.Config{Cookie: cookie})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.AddPeer(node.Peer{Name: "go@127.0.0.1", Addr: addr.String()}); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		t, err := client.GenCall(ctx, etf.Tuple{etf.Atom("counter"), etf.Atom("go@127.0.0.1")}, etf.Atom("next"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t)
	}
	t, err := client.Call(ctx, "go@127.0.0.1", "go", "greet", "Go")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", t)
	// Output:
	// 1
	// 2
	// hello Go
}

// A process watches another, as erlang:monitor/2 does.
func ExampleProcess_Monitor() {
	ctx := context.Background()
	n, err := node.Start(node.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close()
	worker, err := n.Spawn(func(context.Context, *node.Process) error {
		time.Sleep(10 * time.Millisecond)
		return &node.ExitError{Reason: etf.Tuple{etf.Atom("done"), 42}}
	})
	if err != nil {
		log.Fatal(err)
	}
	watcher, err := n.NewProcess()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := watcher.Monitor(ctx, worker.Self()); err != nil {
		log.Fatal(err)
	}
	msg, err := watcher.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if down, ok := msg.(node.Down); ok {
		fmt.Println(etf.Format(down.Reason))
	}
	// Output: {done,42}
}
