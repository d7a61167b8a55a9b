// Command beamctl starts, checks, feeds and clears away real multi-node BEAM clusters. Here are flags, streams, exit codes and
// rendering; everything else is in the packages.
package main

import (
	"context"
	"os"

	"github.com/beamctl/beamctl/launcher"
)

func main() {
	if status, ok := launcher.Daemon(os.Args); ok {
		os.Exit(status)
	}
	os.Exit(Run(context.Background(), stdStreams(), os.Args[1:]))
}
