package remsh_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/beamctl/beamctl/node/internal/examplenode"
	"github.com/beamctl/beamctl/node/remsh"
)

// Lines are evaluated by the node's own shell.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "remsh")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	n, stop, err := examplenode.Start(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()

	s, err := remsh.Open(ctx, n, examplenode.Name, "")
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
