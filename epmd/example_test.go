package epmd_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/beamctl/beamctl/epmd"
)

func Example() {
	s := epmd.NewServer(epmd.Config{})
	defer s.Close()
	addr, err := s.Listen("127.0.0.1:0", "")
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	c := &epmd.Client{Addr: addr.String()}
	r, err := c.Register(ctx, epmd.Node{Name: "shop", Port: 9100, Type: epmd.TypeHidden})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()

	n, err := c.Lookup(ctx, "shop")
	fmt.Println(n.Name, n.Port, n.Type, err)
	_, err = c.Lookup(ctx, "bakery")
	fmt.Println(errors.Is(err, epmd.ErrNotRegistered))
	// Output:
	// shop 9100 hidden <nil>
	// true
}

// A listener for each node, so that the hooks know who asks.
func ExampleHooks() {
	s := epmd.NewServer(epmd.Config{Hooks: epmd.Hooks{
		Registered: func(n epmd.Node, asker string) { fmt.Println(n.Name, "came on the port of", asker) },
		Lookup: func(asker string, n epmd.Node) epmd.Node {
			fmt.Println(asker, "asked for", n.Name)
			n.Port = 9999 // a proxy's
			return n
		},
	}})
	defer s.Close()
	ctx := context.Background()
	clients := map[string]*epmd.Client{}
	for _, asker := range []string{"node1", "node2"} {
		addr, err := s.Listen("127.0.0.1:0", asker)
		if err != nil {
			log.Fatal(err)
		}
		clients[asker] = &epmd.Client{Addr: addr.String()}
	}
	r, err := clients["node1"].Register(ctx, epmd.Node{Name: "node1", Port: 9100})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	n, err := clients["node2"].Lookup(ctx, "node1")
	fmt.Println(n.Port, err)
	// Output:
	// node1 came on the port of node1
	// node2 asked for node1
	// 9999 <nil>
}

func ExampleClient_Keep() {
	s := epmd.NewServer(epmd.Config{})
	defer s.Close()
	addr, err := s.Listen("127.0.0.1:0", "")
	if err != nil {
		log.Fatal(err)
	}
	c := &epmd.Client{Addr: addr.String()}
	k, err := c.Keep(context.Background(), epmd.Node{Name: "shop", Port: 9100}, func(err error) {
		log.Println("registration of shop:", err) // nil: it is back
	})
	if err != nil {
		log.Fatal(err)
	}
	names, err := c.Names(context.Background())
	fmt.Println(names, err)
	fmt.Println(k.Close())
	// Output:
	// [{shop 9100}] <nil>
	// <nil>
}
