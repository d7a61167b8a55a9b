package launcher

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// ErrBuildIncomplete says that modules which would have to be deleted are not there, but are to be: a build goes on, or has failed.
var ErrBuildIncomplete = errors.New("the build is not complete")

// SyncConfig says which nodes are to run what.
type SyncConfig struct {
	Targets []checks.Target
	// Code returns what is on disk now, for each node by its name; that of "" is for all others. See [Spec.Code] and [CodeAt].
	Code func() (map[string]*Code, error)
	// MayBeDown leaves out nodes that don't run: they take the code from the disk when they start.
	MayBeDown bool
	// Stale returns the sources that were changed since they were compiled; nil: that is not known. They are told of in the report.
	Stale func() ([]StaleSource, error)
	// Explain says of nodes that do not answer why, as far as somebody knows (see [Cluster.Explain]); nil: nobody does.
	Explain func(context.Context, []checks.Target)
	Options codesync.Options
	DryRun  bool // look, and change nothing
	// Note keeps what became of it among the events of the cluster; nil: there is none. See [Cluster.Note].
	Note func(context.Context, []Event) error
}

// Paths is a SyncConfig.Code for files and directories; see [CodeAt].
func Paths(paths []string) func() (map[string]*Code, error) {
	return func() (map[string]*Code, error) {
		c, err := CodeAt(paths)
		return map[string]*Code{"": &c}, err
	}
}

// syncGroup is nodes that run the same code.
type syncGroup struct {
	code     *Code
	set      codesync.Set
	plan     *codesync.Plan
	nodes    []*NodeSync
	changing []etf.Atom // those of Options.ChangeCode that it has
}

func (g *syncGroup) names() []string {
	var names []string
	for _, n := range g.nodes {
		names = append(names, n.Node)
	}
	return names
}

// Sync makes nodes run the code that is on disk: it compares, and pushes what is different, to all of them or to none. (Of nodes that run
// different projects that is so for each project.) The report is there also when there is an error. Errors: *checks.Finding of
// ErrNoCode, ErrNoModule, ErrBuildIncomplete, what codesync.Push returns, or an unreachable node; ctx's.
func Sync(ctx context.Context, n *node.Node, cfg SyncConfig) (*SyncReport, error) {
	rep, err := cfg.sync(ctx, n)
	if err != nil {
		rep.Error = err.Error()
	}
	if len(rep.Nodes) > 0 && !errors.Is(err, ErrNoModule) { // else it was a slip of the pen, of which nodes know nothing
		cfg.note(ctx, rep, err)
	}
	return rep, err
}

func (cfg *SyncConfig) sync(ctx context.Context, n *node.Node) (*SyncReport, error) {
	began := time.Now()
	rep := &SyncReport{DryRun: cfg.DryRun, Stale: []StaleSource{}}
	defer func() { rep.Millis = float64(time.Since(began).Microseconds()) / 1000 }()
	groups, lost, err := cfg.groups(ctx, n, rep)
	if err != nil {
		return rep, err
	}
	err = together(groups, func(g *syncGroup) error { return g.compare(ctx, n, cfg.Options) })
	if err == nil && lost == nil {
		err = unknown(groups, cfg.Options.ChangeCode)
	}
	if err != nil || lost != nil {
		if err != nil || !cfg.DryRun {
			nothingPushed(groups)
		}
		return rep, joinFindings([]error{lost, cfg.explain(ctx, err)})
	}
	for _, g := range groups {
		rep.beams = append(rep.beams, g.set.Beams...)
	}
	if err := cfg.pushAll(ctx, n, groups, rep); err != nil {
		return rep, syncFinding(rep, err)
	}
	if cfg.Stale != nil {
		stale, err := cfg.Stale()
		if err != nil {
			return rep, err
		}
		rep.Stale = append(rep.Stale, stale...)
		for _, ns := range rep.Nodes {
			if ns.State == Synced && len(stale) > 0 {
				ns.State = AsBuilt
			}
		}
	}
	return rep, nil
}

// pushAll carries the plans out, one after the other, unless there is something in any that keeps it from being.
func (cfg *SyncConfig) pushAll(ctx context.Context, n *node.Node, groups []*syncGroup, rep *SyncReport) error {
	if !cfg.Options.LeaveOut && slices.ContainsFunc(groups, func(g *syncGroup) bool { return g.plan.Refused() }) {
		if !cfg.DryRun {
			nothingPushed(groups)
		}
		return codesync.ErrRefused
	}
	if cfg.DryRun {
		return nil
	}
	for i, g := range groups {
		if g.plan.Empty() {
			continue
		}
		err := g.push(ctx, n, rep)
		for try := 1; try < staleTries && errors.Is(err, codesync.ErrStale); try++ {
			if err = g.compare(ctx, n, cfg.Options); err != nil {
				nothingPushed(groups[i : i+1])
				break
			}
			err = g.push(ctx, n, rep)
		}
		if err != nil {
			nothingPushed(groups[i+1:])
			return err
		}
	}
	return nil
}

// nothingPushed takes out of the report what was to be done, and was not.
func nothingPushed(groups []*syncGroup) {
	for _, g := range groups {
		for _, ns := range g.nodes {
			ns.Pushed, ns.Deleted, ns.Bytes = []string{}, []string{}, 0
		}
	}
}

// explained are the targets with what is known of those that do not answer.
func (cfg *SyncConfig) explained(ctx context.Context) []checks.Target {
	targets := slices.Clone(cfg.Targets)
	if cfg.Explain != nil {
		cfg.Explain(context.WithoutCancel(ctx), targets) // the time may be up; this has its own
	}
	return targets
}

// explain makes a finding of a node's failure to answer.
func (cfg *SyncConfig) explain(ctx context.Context, err error) error {
	op, ok := errors.AsType[*node.OpError](err)
	if _, explained := errors.AsType[*checks.Finding](err); explained || !ok {
		return err
	}
	for _, t := range cfg.explained(ctx) {
		if t.Name == op.Node {
			return checks.CallFailed(t, err)
		}
	}
	return err
}

// together does something with all groups at once.
func together(groups []*syncGroup, do func(*syncGroup) error) error {
	errs := make([]error, len(groups))
	var wg sync.WaitGroup
	for i, g := range groups {
		wg.Go(func() { errs[i] = do(g) })
	}
	wg.Wait()
	return joinFindings(errs)
}

// lookShare is which part of the time, the last, is kept for a look at the nodes that answer when others do not.
const lookShare = 4

// groups connects with the nodes, and reads what they are to run. Lost is of nodes that cannot be reached, and are in no group.
func (cfg *SyncConfig) groups(ctx context.Context, n *node.Node, rep *SyncReport) (groups []*syncGroup, lost, err error) {
	errs := make([]error, len(cfg.Targets))
	connecting := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		connecting, cancel = context.WithDeadline(ctx, end.Add(-time.Until(end)/lookShare))
		defer cancel()
	}
	rep.Nodes = make([]*NodeSync, len(cfg.Targets))
	var wg sync.WaitGroup
	for i, t := range cfg.Targets {
		ns := newNodeSync(t.Name)
		rep.Nodes[i] = &ns
		wg.Go(func() {
			if errs[i] = n.AddPeer(t.Peer()); errs[i] == nil {
				errs[i] = n.Connect(connecting, t.Name)
			}
		})
	}
	codes, codeErr := cfg.Code()
	wg.Wait()
	if codeErr != nil {
		rep.Nodes = []*NodeSync{} // of which nothing is to be said
		return nil, nil, codeErr
	}
	targets := cfg.Targets
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		targets = cfg.explained(ctx)
	}
	byCode := make(map[*Code]*syncGroup)
	for i, t := range targets {
		ns, err := rep.Nodes[i], errs[i]
		code := codes[t.Name]
		if code == nil {
			code = codes[""]
		}
		down := errors.Is(err, node.ErrNoSuchName) || errors.Is(err, node.ErrRefused)
		switch {
		case cfg.MayBeDown && down:
			ns.State, errs[i] = Down, nil
			continue
		case err != nil:
			f := checks.Unreachable(t, err)
			if ns.State = Unreachable; down {
				ns.State = Down
			}
			ns.Problem, errs[i] = f.What, f
			continue
		case code == nil || len(code.Dirs)+len(code.Beams) == 0:
			ns.State = NoCode
			continue
		}
		g := byCode[code]
		if g == nil {
			g = &syncGroup{code: code}
			byCode[code] = g
			groups = append(groups, g)
		}
		g.nodes = append(g.nodes, ns)
	}
	lost = joinFindings(errs)
	if lost == nil && len(groups) == 0 && slices.ContainsFunc(rep.Nodes, func(ns *NodeSync) bool { return ns.State == NoCode }) {
		return nil, lost, &checks.Finding{
			What: "it is not known what code these nodes run", Cause: "they are started by a command of their own, or with bare nodes' options",
			Fix: "name the compiled modules, or their directories: beamctl sync ebin", Err: ErrNoCode,
		}
	}
	return groups, lost, together(groups, func(g *syncGroup) error { return g.read(ctx) })
}

// read reads the code.
func (g *syncGroup) read(ctx context.Context) error {
	if len(g.code.Beams) == 0 {
		return &checks.Finding{
			What: "there are no compiled modules", Saw: some(g.code.Dirs) + ": empty, or not there", Fix: "build the project first: beamctl sync --compile", Err: ErrNoCode,
		}
	}
	beams, err := codesync.ReadFiles(ctx, slices.Sorted(maps.Values(g.code.Beams))...)
	g.set = codesync.Set{Beams: beams, Dirs: g.code.Dirs, Here: true}
	if err == nil || ctx.Err() != nil {
		return err
	}
	f := &checks.Finding{
		What: "a compiled module cannot be read; nothing was pushed", Saw: some(errorLines(err)), Cause: "it is damaged, still being written, or of another name than its file",
		Fix: "build again", Err: err,
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.Cause, f.Fix = "this user may not read it", "let it be read, or build as this user"
	case errors.Is(err, fs.ErrNotExist):
		f.Cause = "it was deleted in this moment, or is a link to what is not there"
	}
	return f
}

// compare makes the plan, anew if there is one, and notes in the report what it says. It is an error if the build is not complete.
func (g *syncGroup) compare(ctx context.Context, n *node.Node, opts codesync.Options) error {
	var apps sync.WaitGroup
	for _, ns := range g.nodes {
		*ns = newNodeSync(ns.Node)
		apps.Go(func() {
			changes, err := appChanges(ctx, n, ns.Node, g.code.Apps)
			if ns.Apps = append(ns.Apps, changes...); err != nil {
				ns.Problem = err.Error()
			}
		})
	}
	var err error
	g.changing, err = g.having(ctx, n, opts.ChangeCode)
	if err == nil {
		opts.ChangeCode = g.changing
		g.plan, err = codesync.Compare(ctx, n, g.names(), g.set, opts)
	}
	apps.Wait()
	if err != nil {
		return err
	}
	for i, np := range g.plan.Nodes {
		ns := g.nodes[i]
		ns.Same, ns.Refused = np.Same+np.OnDisk, append(ns.Refused, np.Refuse...)
		for _, c := range np.Push {
			ns.Pushed, ns.Bytes = append(ns.Pushed, string(c.Module)), ns.Bytes+c.Size
		}
		for _, c := range np.Delete {
			ns.Deleted = append(ns.Deleted, string(c.Module))
		}
		if ns.State = Outdated; len(np.Push)+len(np.Delete)+len(np.Refuse) == 0 {
			ns.State = Synced
		}
	}
	return g.complete(ctx, n)
}

// push carries the plan out, and notes in the report what became of it.
func (g *syncGroup) push(ctx context.Context, n *node.Node, rep *SyncReport) error {
	done, err := codesync.Push(ctx, n, g.plan)
	if done == nil {
		return err
	}
	rep.Took.Stage += done.Took.Stage
	rep.Took.Gate += done.Took.Gate
	rep.Took.Commit += done.Took.Commit
	rep.Took.Total += done.Took.Total
	for i, r := range done.Nodes {
		ns := g.nodes[i]
		ns.State = map[codesync.State]SyncState{codesync.New: Synced, codesync.Old: Outdated, codesync.Mix: Mixed, codesync.Lost: Lost}[r.State]
		if r.State == codesync.New && len(r.Refused) > 0 {
			ns.State = Outdated
		}
		ns.Bytes = r.Bytes
		if r.State == codesync.Old {
			ns.Pushed, ns.Deleted, ns.Bytes = []string{}, []string{}, 0
		}
		if len(r.Refused) > len(ns.Refused) { // what no plan can know: the node's loader does not take it
			ns.Refused = r.Refused
		}
		ns.Killed, ns.Unchanged, ns.Unwritten = r.Killed, r.Unchanged, r.Unwritten
		for _, m := range r.Unserved {
			if r.State == codesync.New {
				ns.Unserved = append(ns.Unserved, string(m))
			}
		}
		if r.Error != "" {
			ns.Problem = r.Error
		}
	}
	return err
}

// staleTries is how often a push is planned when nodes change under it: whoever loads code there will come to an end.
const staleTries = 3

// Atoms makes atoms of names.
func Atoms(names []string) []etf.Atom {
	out := make([]etf.Atom, 0, len(names))
	for _, n := range names {
		out = append(out, etf.Atom(n))
	}
	return out
}
