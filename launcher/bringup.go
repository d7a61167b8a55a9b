package launcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
)

// startNodes starts nodes at once and waits until every one of them is ready. The first failure ends the waiting, unless
// the others are to go on: then all failures are returned.
func (s *supervisor) startNodes(ctx context.Context, members []*member, goOn bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mesh := s.newMesh(members)
	for _, m := range members {
		if err := s.spawn(ctx, m); err != nil {
			return err
		}
	}
	if err := s.recordNodes(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer mesh.wg.Wait()
	defer cancel(nil)
	results := make(chan error, len(members))
	for _, m := range members {
		wg.Go(func() {
			err := s.bringUpNode(ctx, m, mesh)
			if err != nil && goOn {
				mesh.without(m)
			}
			results <- err
		})
	}
	var errs []error
	for range members {
		err := <-results
		if err != nil && !goOn {
			return err
		}
		errs = append(errs, err)
	}
	return joinFindings(errs)
}

// joinFindings returns the only error there is, as it is, or all of them.
func joinFindings(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// recordNodes writes what there is of nodes into the record.
func (s *supervisor) recordNodes() error {
	var nodes []NodeRecord
	var specs []NodeSpec
	for _, m := range s.all() {
		m.mu.Lock()
		nodes = append(nodes, NodeRecord{Name: m.name, EPMD: m.epmd, Process: m.life.process, Ports: s.ports.of(m.name)})
		m.mu.Unlock()
		specs = append(specs, *m.spec)
	}
	return s.update(func(r *Record) { r.Nodes, r.Spec.Nodes = nodes, specs })
}

func (s *supervisor) spawn(ctx context.Context, m *member) error {
	_, port, err := net.SplitHostPort(m.epmd)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	plan, err := s.planner().plan(m.spec, m.listen, port)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	secure, err := s.Spec.clientTLS(s.Place, m.spec) // whose files the plan may just have written
	if err != nil {
		return err
	}
	s.keepCrashDump(m)
	l := newLife()
	known := make(chan struct{}) // it is the member's life: what happens to it may be told
	m.mu.Lock()
	before := m.life
	m.tls = secure
	m.life, m.since = l, time.Now() // before it runs: EPMD may hear of it before we do
	m.mu.Unlock()
	id, err := s.guard.spawn(ctx, order{
		Key: m.short, Argv: plan.argv, Dir: plan.dir, Log: s.Place.console(m.short), Env: plan.env,
	}, func(e exit) { //nolint:contextcheck // a restart by policy is the cluster's own, not that of who started the node
		l.exit = e
		s.told.Go(func() { // the guardian's other news don't wait
			<-known
			s.exited(m, l)
		})
	})
	defer close(known)
	if err != nil {
		m.mu.Lock()
		m.life = before
		m.mu.Unlock()
		return s.spawnFinding(m.name, plan.argv, err)
	}
	m.mu.Lock()
	l.process = id
	m.mu.Unlock()
	s.events.emit(m.name, StageStarted, fmt.Sprintf("pid %d", id.Pid))
	return nil
}

// retryPause before a node that died while it booted is started again is for what it died of to pass: EPMD and peers have noticed by
// then, a port is free.
const retryPause = 250 * time.Millisecond

// bringUpNode sees a node that was started through to ready. One whose process ends meanwhile is started again as often as the spec says.
func (s *supervisor) bringUpNode(ctx context.Context, m *member, mesh *mesh) error {
	for try := 1; ; try++ {
		err := s.await(ctx, m, mesh)
		if err == nil {
			m.now().ready.Store(true)
			s.events.emit(m.name, StageReady, "")
			mesh.settle(m)
			err = s.hold(ctx, m, mesh)
		}
		if err == nil {
			return nil
		}
		f, explained := errors.AsType[*checks.Finding](err)
		if !explained { // somebody else gave up
			return err
		}
		if ctx.Err() != nil || m.now().runs() || try > s.Spec.Retries {
			s.events.emit(m.name, StageFailed, f.What)
			return err
		}
		s.events.emit(m.name, StageRetrying, fmt.Sprintf("%d of %d: %s", try, s.Spec.Retries, f.What))
		mesh.lost(m)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return err
		}
		for _, step := range []func() error{
			func() error { return s.clearMember(ctx, m) }, func() error { return s.spawn(ctx, m) }, s.recordNodes,
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
}

// hold sees to it that a node which is ready lives until the others are ready, too. If they don't get ready, that is theirs to say.
func (s *supervisor) hold(ctx context.Context, m *member, mesh *mesh) error {
	select {
	case <-mesh.over:
		return nil
	case <-m.now().exited:
		exited, cancel := context.WithCancelCause(ctx)
		cancel(errExited)
		return s.nodeFinding(exited, m, nil)
	case <-ctx.Done():
		return nil
	}
}

// await sees one life of a node through to ready. A node whose process ends meanwhile is never ready.
func (s *supervisor) await(ctx context.Context, m *member, mesh *mesh) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := m.now()
	watching := make(chan struct{})
	defer func() { cancel(nil); <-watching }()
	go func() {
		defer close(watching)
		select {
		case <-l.exited:
			cancel(errExited)
		case <-ctx.Done():
		}
	}()

	// Two channels instead of polling: registered is for a better word when it fails.
	seen := errors.New("it has not registered with EPMD")
	select {
	case <-l.registered:
		seen = errors.New("it is registered with EPMD, and has not set its cookie")
	case <-ctx.Done():
		return s.nodeFinding(ctx, m, seen)
	}
	select {
	case <-l.joined:
	case <-ctx.Done():
		return s.nodeFinding(ctx, m, seen)
	}
	if s.target(m).TLS != nil || strings.Contains(m.listen, ":") { // it has got a -proto_dist
		if f := s.protoTwice(m); f != nil {
			return f
		}
	}
	// Peers are asked for once all are there: asking sooner only takes time from those that boot.
	err := checks.WaitReady(ctx, s.node, s.target(m), nil, func(stage string) {
		switch stage {
		case checks.StageBoot: // the handshake is done
			s.events.emit(m.name, StageConnected, "")
			mesh.add(ctx, m)
		case checks.StageApps:
			s.events.emit(m.name, StageWaiting, stage)
		}
	})
	if err == nil {
		s.events.emit(m.name, StageWaiting, checks.StageMesh)
		select {
		case <-mesh.complete:
			err = s.awaitPeers(ctx, m, mesh)
		case <-ctx.Done():
			err = errors.New("it waits for the others")
		}
	}
	if err != nil {
		select { // a node that dies in the middle of a handshake looks as if it refused the cookie
		case <-l.exited:
			<-watching
		case <-time.After(lastBreath):
		case <-ctx.Done():
		}
		if errors.Is(err, dist.ErrSpeaksTLS) && ctx.Err() == nil {
			return ownTLSFinding(m.name, err)
		}
		if f, ok := errors.AsType[*checks.Finding](err); ok && ctx.Err() == nil { // it is explained already
			return f
		}
		return s.nodeFinding(ctx, m, err)
	}
	return nil
}

// lookAgain is how soon it is noticed that a peer that was waited for is gone.
const lookAgain = time.Second

// tlsPatience is for how many looks a node that does not see its peers is not asked what TLS has said: its application may have trouble with
// other peers.
const tlsPatience = 3

// awaitPeers waits until m sees all others that are up. Who dies meanwhile is not waited for.
func (s *supervisor) awaitPeers(ctx context.Context, m *member, mesh *mesh) error {
	for look := 1; ; look++ {
		try, cancel := context.WithTimeout(ctx, lookAgain)
		err := checks.WaitReady(try, s.node, s.target(m), mesh.peers(m), func(string) {})
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(try.Err(), context.DeadlineExceeded) {
			return err
		}
		if f := s.rejection(m, look >= tlsPatience && s.Spec.secure()); f != nil {
			return f
		}
	}
}

// lastBreath is how long a node that fails an rpc may take to turn out to be dying.
const lastBreath = 500 * time.Millisecond

// errExited is the cause of giving up on a node whose process has ended.
var errExited = errors.New("its process has ended")
