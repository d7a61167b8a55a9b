package checks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// The stages on a node's way to ready, as WaitReady reports them.
const (
	StageConnect = "connecting" // until our handshake is complete: distribution listens, the cookie is right
	StageBoot    = "booting"    // until init is done
	StageApps    = "starting applications"
	StageMesh    = "joining" // until the node sees all its peers
	StageReady   = "ready"
)

// A node that is not ready is asked again after readyPoll, a round trip being a tenth of that; later less and less
// often, so that whoever takes long is not slowed down by being asked, and is late by no more than a readyShare of what
// it took.
const (
	readyPoll  = 2 * time.Millisecond
	readyShare = 20
	readyPause = 250 * time.Millisecond // the longest
)

// WaitReady returns nil once t completes our handshake, its init is done, its Apps run and its nodes(visible) holds
// every one of peers. report is called at each new stage. When ctx ends first, the error has the last observed cause.
func WaitReady(ctx context.Context, n *node.Node, t Target, peers []string, report func(stage string)) error {
	if err := n.AddPeer(t.Peer()); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		try  func(context.Context) error
	}{
		{StageConnect, func(ctx context.Context) error { return n.Connect(ctx, t.Name) }},
		{StageBoot, func(ctx context.Context) error { return booted(ctx, n, t.Name) }},
		{StageApps, func(ctx context.Context) error { return appsRun(ctx, n, t) }},
		{StageMesh, func(ctx context.Context) error { return sees(ctx, n, t.Name, peers) }},
	} {
		report(s.name)
		if err := retry(ctx, s.try); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	report(StageReady)
	return nil
}

// retry calls try until it succeeds, ctx ends or it fails for good. The last real cause survives a deadline.
func retry(ctx context.Context, try func(context.Context) error) error {
	var last error
	began := time.Now()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if errors.Is(err, node.ErrWrongCookie) || errors.Is(err, dist.ErrNoCookie) || errors.Is(err, node.ErrUnresolved) || errors.Is(err, node.ErrClosed) ||
			errors.Is(err, dist.ErrSpeaksTLS) {
			return err
		}
		select {
		case <-time.After(min(max(readyPoll, time.Since(began)/readyShare), readyPause)):
		case <-ctx.Done():
			return last
		}
	}
}

func booted(ctx context.Context, n *node.Node, name string) error {
	t, err := n.Call(ctx, name, "init", "get_status")
	if err != nil {
		return err
	}
	if s, ok := t.(etf.Tuple); ok && len(s) == 2 && s[0] == etf.Atom("started") {
		return nil
	}
	return fmt.Errorf("init:get_status() is %s", etf.Format(t))
}

func appsRun(ctx context.Context, n *node.Node, t Target) error {
	if len(t.Apps) == 0 {
		return nil
	}
	running, err := runningApps(ctx, n, t.Name)
	if err != nil {
		return err
	}
	have := make(map[string]bool, len(running))
	for app := range running {
		have[app] = true
	}
	if m := missing(t.Apps, have); len(m) > 0 {
		return fmt.Errorf("%s not running", strings.Join(m, ", "))
	}
	return nil
}

// whichTimeout is the time application:which_applications/1 has, in milliseconds.
const whichTimeout = 5000

// runningApps returns the running applications with their versions.
func runningApps(ctx context.Context, n *node.Node, name string) (map[string]string, error) {
	var apps []struct {
		App  etf.Atom
		Desc etf.Term
		Vsn  string
	}
	if err := n.CallInto(ctx, name, &apps, "application", "which_applications", whichTimeout); err != nil {
		return nil, err
	}
	m := make(map[string]string, len(apps))
	for _, a := range apps {
		m[string(a.App)] = a.Vsn
	}
	return m, nil
}

func sees(ctx context.Context, n *node.Node, name string, peers []string) error {
	if len(peers) == 0 {
		return nil
	}
	have, err := visibleFrom(ctx, n, name)
	if err != nil {
		return err
	}
	if m := missing(peers, have); len(m) > 0 {
		return fmt.Errorf("does not see %s", strings.Join(m, ", "))
	}
	return nil
}

// visibleFrom returns the node's nodes(visible); never nodes(connected), which would list us.
func visibleFrom(ctx context.Context, n *node.Node, name string) (map[string]bool, error) {
	t, err := n.Call(ctx, name, "erlang", "nodes", etf.Atom("visible"))
	if err != nil {
		return nil, err
	}
	l, ok := t.(etf.List)
	if !ok {
		return nil, fmt.Errorf("nodes(visible) is %s", etf.Format(t))
	}
	return visible(l), nil
}
