package launcher

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

const (
	// askAgain is how often it is looked whether a node that is not there has come, and whether what failed now succeeds.
	askAgain = 500 * time.Millisecond
	// connectTime is how long nodes may take, at most, that are there already when a watch begins: one that is paused holds it up.
	connectTime = 10 * time.Second
	// bootTime is how long a node that has come may take to boot before it is looked for anew.
	bootTime = time.Minute
	// pushTime is how long one push may take: a node that hangs is not to hold up the next for ever.
	pushTime = 30 * time.Second
	// silence is how long a push may take without a word: a node that stands still is not to look like one without changes.
	silence = 3 * time.Second
	// failures is how many may end a watch at once: two watchers, and a look for nodes in each of two steps.
	failures = 4
	// gapTime is how long a build may be incomplete without a word: compilers delete first and write later.
	gapTime = 3 * time.Second
)

// SyncWatch says what to keep in sync.
type SyncWatch struct {
	SyncConfig
	Root string // of the project
	// Targets returns the nodes that there are now; nil: those of SyncConfig are all.
	Targets func() ([]checks.Target, error)
	// Compile builds the project; nil: somebody else does. With it, sources are watched.
	Compile func(context.Context) error
	// Told is called, from one goroutine, when something was pushed or could not be, after each build of ours, and when a node comes or goes.
	Told func(SyncEvent)
}

// SyncEvent is one thing that happened to nodes that are kept in sync.
type SyncEvent struct {
	Time   time.Time   `json:"time"`
	What   string      `json:"what"`             // start, changed, joined, left or failed
	Node   string      `json:"node,omitempty"`   // that joined or left
	Report *SyncReport `json:"report,omitempty"` // of start, changed and joined
	Error  string      `json:"error,omitempty"`  // of failed
	Err    error       `json:"-"`
}

// What a SyncEvent may be.
const (
	SyncStart   = "start"
	SyncChanged = "changed"
	SyncJoined  = "joined"
	SyncLeft    = "left"
	SyncFailed  = "failed"
)

// Watch keeps nodes in sync with the disk until ctx ends: whenever files of code have changed and come to rest, it pushes. A node that is
// started, or started again, is brought up to date when it has booted. What cannot be pushed is told of once for each build, and tried again.
// Errors: only what makes watching impossible; ErrNotRunning if the cluster has ended.
func Watch(ctx context.Context, n *node.Node, cfg SyncWatch) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &syncWatch{SyncWatch: cfg, n: n, up: make(map[string]bool), awaited: make(map[string]awaiting), joined: make(chan checks.Target), failed: make(chan error, failures)}
	w.MayBeDown = true
	defer w.wg.Wait()
	defer cancel()
	events, stop := n.Events()
	defer stop()
	changed, err := w.watch(ctx, w.codeDirs, isCode)
	if err != nil {
		return err
	}
	var sources <-chan struct{}
	if w.Compile != nil {
		if sources, err = w.watch(ctx, w.sourceDirs, isSource); err != nil {
			return err
		}
	}
	w.refresh(ctx)
	w.connect(ctx)
	if err := w.build(ctx); err == nil {
		w.sync(ctx, SyncStart)
	} else if errors.Is(err, ErrNoBuild) {
		return err
	}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.failed:
			return err
		case <-sources:
			if w.build(ctx) == nil {
				w.built, w.anew = true, true
				w.sync(ctx, SyncChanged)
			}
		case <-changed:
			w.anew = w.anew || w.Compile == nil // what a build of ours wrote was told of
			w.sync(ctx, SyncChanged)
		case t := <-w.joined:
			w.join(ctx, t)
		case e := <-events:
			if !e.Up && w.up[e.Node] {
				w.leave(ctx, e.Node)
			}
		case <-again.C:
			w.refresh(ctx)
			if w.again {
				w.sync(ctx, SyncChanged)
			}
		}
	}
}

// syncWatch is a Watch under way.
type syncWatch struct {
	SyncWatch
	n       *node.Node
	wg      sync.WaitGroup
	up      map[string]bool     // nodes that are in sync, or were tried to bring there
	awaited map[string]awaiting // nodes that are waited for
	joined  chan checks.Target  // who has come
	failed  chan error          // what makes watching impossible
	last    string              // the failure that was told of, "" if all is well
	again   bool                // it has to be tried again
	built   bool                // we have built, and not told yet what became of it
	anew    bool                // there was a build since a failure was told of: what becomes of it is told even if that is the same
	broken  bool                // our last build has failed, and was told of
	gap     time.Time           // since when a build is not complete; zero: it is
	dirs    []string            // of code; the code watcher's own
}

// awaiting is the wait for a node.
type awaiting struct {
	stop   context.CancelFunc
	missed chan struct{} // closed when the first attempt has failed
}

// tell is Told with the time.
func (w *syncWatch) tell(e SyncEvent) {
	e.Time = time.Now().UTC()
	if e.Err != nil {
		e.Error = e.Err.Error()
	}
	w.Told(e)
}

// watch watches files; the channel gets a value when they have changed.
func (w *syncWatch) watch(ctx context.Context, dirs func() ([]string, error), wanted func(string) bool) (<-chan struct{}, error) {
	fw, err := watchFiles(w.Root, dirs, wanted)
	if err != nil {
		return nil, err
	}
	ch := make(chan struct{}, 1)
	w.wg.Go(func() {
		defer fw.close()
		for {
			if err := fw.next(ctx); err != nil {
				if ctx.Err() == nil {
					w.failed <- err
				}
				return
			}
			select {
			case ch <- struct{}{}:
			default: // it will be looked at anyway
			}
		}
	})
	return ch, nil
}

// codeDirs are all directories of code. While a build has them deleted, they are those that were.
func (w *syncWatch) codeDirs() ([]string, error) {
	codes, err := w.Code()
	if err != nil {
		if isGap(err) {
			return w.dirs, nil
		}
		return nil, err
	}
	var dirs []string
	for _, c := range codes {
		dirs = append(dirs, c.folders()...)
	}
	slices.Sort(dirs)
	w.dirs = slices.Compact(dirs)
	return w.dirs, nil
}

// isGap tells whether an error is one that every build makes for a moment.
func isGap(err error) bool {
	return errors.Is(err, ErrBuildIncomplete) || errors.Is(err, ErrNoCode) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, codesync.ErrNotBeam)
}

// sourceDirs are the directories in which projects have what is compiled.
func (w *syncWatch) sourceDirs() ([]string, error) {
	var dirs []string
	for _, pattern := range []string{"lib", "src", "include", "test/support", "apps/*/lib", "apps/*/src", "apps/*/include"} {
		for _, top := range glob(w.Root, pattern) {
			_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error { // what cannot be read is not compiled either
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	return dirs, nil
}

// isSource tells whether a file is one that is compiled.
func isSource(name string) bool {
	return slices.Contains([]string{".ex", ".erl", ".hrl", ".eex", ".heex", ".leex", ".xrl", ".yrl", ".src"}, filepath.Ext(name))
}

// refresh looks who is a node now, and waits for newcomers.
func (w *syncWatch) refresh(ctx context.Context) {
	if w.Targets != nil {
		targets, err := w.Targets()
		if err != nil {
			w.failed <- err
			return
		}
		w.SyncConfig.Targets = targets
	}
	for _, t := range w.SyncConfig.Targets {
		if _, awaited := w.awaited[t.Name]; !w.up[t.Name] && !awaited {
			w.await(ctx, t)
		}
	}
	for name, a := range w.awaited {
		if !slices.ContainsFunc(w.SyncConfig.Targets, func(t checks.Target) bool { return t.Name == name }) {
			a.stop()
			delete(w.awaited, name)
		}
	}
}

// await waits for a node to boot.
func (w *syncWatch) await(ctx context.Context, t checks.Target) {
	ctx, stop := context.WithCancel(ctx)
	a := awaiting{stop, make(chan struct{})}
	w.awaited[t.Name] = a
	w.wg.Go(func() {
		t := t
		t.Apps = nil // which may need the code
		for first := true; ctx.Err() == nil; first = false {
			if w.n.AddPeer(t.Peer()) == nil && w.n.Connect(ctx, t.Name) == nil {
				booting, cancel := context.WithTimeout(ctx, bootTime)
				err := checks.WaitReady(booting, w.n, t, nil, func(string) {})
				cancel()
				if err == nil {
					select {
					case w.joined <- t:
					case <-ctx.Done():
					}
					return
				}
			}
			if first {
				close(a.missed)
			}
			select {
			case <-time.After(askAgain):
			case <-ctx.Done():
			}
		}
	})
}

// connect gives the nodes that are there already the time to say so, for one line to tell of all of them: until each has come, or is
// known not to be there.
func (w *syncWatch) connect(ctx context.Context) {
	wait := time.NewTimer(connectTime)
	defer wait.Stop()
	for name, a := range maps.Clone(w.awaited) {
		for missed := false; !missed && !w.up[name]; {
			select {
			case t := <-w.joined:
				delete(w.awaited, t.Name)
				w.up[t.Name] = true
			case <-a.missed:
				missed = true
			case <-wait.C:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// join brings a node that has come up to date.
func (w *syncWatch) join(ctx context.Context, t checks.Target) {
	if a, awaited := w.awaited[t.Name]; awaited {
		a.stop()
		delete(w.awaited, t.Name)
	}
	cfg := w.SyncConfig
	cfg.Targets = []checks.Target{t}
	rep, err := w.push(ctx, cfg)
	switch {
	case ctx.Err() != nil:
	case err != nil: // it may have gone again; else all are tried again, it among them
		w.up[t.Name] = true
		w.fail(ctx, err)
	case rep.Nodes[0].State == Down:
		w.await(ctx, t)
	default:
		w.up[t.Name] = true
		w.note(ctx, rep, nil)
		w.tell(SyncEvent{What: SyncJoined, Node: t.Name, Report: rep})
	}
}

func (w *syncWatch) leave(ctx context.Context, name string) {
	delete(w.up, name)
	w.tell(SyncEvent{What: SyncLeft, Node: name})
	w.refresh(ctx)
}

// sync brings all nodes that are there up to date.
func (w *syncWatch) sync(ctx context.Context, what string) {
	cfg := w.SyncConfig
	cfg.Targets = slices.DeleteFunc(slices.Clone(cfg.Targets), func(t checks.Target) bool { return !w.up[t.Name] })
	if len(cfg.Targets) == 0 {
		return
	}
	rep, err := w.push(ctx, cfg)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.fail(ctx, err)
	default:
		w.note(ctx, rep, nil)
		w.Options.Known = rep.beams // to go back to, when the disk has others
		due := what == SyncStart || w.built || w.last != ""
		w.last, w.again, w.built, w.anew, w.gap = "", false, false, false, time.Time{}
		if due || len(rep.Changes()) > 0 {
			w.tell(SyncEvent{What: what, Report: rep})
		}
	}
}

// push is one Sync, which is not noted: it may fail over and over. If it takes long it is told who stands still.
func (w *syncWatch) push(ctx context.Context, cfg SyncConfig) (rep *SyncReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	cfg.Note = nil
	done := make(chan struct{})
	w.wg.Go(func() {
		defer close(done)
		rep, err = Sync(ctx, w.n, cfg)
	})
	select {
	case <-done:
	case <-time.After(silence):
		w.still(ctx, cfg)
		<-done
	}
	return rep, err
}

// still tells of nodes of which is known why they do not answer.
func (w *syncWatch) still(ctx context.Context, cfg SyncConfig) {
	for _, t := range cfg.explained(ctx) {
		if t.Down != nil {
			w.fail(ctx, t.Down)
		}
	}
}

// fail tells of a failure, once for each build. That a build is not complete is one failure, however it shows, and told of only when it lasts.
func (w *syncWatch) fail(ctx context.Context, err error) {
	w.again = true
	text, anew := err.Error(), w.anew
	if isGap(err) {
		if w.broken { // why it is not complete was told
			return
		}
		if w.gap.IsZero() {
			w.gap = time.Now()
		}
		if time.Since(w.gap) < gapTime {
			return
		}
		text, anew = ErrBuildIncomplete.Error(), false
	} else {
		w.gap = time.Time{}
	}
	if text != w.last || anew {
		w.last, w.anew = text, false
		w.note(ctx, &SyncReport{}, err)
		w.tell(SyncEvent{What: SyncFailed, Err: err})
	}
}

// build builds the project, if that is ours to do. A build that fails is told of: the next may succeed.
func (w *syncWatch) build(ctx context.Context) error {
	if w.Compile == nil {
		return nil
	}
	err := w.Compile(ctx)
	w.broken = err != nil
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNoBuild) {
		w.tell(SyncEvent{What: SyncFailed, Err: err})
	}
	return err
}
