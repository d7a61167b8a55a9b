package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// StateDirName is the directory beside the project in which clusters keep what has to survive their supervisor.
const StateDirName = ".beamctl"

// place is the state directory of one cluster, DIR/.beamctl/NAME/:
//
//	.gitignore         of everything here
//	lock               held by the supervisor and the guardian while they live
//	cluster.json       the Record
//	cookie             mode 0600
//	boot.erl           what the nodes read to join
//	tls/               of each node certificate, key and optfile, mode 0600, if the cluster has a TLS authority of its own
//	supervisor.log     what supervisor and guardian had to say
//	build.log          output of the build step
//	built              its time is that at which the last build that succeeded began; not there if there was none
//	events.jsonl       every Event; this and the logs have a predecessor with the suffix .1 when they were rotated
//	nodes/NODE/        console.log, erl_crash.dump, the files of its spec; where erl nodes run
//	nodes/NODE/home/   HOME of a node that reads its cookie there: .erlang.cookie leads to the cookie; of NODE .user: the user's remote shells'
type place string

func (p place) join(elem ...string) string {
	return filepath.Join(append([]string{string(p)}, elem...)...)
}

func (p place) gitignore() string           { return p.join(".gitignore") }
func (p place) lock() string                { return p.join("lock") }
func (p place) record() string              { return p.join("cluster.json") }
func (p place) cookie() string              { return p.join("cookie") }
func (p place) boot() string                { return p.join("boot.erl") }
func (p place) tlsDir() string              { return p.join("tls") }
func (p place) supervisorLog() string       { return p.join("supervisor.log") }
func (p place) buildLog() string            { return p.join("build.log") }
func (p place) built() string               { return p.join("built") }
func (p place) events() string              { return p.join("events.jsonl") }
func (p place) node(short string) string    { return p.join("nodes", short) }
func (p place) console(short string) string { return p.join("nodes", short, "console.log") }
func (p place) crashDump(short string) string {
	return p.join("nodes", short, "erl_crash.dump")
}

// tls is a node's, the authority's or the user's file in the directory for TLS: its pem, key or conf.
func (p place) tls(who, kind string) string { return filepath.Join(p.tlsDir(), who+"."+kind) }

// markBuilt notes when a build that succeeded began.
func (p place) markBuilt(began time.Time) error {
	err := os.WriteFile(p.built(), nil, 0o600)
	if err == nil {
		err = os.Chtimes(p.built(), began, began)
	}
	return err
}

// builtAt returns when the last build that succeeded began, zero if there was none.
func (p place) builtAt() time.Time {
	st, err := os.Stat(p.built())
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// makeHome makes a node's own HOME. Its .erlang.cookie is a link, so that there is one copy of the cookie to remove; auth.erl
// follows it and looks at the mode of the file itself.
func (p place) makeHome(short string) (string, error) {
	home := p.join("nodes", short, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", fmt.Errorf("home: %w", err)
	}
	err := os.Symlink(p.cookie(), filepath.Join(home, ".erlang.cookie"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("home: %w", err)
	}
	return home, nil
}

// recordSchema is the version of Record's JSON.
const recordSchema = 1

// State is where a cluster is in its life.
type State string

// The states that a Record holds. Dead is written when the guardian was killed; it is also what a reader
// finds when the supervisor of a starting, ready or skewed cluster no longer lives.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Failed   State = "failed"  // could not start; only files are left
	Stopped  State = "stopped" // with --keep; only files are left
	Dead     State = "dead"
	// Skewed is not written either: another version of beamctl has started the cluster, and writes records of another schema. What is
	// known of it is what stays the same in all of them: see readSkewed.
	Skewed State = "skewed"
)

// A Record is what a cluster writes about itself, for others to find its processes and its doors. What it says of
// processes is checked against the kernel before it is believed.
type Record struct {
	Schema     int          `json:"schema"`
	ID         string       `json:"id"` // name and a random suffix; the marker's value
	State      State        `json:"state"`
	Since      time.Time    `json:"since"` // start of the supervisor
	Spec       Spec         `json:"spec"`
	Supervisor proc.ID      `json:"supervisor"`
	Guardian   proc.ID      `json:"guardian"`
	Failure    string       `json:"failure,omitempty"`   // why it is not running
	Socket     string       `json:"socket"`              // of the control server
	EPMD       string       `json:"epmd"`                // host:port, the door of the user's own nodes
	ERLFlags   string       `json:"erl_flags,omitempty"` // what they need on their command line to speak as the nodes do
	Nodes      []NodeRecord `json:"nodes"`
}

// NodeRecord is what a Record says of a node.
type NodeRecord struct {
	Name    string         `json:"name"`
	EPMD    string         `json:"epmd"` // host:port, this node's own door to the registry
	Process proc.ID        `json:"process"`
	Ports   map[string]int `json:"ports,omitempty"` // reserved for it, by name
}

func readRecord(p place) (*Record, error) {
	b, err := os.ReadFile(p.record())
	if err != nil {
		return nil, err
	}
	var known struct {
		Schema int `json:"schema"`
	}
	var r Record
	if err = json.Unmarshal(b, &known); err == nil {
		if known.Schema == recordSchema {
			err = json.Unmarshal(b, &r)
		} else {
			r, err = readSkewed(b)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.record(), err)
	}
	if r.ID == "" {
		return nil, fmt.Errorf("%s: no id", p.record())
	}
	if (r.State == Starting || r.State == Ready || r.State == Skewed) && !r.Supervisor.Alive() {
		r.State = Dead
	}
	return &r, nil
}

// readSkewed reads of a record of another schema what every version writes, so that the cluster can be named, and ended.
func readSkewed(b []byte) (Record, error) {
	var basics struct {
		Schema     int       `json:"schema"`
		ID         string    `json:"id"`
		Since      time.Time `json:"since"`
		Supervisor proc.ID   `json:"supervisor"`
		Guardian   proc.ID   `json:"guardian"`
		Spec       struct {
			Cluster string `json:"cluster"`
			Dir     string `json:"dir"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(b, &basics); err != nil {
		return Record{}, err
	}
	return Record{
		Schema: basics.Schema, ID: basics.ID, State: Skewed, Since: basics.Since, Supervisor: basics.Supervisor, Guardian: basics.Guardian,
		Spec: Spec{Cluster: basics.Spec.Cluster, Dir: basics.Spec.Dir},
	}, nil
}

// write replaces the record in one step, so that no reader sees half of it.
func (r *Record) write(p place) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cluster record: %w", err)
	}
	tmp := p.record() + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("cluster record: %w", err)
	}
	return os.Rename(tmp, p.record())
}

// ErrForeign says that a directory isn't empty and not beamctl's either.
var ErrForeign = errors.New("holds files that are not beamctl's")

// gitignore keeps a state directory out of the project's version control, without touching the project's own file.
const gitignore = "# made by beamctl\n*\n"

// openPlace makes the state directory stateDir/cluster.
func openPlace(stateDir, cluster string) (place, error) {
	p := place(filepath.Join(stateDir, cluster))
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	entries, err := os.ReadDir(string(p))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(string(p), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("state directory: %w", err)
		}
	case err != nil:
		return "", fmt.Errorf("state directory: %w", err)
	case len(entries) > 0 && !p.ours():
		return "", fmt.Errorf("state directory %s %w", p, ErrForeign)
	}
	return p, nil
}

// ours tells whether nothing lies in the directory that beamctl doesn't put there. One that has just gone is ours.
func (p place) ours() bool {
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	for _, e := range entries {
		switch e.Name() {
		case ".gitignore", "lock", "cluster.json", "cluster.json.new", "cookie", "boot.erl", "supervisor.log", "build.log", "built", "events.jsonl", "events.jsonl" + oldSuffix, "build.log" + oldSuffix, "nodes", "tls":
		default:
			return false
		}
	}
	return true
}

// removeSecrets leaves nothing with which one could have joined the cluster.
func (p place) removeSecrets() error {
	return errors.Join(ignoreMissing(os.Remove(p.cookie())), os.RemoveAll(p.tlsDir()))
}

// empty removes what a cluster left in its state directory, but for what makes it one.
func (p place) empty() error {
	entries, err := os.ReadDir(string(p))
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range entries {
		if e.Name() == "lock" || e.Name() == ".gitignore" {
			continue
		}
		if err := os.RemoveAll(p.join(e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// remove removes the state directory, and its parent if that is ours and has become empty. Who calls it holds the lock,
// which goes last: until then newcomers are told that the cluster runs. One that comes right after has the directory, then.
func (p place) remove() error {
	if !p.ours() {
		return fmt.Errorf("state directory %s %w", p, ErrForeign)
	}
	if err := errors.Join(p.empty(), ignoreMissing(os.Remove(p.gitignore())), ignoreMissing(os.Remove(p.lock()))); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	_ = os.Remove(string(p)) // not if it is not empty
	removeStateDir(filepath.Dir(string(p)))
	return nil
}

// removeStateDir removes the directory in which clusters had their state, if it is ours and no cluster is left in it.
func removeStateDir(dir string) {
	if filepath.Base(dir) == StateDirName {
		_ = os.Remove(dir) // not if it is not empty
	}
}
