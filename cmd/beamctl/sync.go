package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// syncTimeout is for a push to many nodes over a slow network; on one machine it takes milliseconds.
const syncTimeout = time.Minute

// syncFlags are those of sync.
type syncFlags struct {
	at         attachment
	nodes      []string
	compile    bool
	dryRun     bool
	purge      string
	persist    bool
	leaveOut   bool
	changeCode []string
	watch      bool
}

func (s *syncFlags) register(f *pflag.FlagSet) {
	f.StringSliceVar(&s.nodes, "nodes", nil, "only these nodes (default: all that run)")
	f.BoolVar(&s.compile, "compile", false, "build the project first, as start does; with --watch: whenever a source changes")
	f.BoolVar(&s.dryRun, "dry-run", false, "show what would be pushed, and change nothing on the nodes; with --compile it builds all the same")
	f.StringVar(&s.purge, "purge", string(codesync.Soft), "what becomes of processes that run code from before the last push: soft (refuse, and name them), wait (as long as --timeout allows) or kill (which may end their application)")
	f.BoolVar(&s.persist, "persist", false, "also write the code into the nodes' files, so that it is there after a restart")
	f.BoolVar(&s.leaveOut, "leave-out", false, "when modules are refused, push all others")
	f.StringSliceVar(&s.changeCode, "change-code", nil, "modules whose processes are to convert their state (code_change)")
	f.BoolVarP(&s.watch, "watch", "w", false, "go on, and push whenever a build has changed something")
	s.at.attachFlag(f)
	s.at.cookieFlag(f)
}

func (a *app) syncCmd() *cobra.Command {
	var flags syncFlags
	cmd := &cobra.Command{
		Use:   "sync [PATH...]",
		Short: "Push changed code to all nodes, or to none",
		Long: `Sync compares the compiled modules on disk with what every node runs (by the MD5 of the code), and pushes the difference: no
restart, processes go on. First the code is sent to all nodes and prepared there; then it is made sure that no process still runs the code
before the last; only then all nodes are told to load it. What each runs afterwards is verified. If anything fails before, no node has
changed; if it fails then, all take it back.

The code is that of the project: _build of Mix (with consolidated protocols) and rebar3, ebin directories, or a release's; or what the
given files and directories hold. Modules whose files are gone from these directories are deleted from the nodes; a file that is
given leaves alone what else is in its directory. Modules with NIFs or -on_load, those in sticky directories (OTP's own), cover-compiled ones,
and those compiled by a newer OTP are refused, and with them the whole push, unless --leave-out is given. What an .app file says anew is shown: it takes a restart.

With --purge kill, processes that still run the code before the last are killed, and what is linked to them with them. Supervisors start
their own again; one to which that happens too often gives up, and an application whose top supervisor does so ends, and, if it is permanent, the
node. What was killed is told.

With --watch sync goes on until Ctrl-C: it pushes when a build has come to rest, and brings nodes that are started (again) up to date. With
--compile it also runs the build itself, whenever a source changes.

The exit code is 0 when all nodes run the code (but for what --leave-out left out), 1 when something kept them from it (with --dry-run: would keep
them), or when a source is newer than what was compiled of it.`,
		Example: `  beamctl sync --compile
  beamctl sync --dry-run
  beamctl sync --watch --compile
  beamctl sync --nodes node1,node2 --purge kill
  beamctl sync ebin/kv_store.beam --change-code kv_store
  beamctl sync _build/prod/lib --attach app@10.0.0.5,app@10.0.0.6 --cookie-file ~/.prod-cookie --persist`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if flags.watch && flags.dryRun {
				return usagef("--watch with --dry-run would do nothing, for ever")
			}
			if err := oneOf("purge", flags.purge, string(codesync.Soft), string(codesync.Wait), string(codesync.Kill)); err != nil {
				return err
			}
			p, err := a.syncPlan(&flags, paths)
			if err != nil {
				return err
			}
			n, err := node.Start(node.Config{})
			if err != nil {
				return err
			}
			defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
			if flags.watch {
				return a.watchSync(cmd.Context(), n, p, &flags)
			}
			return a.sync(cmd.Context(), n, p, &flags)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// syncPlan is what to sync with whom.
type syncPlan struct {
	launcher.SyncConfig
	root    string
	targets func() ([]checks.Target, error) // nil: they stay the same
	compile func(context.Context, io.Writer) error
}

func (a *app) syncPlan(flags *syncFlags, paths []string) (*syncPlan, error) {
	p := &syncPlan{SyncConfig: launcher.SyncConfig{
		DryRun: flags.dryRun,
		Options: codesync.Options{
			Purge: codesync.Purge(flags.purge), Persist: flags.persist, LeaveOut: flags.leaveOut, ChangeCode: launcher.Atoms(flags.changeCode),
		},
	}}
	var err error
	if len(flags.at.nodes) > 0 {
		err = a.attachedPlan(p, flags, len(paths) == 0)
	} else {
		err = a.clusterPlan(p, flags)
	}
	if len(paths) > 0 {
		p.Stale = nil // of what is named the sources are not known
		code := launcher.Paths(paths)
		p.Code = func() (map[string]*launcher.Code, error) {
			codes, err := code()
			if err != nil {
				return nil, usageError{err}
			}
			return codes, nil
		}
	}
	return p, err
}

// clusterPlan is for the nodes of a cluster, which may become others.
func (a *app) clusterPlan(p *syncPlan, flags *syncFlags) error {
	c, err := a.open()
	if err != nil {
		return err
	}
	var now atomic.Pointer[launcher.Cluster]
	now.Store(c)
	p.root, p.compile, p.Stale = c.Dir(), c.Compile, c.Stale
	p.MayBeDown = len(flags.nodes) == 0 // who names a node means it
	p.Code = func() (map[string]*launcher.Code, error) { return now.Load().Code() }
	p.Explain = func(ctx context.Context, targets []checks.Target) { now.Load().Explain(ctx, targets) }
	p.Note = func(ctx context.Context, events []launcher.Event) error { return now.Load().Note(ctx, events) }
	p.targets = func() ([]checks.Target, error) {
		c, err := now.Load().Reload()
		if err != nil {
			return nil, err
		}
		now.Store(c)
		return only(c, flags.nodes)
	}
	p.Targets, err = only(c, flags.nodes)
	return err
}

// only returns a cluster's targets, or those that are named.
func only(c *launcher.Cluster, names []string) ([]checks.Target, error) {
	targets, err := c.Targets()
	if err != nil || len(names) == 0 {
		return targets, err
	}
	var full []string
	for _, name := range names {
		n, err := c.Node(name)
		if err != nil {
			return nil, err
		}
		full = append(full, n)
	}
	return slices.DeleteFunc(targets, func(t checks.Target) bool { return !slices.Contains(full, t.Name) }), nil
}

// attachedPlan is for nodes that beamctl did not start, with the code of the project in this directory.
func (a *app) attachedPlan(p *syncPlan, flags *syncFlags, project bool) (err error) {
	if len(flags.nodes) > 0 {
		return usagef("--attach names the nodes already, without --nodes")
	}
	if p.Targets, err = flags.at.targets(); err != nil {
		return err
	}
	if p.root, err = os.Getwd(); err != nil || !project && !flags.compile {
		return err
	}
	res, err := launcher.Resolve(launcher.Sources{Env: os.Environ()})
	if err != nil {
		return usageError{err}
	}
	spec := res.Spec
	spec.Pin(os.Environ())
	p.root, p.compile = spec.Dir, spec.Compile
	p.Code = func() (map[string]*launcher.Code, error) {
		codes, err := spec.Code()
		if err != nil {
			return nil, err
		}
		return map[string]*launcher.Code{"": codes[spec.Nodes[0].Name]}, nil
	}
	return nil
}

// build runs the build. What it says is progress; of one that fails it is the error.
func (p *syncPlan) build(ctx context.Context, a *app) error {
	if !a.quiet {
		return p.compile(ctx, a.err)
	}
	var said bytes.Buffer
	err := p.compile(ctx, &said)
	if err != nil {
		_, _ = said.WriteTo(a.err)
	}
	return err
}

// sync pushes once.
func (a *app) sync(parent context.Context, n *node.Node, p *syncPlan, flags *syncFlags) error {
	ctx, cancel := a.context(parent, 0)
	if flags.compile {
		if err := p.build(ctx, a); err != nil {
			cancel()
			return err
		}
	}
	cancel()
	ctx, cancel = a.context(parent, syncTimeout) // compiling takes what it takes
	defer cancel()
	rep, err := launcher.Sync(ctx, n, p.SyncConfig)
	if errors.Is(err, launcher.ErrNoModule) {
		err = usageError{err}
	}
	if show := a.showSync(rep, flags.compile); show != nil {
		return show
	}
	if err == nil && !slices.ContainsFunc(rep.Nodes, func(n *launcher.NodeSync) bool { return n.State != launcher.Down }) {
		start := []string{"beamctl start"}
		for _, n := range rep.Nodes {
			short, _, _ := strings.Cut(n.Node, "@")
			start = append(start, short)
		}
		err = &checks.Finding{What: "none of the nodes runs", Fix: "start them: " + strings.Join(start, " "), Err: node.ErrNodeDown}
	}
	if err == nil && len(rep.Stale) > 0 { // the nodes run what is compiled, and that is not what was written
		err = errFailed
	}
	return err
}

// watchSync keeps pushing.
func (a *app) watchSync(parent context.Context, n *node.Node, p *syncPlan, flags *syncFlags) error {
	ctx, cancel := a.context(parent, 0)
	defer cancel()
	p.Stale = nil // which a source is at every save
	cfg := launcher.SyncWatch{SyncConfig: p.SyncConfig, Root: p.root, Targets: p.targets, Told: a.showSyncEvent}
	if flags.compile {
		cfg.Compile = func(ctx context.Context) error { return p.build(ctx, a) }
	}
	a.say("watching %s; Ctrl-C ends it", p.root)
	err := launcher.Watch(ctx, n, cfg)
	switch {
	case err == nil: // which is how one stops
		return nil
	case errors.Is(err, launcher.ErrNotRunning):
		a.say("the cluster has ended")
		return nil
	}
	return err
}
