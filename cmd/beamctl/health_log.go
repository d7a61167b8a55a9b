package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/beamctl/beamctl/checks/diagnose"
	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/launcher"
)

// healthLogBytes is how much of a node's log health reads, its end: what takes a few milliseconds. diagnose reads all of it.
const healthLogBytes = 512 << 10

// errorsLogged reads the logs of the cluster's nodes.
func errorsLogged(c *launcher.Cluster) func(context.Context, string, time.Time) (health.Log, error) {
	hide := diagnose.NewRedactor(c.Secrets()...)
	return func(_ context.Context, node string, since time.Time) (health.Log, error) {
		var sources []diagnose.Source
		for _, f := range c.Files() {
			if f.Kind == launcher.FileLog && f.Node == node {
				sources = append(sources, diagnose.Source{Node: node, Name: f.Name, Open: func() (io.ReadCloser, error) { return tail(f.Path) }})
			}
		}
		if len(sources) == 0 {
			return health.Log{}, health.ErrNoLog
		}
		logs := diagnose.Scan(sources, since, hide)
		groups, n := logs.Errors()
		if n == 0 {
			return health.Log{}, nil
		}
		return health.Log{Errors: n, Example: groups[0].Title, Where: groups[0].Where, Last: groups[0].Last}, nil
	}
}

// tail opens a file near its end.
func tail(path string) (io.ReadCloser, error) {
	f, err := os.Open(path) //nolint:gosec // of the cluster's own folder
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(-healthLogBytes, io.SeekEnd); err != nil { // it is shorter
		_, err = f.Seek(0, io.SeekStart)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return struct {
		io.Reader
		io.Closer
	}{f, f}, nil
}
