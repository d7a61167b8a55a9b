package launcher

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/checks"
)

const (
	// supervisorFiles is what a supervisor has open without nodes (15), and room for clients, logs and a build.
	supervisorFiles = 40
	// filesPerNode is what it has open for each: door, registration and connection, the reservation of its ports; and room for what
	// the node asks its EPMD while it starts.
	filesPerNode = 8
)

// fewFiles explains that a supervisor may not have as many files open as it needs for n nodes, nil: it may. Without any left it could
// neither start nor end them.
func fewFiles(n int) error {
	var rl unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &rl); err != nil {
		return nil //nolint:nilerr // then it shows when it happens
	}
	need := uint64(supervisorFiles + filesPerNode*n) //nolint:gosec // Validate bounds n
	if rl.Cur >= need {                              // which Go has raised as far as it may
		return nil
	}
	return &checks.Finding{
		What: fmt.Sprintf("beamctl may have too few files open for %d nodes", n), Saw: fmt.Sprintf("ulimit -Hn is %d", rl.Cur),
		Cause: fmt.Sprintf("the cluster's supervisor needs %d: connections with each node, and ports that it holds for them", need),
		Fix:   "raise it: ulimit -n 4096, or LimitNOFILE= of the service; or start fewer nodes",
	}
}
