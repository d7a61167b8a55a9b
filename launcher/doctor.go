package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// preflight looks for what can be seen to be wrong before anything is started.
func preflight(ctx context.Context, spec *Spec, stateDir string) error {
	return doctor.Preflight(ctx, &doctor.Subject{
		Env: environment(os.Environ()), Project: spec.Plan(stateDir), Clusters: doctor.Clusters{Sockets: socketsDir(spec.Cluster)},
	})
}

// Plan says what package doctor wants to know of the spec. Clusters have their state in stateDir; "": in .beamctl of the project.
func (s Spec) Plan(stateDir string) *doctor.Plan {
	s = s.withDefaults()
	if stateDir == "" {
		stateDir = filepath.Join(s.Dir, StateDirName)
	}
	p := &doctor.Plan{Cluster: s.Cluster, Runtime: s.Runtime, Dir: s.Dir, State: filepath.Join(stateDir, s.Cluster), Short: s.ShortNames}
	p.Build.Stale = func() ([]string, error) {
		stale, err := s.Stale(place(p.State).builtAt())
		var out []string
		for _, f := range stale {
			out = append(out, f.String())
		}
		return out, err
	}
	if s.Port != 0 {
		p.Ports = []doctor.Ports{{Name: "epmd_port", Lo: s.Port, Hi: s.Port, Need: 1, Host: "127.0.0.1"}}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		l := s.launch(n)
		p.Nodes = append(p.Nodes, n.Name)
		path := projectEnv(os.Environ(), &l)["PATH"]
		addOnce(&p.Programs, doctor.Program{Name: runtimes[l.Runtime].argv(&l, s.Dir)[0], Path: path})
		if len(l.Build) > 0 {
			addOnce(&p.Programs, doctor.Program{Name: l.Build[0], Path: path, Build: joinArgs(l.Build)})
			p.Build.Step = joinArgs(l.Build)
		}
		if l.Release != "" && l.Runtime == "release" {
			addOnce(&p.Releases, l.Release)
		}
		for _, dir := range runtimes[l.Runtime].codeDirs(&l, s.Dir, projectEnv(os.Environ(), &l)) {
			addOnce(&p.Build.Code, dir)
		}
		for name, r := range s.asks(n, &l) {
			at := slices.IndexFunc(p.Ports, func(q doctor.Ports) bool { return q.Name == "ports."+name && q.Lo == r.Lo && q.Hi == r.Hi })
			if at < 0 {
				at = len(p.Ports)
				p.Ports = append(p.Ports, doctor.Ports{Name: "ports." + name, Lo: r.Lo, Hi: r.Hi, Spare: defaultPorts[name] == r})
			}
			p.Ports[at].Need++
		}
	}
	slices.SortStableFunc(p.Ports, func(a, b doctor.Ports) int { return strings.Compare(a.Name, b.Name) })
	return p
}

func addOnce[T comparable](list *[]T, v T) {
	if !slices.Contains(*list, v) {
		*list = append(*list, v)
	}
}

// asks returns the ports that n will ask for: that of its distribution, and those in its templates.
func (s *Spec) asks(n *NodeSpec, l *Launch) map[string]PortRange {
	asked := map[string]PortRange{DistPort: l.Ports[DistPort]}
	sc := s.scope(n)
	sc.Dir = s.Dir
	sc.port = func(name string) (int, error) {
		r, ok := l.Ports[name]
		if !ok {
			return 0, unknownPortError(name)
		}
		asked[name] = r
		return r.Lo, nil
	}
	_, _ = sc.launch(*l) // what is wrong with a template, Validate has said
	return asked
}

// Clusters says what package doctor wants to know of the user's clusters. It changes nothing.
func Clusters(ctx context.Context, w Where) (doctor.Clusters, error) {
	out := doctor.Clusters{Owner: owner, Sockets: socketsDir(w.Cluster)}
	all, err := everywhere(w)
	if err != nil {
		return out, err
	}
	for _, c := range all {
		where := fmt.Sprintf("%s in %s", c.Name(), c.Dir())
		switch c.record.State {
		case Starting, Ready:
			out.Running = append(out.Running, where)
		case Skewed:
			out.Running = append(out.Running, where+" (of another version of beamctl)")
		case Failed, Stopped:
			out.Kept = append(out.Kept, fmt.Sprintf("%s (%s)", where, c.record.State))
		case Dead:
		}
	}
	cfg := CleanConfig{Where: w, Dead: true, Look: true}
	left, err := Clean(ctx, cfg)
	for _, l := range left {
		out.Dead = append(out.Dead, l.String())
	}
	out.Clean = func(ctx context.Context) ([]string, error) {
		cfg.Look = false
		done, err := Clean(ctx, cfg)
		var text []string
		for _, d := range done {
			text = append(text, "cleared away "+d.String())
		}
		return text, err
	}
	return out, err
}

// owner returns the running cluster whose marker a process carries, or "".
func owner(pid int) string {
	id := proc.Getenv(pid, MarkerEnv)
	for _, c := range All() {
		if id != "" && c.record.ID == id && c.running() == nil {
			return c.Name()
		}
	}
	return ""
}

// socketsDir returns the first runtime directory that can be had for the cluster's socket, else the last.
func socketsDir(cluster string) doctor.Dir {
	var d doctor.Dir
	for _, path := range runtimeDirs() {
		d = doctor.Dir{Path: path, Fault: func() error {
			if err := roomFor(path, socketLen(cluster)); err != nil {
				return runtimeDirFinding(err)
			}
			err := checkRuntimeDir(path)
			if errors.Is(err, fs.ErrNotExist) { // it will be made
				err = unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK)
			}
			if err == nil || errors.Is(err, ErrRuntimeDir) {
				return err
			}
			return runtimeDirFinding(fmt.Errorf("%s: %w", path, err))
		}}
		if d.Fault() == nil {
			break
		}
	}
	return d
}
