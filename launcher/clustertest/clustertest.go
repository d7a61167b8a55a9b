package clustertest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
)

// Init has to be the first thing in a TestMain: a cluster's supervisor and guardian are the test binary, started anew.
func Init() {
	if status, ok := launcher.Daemon(os.Args); ok {
		os.Exit(status)
	}
}

// Cluster is a running cluster and a hidden node that can reach all of it.
type Cluster struct {
	*launcher.Cluster
	Node  *node.Node // connects by itself when it is used
	Names []string   // of the nodes: node1@127.0.0.1, …
}

// stopTimeout bounds the end of a cluster; each of its steps has a shorter deadline.
const stopTimeout = 60 * time.Second

// Start starts the project in dir as `beamctl start` would there ([launcher.Resolve]: beamctl.yaml, BEAMCTL_ variables,
// and what is found out), changed by the given functions, and stops it with the test, which fails if anything of the
// cluster is left. A test that fails shows the nodes' logs.
func Start(t testing.TB, dir string, change ...func(*launcher.Spec)) *Cluster {
	t.Helper()
	resolved, err := launcher.Resolve(launcher.Sources{Dir: dir, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	spec := resolved.Spec
	for _, f := range change {
		f(&spec)
	}
	lc, err := launcher.Start(t.Context(), launcher.StartConfig{Spec: spec, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Cluster: lc}
	t.Cleanup(func() {
		if t.Failed() {
			c.showLogs(t)
		}
		if c.Node != nil {
			if err := c.Node.Close(); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout) // t.Context() has ended
		defer cancel()
		if _, err := lc.Stop(ctx, launcher.StopConfig{}); err != nil {
			t.Error(err)
		}
	})
	targets, err := lc.Targets()
	if err != nil {
		t.Fatal(err)
	}
	if c.Node, err = node.Start(node.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if err := c.Node.AddPeer(target.Peer()); err != nil {
			t.Fatal(err)
		}
		c.Names = append(c.Names, target.Name)
	}
	return c
}

// logLines is how much of each node's log a failed test shows.
const logLines = 50

func (c *Cluster) showLogs(t testing.TB) {
	t.Helper()
	err := c.Logs(context.Background(), launcher.LogConfig{Last: logLines}, func(l launcher.LogLine) error {
		t.Logf("%s | %s", l.Node, l.Text)
		return nil
	})
	if err != nil {
		t.Log(err)
	}
}
