package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// noteTime is how long the supervisor may take to write down what a sync has done: that is over, and waits for nothing else.
const noteTime = 2 * time.Second

// Note adds to the cluster's events what somebody else than its supervisor has done to nodes: those of a sync.
func (c *Cluster) Note(ctx context.Context, events []Event) error {
	_, err := c.call(ctx, opNote, events, nil)
	return err
}

// noted takes what a client has done into the events.
func (s *supervisor) noted(args json.RawMessage) error {
	var events []Event
	if err := json.Unmarshal(args, &events); err != nil {
		return err
	}
	for _, e := range events {
		if e.Stage != StageSynced && e.Stage != StageUnsynced {
			return fmt.Errorf("%q is nothing that clients do", e.Stage)
		}
		s.events.emit(e.Node, e.Stage, e.Detail)
	}
	return nil
}

// note has a sync that has changed nodes, or has failed to, noted. That it cannot be is no fault of the sync: the cluster may have ended.
func (cfg *SyncConfig) note(ctx context.Context, rep *SyncReport, err error) {
	events := rep.events(err)
	if cfg.Note == nil || cfg.DryRun || len(events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	_ = cfg.Note(ctx, events)
}

// events are what there is to keep of a sync: of each node that runs other code what has changed there; and why it failed, if it did.
func (r *SyncReport) events(err error) []Event {
	var all []Event
	for _, n := range r.Nodes {
		var did []string
		for _, part := range []struct {
			what    string
			modules []string
		}{{"pushed", n.Pushed}, {"deleted", n.Deleted}} {
			if len(part.modules) > 0 {
				did = append(did, fmt.Sprintf("%s %s", part.what, SomeNames(part.modules)))
			}
		}
		if len(n.Killed) > 0 {
			did = append(did, fmt.Sprintf("killed %d of the processes in old code", len(n.Killed)))
		}
		if len(did) > 0 && (n.State == Synced || n.State == AsBuilt || n.State == Outdated) {
			all = append(all, Event{Node: n.Node, Stage: StageSynced, Detail: strings.Join(did, ", ")})
		}
	}
	if err != nil {
		all = append(all, Event{Stage: StageUnsynced, Detail: Brief(err)})
	}
	return all
}

// Brief is an error in one line: of a finding what it is, and the first thing that was seen.
func Brief(err error) string {
	text := err.Error()
	if f, ok := errors.AsType[*checks.Finding](err); ok {
		saw, _, _ := strings.Cut(f.Saw, "\n")
		text = strings.TrimSuffix(f.What+": "+saw, ": ")
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// SomeNames shows the first of some modules.
func SomeNames(all []string) string {
	const shown = 4
	if len(all) <= shown {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(all[:shown], " "), len(all)-shown)
}
