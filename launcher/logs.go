package launcher

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LogConfig says which logs to read, and how.
type LogConfig struct {
	Nodes  []string       // names, short or full; none: all
	Last   int            // lines of each; 0: all
	Since  time.Time      // only lines from then on; zero: all
	Grep   *regexp.Regexp // only lines that match; nil: all
	Follow bool           // go on with what is written, until ctx ends or the cluster does
}

// LogLine is a line that a node has printed.
type LogLine struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"` // what stands before its @
	Text string    `json:"text"`
}

// ErrNoNode says that the cluster has no such node.
var ErrNoNode = errors.New("no such node")

// Node returns the full name of the node that is called name, short or full.
func (c *Cluster) Node(name string) (string, error) {
	var there []string
	for _, n := range c.record.Spec.Nodes {
		if name == n.Name || name == n.Short() {
			return n.Name, nil
		}
		there = append(there, n.Short())
	}
	return "", fmt.Errorf("%w in cluster %s: %s (there are %s)", ErrNoNode, c.Name(), name, strings.Join(there, ", "))
}

// followPoll is how often a followed log is looked at: as soon as a reader notices, at no cost to speak of.
const followPoll = 50 * time.Millisecond

// Logs calls each with every line of the chosen nodes' console logs, merged in the order of time: what is there, then what
// comes as it comes.
func (c *Cluster) Logs(ctx context.Context, cfg LogConfig, each func(LogLine) error) error {
	var wanted []string
	for _, name := range cfg.Nodes {
		full, err := c.Node(name)
		if err != nil {
			return err
		}
		wanted = append(wanted, full)
	}
	var tails []*logTail
	defer func() {
		for _, t := range tails {
			t.close()
		}
	}()
	for _, n := range c.record.Spec.Nodes {
		if len(wanted) == 0 || slices.Contains(wanted, n.Name) {
			tails = append(tails, &logTail{tail: tail{path: c.place.console(n.Short())}, node: n.Short(), cfg: &cfg})
		}
	}
	for _, t := range tails {
		if cfg.Last > 0 {
			if err := t.skip(cfg.Last); err != nil {
				return err
			}
		}
	}
	for {
		over := !cfg.Follow || !c.record.Supervisor.Alive() // asked before reading, so that nothing is missed
		if err := merge(tails, over, each); err != nil || over {
			return err
		}
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return nil // which is how one stops following
		}
	}
}

// merge passes on what the tails have now, the earliest first. A line that has no end yet counts if this is all.
func merge(tails []*logTail, all bool, each func(LogLine) error) error {
	for {
		var first *logTail
		for _, t := range tails {
			l, err := t.peek(all)
			if err != nil {
				return err
			}
			if l != nil && (first == nil || l.Time.Before(first.ahead[0].Time)) {
				first = t
			}
		}
		if first == nil {
			return nil
		}
		l := first.ahead[0]
		first.ahead = first.ahead[1:]
		if err := each(l); err != nil {
			return err
		}
	}
}

// logTail reads the lines of one node that are wanted.
type logTail struct {
	tail
	node  string
	cfg   *LogConfig
	ahead []LogLine // read, and not passed on yet
	last  time.Time // of the last line: one without a time has that
}

// peek returns the next line, which stays ahead, or nil if there is none yet.
func (t *logTail) peek(all bool) (*LogLine, error) {
	for len(t.ahead) == 0 {
		text, ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			if !all || t.partial == "" {
				return nil, nil //nolint:nilnil // there is none
			}
			text, t.partial = t.partial, ""
		}
		if l, wanted := t.parse(text); wanted {
			t.ahead = append(t.ahead, l)
		}
	}
	return &t.ahead[0], nil
}

func (t *logTail) parse(line string) (LogLine, bool) {
	at, text := stamped(line)
	if at.IsZero() {
		at = t.last
	}
	t.last = at
	wanted := !at.Before(t.cfg.Since) && (t.cfg.Grep == nil || t.cfg.Grep.MatchString(text))
	return LogLine{Time: at, Node: t.node, Text: text}, wanted
}

// skip reads what is there, and keeps the last n lines of it ahead.
func (t *logTail) skip(n int) error {
	for {
		text, ok, err := t.next()
		if !ok {
			t.ahead = t.ahead[max(0, len(t.ahead)-n):]
			return err
		}
		if l, wanted := t.parse(text); wanted {
			t.ahead = append(t.ahead, l)
		}
		if len(t.ahead) > 2*n { // now and then, not for each line
			t.ahead = slices.Clone(t.ahead[len(t.ahead)-n:])
		}
	}
}

// EventConfig says which events to read.
type EventConfig struct {
	Nodes  []string  // names, short or full; none: all, and the cluster's own
	Since  time.Time // only events from then on; zero: all
	Follow bool      // go on with what happens, until ctx ends or the cluster does
}

// Events calls each with what has happened to a cluster and its nodes, as its file tells.
func (c *Cluster) Events(ctx context.Context, cfg EventConfig, each func(Event) error) error {
	var wanted []string
	for _, name := range cfg.Nodes {
		full, err := c.Node(name)
		if err != nil {
			return err
		}
		wanted = append(wanted, full)
	}
	t := tail{path: c.place.events()}
	defer t.close()
	for {
		over := !cfg.Follow || !c.record.Supervisor.Alive()
		lines, err := t.rest()
		if err != nil {
			return err
		}
		for _, l := range lines {
			e, ok := parseEvent(l)
			if !ok || e.Time.Before(cfg.Since) || (len(wanted) > 0 && !slices.Contains(wanted, e.Node)) {
				continue
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return nil
		}
	}
}
