package launcher

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/launcher/control"
	"github.com/beamctl/beamctl/launcher/internal/proc"
)

var (
	// ErrNoCluster says that there is no such cluster.
	ErrNoCluster = errors.New("no such cluster")
	// ErrNotRunning says that a cluster has left files, but doesn't run.
	ErrNotRunning = errors.New("is not running")
	// ErrAmbiguous says that several clusters could be meant.
	ErrAmbiguous = errors.New("several clusters could be meant")
	// ErrNoAnswer says that a cluster's supervisor lives and does not answer.
	ErrNoAnswer = errors.New("the supervisor does not answer")
)

// Where says which cluster is meant. The zero Where is the only cluster of the current directory's project.
type Where struct {
	Dir      string // a directory in the project; "": the current one
	StateDir string // parent of the clusters' state directories; "": the nearest .beamctl in Dir or above
	Cluster  string // name; "": the only one there
}

// Cluster is a handle on a cluster that was started earlier, by whomever.
type Cluster struct {
	place  place
	record *Record
	tie    *tie // nil unless this process holds it
}

// Find returns the cluster that w means, whether it runs or has only left files. A cluster that is named and isn't in
// the project is looked for among all of the user's.
func Find(w Where) (*Cluster, error) {
	stateDir, err := w.stateDir()
	if err != nil {
		return nil, err
	}
	var found []*Cluster
	if stateDir != "" {
		if found, err = clustersIn(stateDir); err != nil {
			return nil, err
		}
	}
	if w.Cluster != "" {
		found = slices.DeleteFunc(found, func(c *Cluster) bool { return c.Name() != w.Cluster })
		if len(found) == 0 && w.StateDir == "" {
			for _, c := range All() {
				if c.Name() == w.Cluster {
					found = append(found, c)
				}
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && w.Cluster != "":
		return nil, fmt.Errorf("%w: %s", ErrNoCluster, w.Cluster)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: none was started in this directory or above", ErrNoCluster)
	}
	var names []string
	for _, c := range found {
		names = append(names, fmt.Sprintf("%s (%s)", c.Name(), c.Dir()))
	}
	choose := "--cluster NAME"
	if w.Cluster != "" { // they are in several projects
		choose = "--state-dir DIR"
	}
	return nil, fmt.Errorf("%w: %s; choose one with %s", ErrAmbiguous, strings.Join(names, ", "), choose)
}

// Open is Find for a cluster that has to be running.
func Open(w Where) (*Cluster, error) {
	c, err := Find(w)
	if err != nil {
		return nil, err
	}
	return c, c.running()
}

// running returns nil if the cluster runs, else an ErrNotRunning that says why not.
func (c *Cluster) running() error {
	switch c.record.State {
	case Ready, Starting:
		return nil
	case Skewed:
		return &checks.Finding{
			What: fmt.Sprintf("cluster %s was started by another version of beamctl", c.Name()),
			Saw:  fmt.Sprintf("%s has schema %d, this version knows %d", c.place.record(), c.record.Schema, recordSchema),
			Fix:  skewFix, Err: ErrSkew,
		}
	case Dead:
		return fmt.Errorf("cluster %s %w: %s; `beamctl stop` or `beamctl clean` clears away what it left", c.Name(), ErrNotRunning, cmp.Or(c.record.Failure, "its supervisor is gone"))
	case Failed, Stopped:
	}
	why, _, _ := strings.Cut(c.record.Failure, "\n")
	logs := "its logs: beamctl logs; to remove them: beamctl clean"
	if build := c.BuildLog(); build != "" {
		logs = "what its build said: " + build + "; to remove that: beamctl clean"
	}
	return fmt.Errorf("cluster %s %w: %s (%s)", c.Name(), ErrNotRunning, why, logs)
}

// stateDir returns the directory that holds the clusters' directories, or "" if there is none.
func (w Where) stateDir() (string, error) {
	if w.StateDir != "" {
		return filepath.Abs(w.StateDir)
	}
	dir, err := filepath.Abs(w.Dir)
	if err != nil {
		return "", err
	}
	for {
		at := filepath.Join(dir, StateDirName)
		if fi, err := os.Stat(at); err == nil && fi.IsDir() {
			return at, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", nil
		}
		dir = up
	}
}

// clustersIn returns the clusters below a state directory, by name.
func clustersIn(stateDir string) ([]*Cluster, error) {
	entries, err := os.ReadDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var out []*Cluster
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p := place(filepath.Join(stateDir, e.Name()))
		if r, err := readRecord(p); err == nil {
			out = append(out, &Cluster{place: p, record: r})
		}
	}
	return out, nil
}

// All returns all of the user's clusters, by name, wherever they are.
func All() []*Cluster {
	var out []*Cluster
	for id, p := range indexed() {
		if r, err := readRecord(p); err == nil && r.ID == id {
			out = append(out, &Cluster{place: p, record: r})
		}
	}
	slices.SortFunc(out, func(a, b *Cluster) int { return strings.Compare(a.Name()+a.Dir(), b.Name()+b.Dir()) })
	return out
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.record.Spec.Cluster }

// Dir returns the project's directory.
func (c *Cluster) Dir() string { return c.record.Spec.Dir }

// StateDir returns the cluster's own state directory.
func (c *Cluster) StateDir() string { return string(c.place) }

// Record returns what the cluster wrote about itself, its State corrected by whether its supervisor lives.
func (c *Cluster) Record() Record { return *c.record }

// Reload returns the cluster with what it has written about itself since; its nodes may be others now. ErrNotRunning: it has ended.
func (c *Cluster) Reload() (*Cluster, error) {
	r, err := readRecord(c.place)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && r.ID != c.record.ID:
		return nil, fmt.Errorf("cluster %s %w: it has ended", c.Name(), ErrNotRunning)
	case err != nil:
		return nil, err
	}
	now := &Cluster{place: c.place, record: r, tie: c.tie}
	return now, now.running()
}

// Code returns the code of the cluster's nodes, as it is on disk.
func (c *Cluster) Code() (map[string]*Code, error) { return c.record.Spec.Code() }

// UserEPMD returns the address (host:port) at which the user's own nodes find the cluster's.
func (c *Cluster) UserEPMD() string { return c.record.EPMD }

// CookieFile returns the path of the file that holds the cluster's cookie.
func (c *Cluster) CookieFile() string { return c.place.cookie() }

// Targets returns the nodes as package checks knows them.
func (c *Cluster) Targets() ([]checks.Target, error) {
	cookie, err := dist.ReadCookieFile(c.CookieFile())
	if err != nil {
		return nil, err
	}
	spec := &c.record.Spec
	targets := make([]checks.Target, 0, len(spec.Nodes))
	var secure *tls.Config
	for i := range spec.Nodes {
		n := &spec.Nodes[i]
		if i == 0 || spec.TLS != TLSAuto { // for all nodes the same
			if secure, err = spec.clientTLS(c.place, n); err != nil {
				return nil, err
			}
		}
		targets = append(targets, checks.Target{
			Name: n.Name, EPMD: c.record.EPMD, Cookie: cookie, TLS: secure, Apps: spec.AppsOf(n), Alone: spec.Mesh == MeshNone, Ours: true,
		})
	}
	return targets, nil
}

// Status has the supervisor look at its nodes.
func (c *Cluster) Status(ctx context.Context) (*Status, error) {
	raw, err := c.call(ctx, opStatus, nil, nil)
	if err != nil {
		return nil, err
	}
	var st Status
	if err := json.Unmarshal(raw, &st); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return &st, nil
}

// call asks the supervisor.
func (c *Cluster) call(ctx context.Context, op string, args any, onEvent func(Event)) (json.RawMessage, error) {
	raw, err := control.Call(ctx, c.record.Socket, op, args, eventDecoder(onEvent))
	if err != nil && ctx.Err() != nil {
		return nil, c.noAnswer(err)
	}
	if errors.Is(err, control.ErrHungUp) || errors.Is(err, control.ErrNoServer) {
		return nil, fmt.Errorf("cluster %s %w: it has just ended, or its supervisor was killed: %w", c.Name(), ErrNotRunning, err)
	}
	if f := c.skew(op, err); f != nil {
		return nil, f
	}
	return raw, fromWire(err)
}

// noAnswer explains err, that the time for an answer was up, or whoever asked gave up.
func (c *Cluster) noAnswer(err error) error {
	pid := c.record.Supervisor.Pid
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w (pid %d): %w", ErrNoAnswer, pid, err)
	}
	f := &checks.Finding{
		What: ErrNoAnswer.Error(), Saw: fmt.Sprintf("process %d: %v", pid, err), Cause: "it hangs, or the machine has too much to do",
		Fix: "give it longer with --timeout; `beamctl stop` ends the cluster also without it", Err: errors.Join(ErrNoAnswer, err),
	}
	if proc.Stopped(pid) {
		f.Cause = "its process is stopped (state T): somebody has sent it SIGSTOP, or a debugger holds it"
		f.Fix = fmt.Sprintf("kill -CONT %d lets it go on; `beamctl stop` ends the cluster also without it", pid)
	}
	return f
}

// ErrSkew says that a cluster's supervisor is of another version of beamctl, and doesn't understand this one.
var ErrSkew = errors.New("the supervisor is of another version of beamctl")

const skewFix = "end it, which `beamctl stop` can all the same, and start it with this version; or use that one"

// skew explains the answer of a supervisor that doesn't know what it was asked, or nil.
func (c *Cluster) skew(op string, err error) error {
	var e *control.Error
	if !errors.As(err, &e) || (e.Code != control.CodeVersion && e.Code != control.CodeUnknown) {
		return nil
	}
	return &checks.Finding{
		What: fmt.Sprintf("cluster %s was started by another version of beamctl, which doesn't understand %q", c.Name(), op),
		Saw:  e.Message, Fix: skewFix, Err: ErrSkew,
	}
}

func eventDecoder(onEvent func(Event)) func(json.RawMessage) {
	return func(raw json.RawMessage) {
		var e Event
		if onEvent != nil && json.Unmarshal(raw, &e) == nil {
			onEvent(e)
		}
	}
}
