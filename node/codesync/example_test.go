package codesync_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/beamctl/beamctl/node/codesync"
	"github.com/beamctl/beamctl/node/internal/examplenode"
)

// A node runs a module, the module is changed and compiled, and the node runs that.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "codesync")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	compile(ctx, dir, "greet", `hello() -> "good morning".`)
	n, stop, err := examplenode.Start(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()

	var text string
	if err := n.CallInto(ctx, examplenode.Name, &text, "greet", "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)

	compile(ctx, dir, "greet", `hello() -> "good evening".`)
	set, err := codesync.ReadDirs(ctx, dir)
	if err != nil {
		log.Fatal(err)
	}
	plan, err := codesync.Compare(ctx, n, []string{examplenode.Name}, set, codesync.Options{})
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
	if err := n.CallInto(ctx, examplenode.Name, &text, "greet", "hello"); err != nil {
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
