package launcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// LogConfig says which logs to read, and how.
type LogConfig struct {
	Nodes  []string // names, short or full; none: all
	Last   int      // lines of each; negative: all
	Follow bool     // go on with what is written, until ctx ends or the cluster does
}

// ErrNoNode says that the cluster has no such node.
var ErrNoNode = errors.New("no such node")

// Node returns the full name of the node that is called name, short or full.
func (c *Cluster) Node(name string) (string, error) {
	for _, n := range c.record.Spec.Nodes {
		if name == n.Name || name == n.Short() {
			return n.Name, nil
		}
	}
	return "", fmt.Errorf("%w in cluster %s: %s", ErrNoNode, c.Name(), name)
}

// followPoll is how often a followed log is looked at: as soon as a reader notices, at no cost to speak of.
const followPoll = 50 * time.Millisecond

// Logs calls each with every line of the chosen nodes' console logs: of one node after the other what is there,
// then what comes as it comes. each gets the short name and the line without its end.
func (c *Cluster) Logs(ctx context.Context, cfg LogConfig, each func(node, line string) error) error {
	var tails []*tail
	defer func() {
		for _, t := range tails {
			t.close()
		}
	}()
	var wanted []string
	for _, name := range cfg.Nodes {
		full, err := c.Node(name)
		if err != nil {
			return err
		}
		wanted = append(wanted, full)
	}
	for _, n := range c.record.Spec.Nodes {
		if len(wanted) > 0 && !slices.Contains(wanted, n.Name) {
			continue
		}
		t := &tail{node: n.Short(), path: c.place.console(n.Short())}
		tails = append(tails, t)
		lines, err := t.read()
		if err != nil {
			return err
		}
		if cfg.Last >= 0 {
			lines = lines[max(0, len(lines)-cfg.Last):]
		}
		if !cfg.Follow && t.partial != "" { // the last line may never be ended
			lines = append(lines, t.partial)
		}
		for _, l := range lines {
			if err := each(t.node, l); err != nil {
				return err
			}
		}
	}
	for cfg.Follow {
		over := !c.record.Supervisor.Alive() // asked before reading, so that nothing is missed
		for _, t := range tails {
			lines, err := t.read()
			if err != nil {
				return err
			}
			for _, l := range lines {
				if err := each(t.node, l); err != nil {
					return err
				}
			}
		}
		if over {
			return nil
		}
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return nil // which is how one stops following
		}
	}
	return nil
}

// tail reads a log that grows.
type tail struct {
	node, path string
	file       *os.File
	reader     *bufio.Reader
	partial    string // an unfinished last line
}

// read returns the lines that were completed since the last call.
func (t *tail) read() ([]string, error) {
	if t.file == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, os.ErrNotExist) { // not started yet
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		t.file, t.reader = f, bufio.NewReader(f)
	}
	var lines []string
	for {
		s, err := t.reader.ReadString('\n')
		t.partial += s
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, fmt.Errorf("log of %s: %w", t.node, err)
		}
		lines = append(lines, strings.TrimRight(t.partial, "\r\n"))
		t.partial = ""
	}
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}
