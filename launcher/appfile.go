package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// appFile is an application resource file (app(4)).
type appFile struct {
	name etf.Atom
	keys map[etf.Atom]etf.Term
}

// maxAppFile is more than any has: one that lists 5,000 modules, as many as OTP and Elixir have together, has some 200 kB.
const maxAppFile = 4 << 20

// readAppFile reads {application, Name, [{Key, Value}]}. What is no regular file, which may be a pipe that nobody writes to, is none.
func readAppFile(path string) (*appFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxAppFile {
		return nil, errors.Join(fmt.Errorf("%s is no application's file", path), err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAppFile))
	if err != nil {
		return nil, err
	}
	t, err := etf.Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var file struct {
		Application, Name etf.Atom
		Keys              etf.List
	}
	if err := etf.Assign(t, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &appFile{file.Name, properties(file.Keys)}, nil
}

// properties makes a map of a property list's pairs.
func properties(list etf.List) map[etf.Atom]etf.Term {
	keys := make(map[etf.Atom]etf.Term)
	for _, e := range list {
		if pair, ok := e.(etf.Tuple); ok && len(pair) == 2 {
			if key, ok := pair[0].(etf.Atom); ok {
				keys[key] = pair[1]
			}
		}
	}
	return keys
}

// modules are those that the application says it has.
func (a *appFile) modules() []string {
	var names []etf.Atom
	if etf.Assign(a.keys["modules"], &names) != nil {
		return nil
	}
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}

// absent visits the modules that .app files list and that are not there. A build that goes on, or has failed, leaves such: Mix and erlc delete
// what they are going to write.
func absent(files []string, there func(module string) bool, visit func(file, app, module string)) {
	for _, path := range files {
		a, err := readAppFile(path)
		if err != nil { // being written
			continue
		}
		for _, m := range a.modules() {
			if !there(m) {
				visit(path, string(a.name), m)
			}
		}
	}
}

// missing returns the modules that are absent, with the file that lists each.
func (c *Code) missing() map[string]string {
	out := make(map[string]string)
	absent(c.Apps, func(m string) bool { return c.Beams[m] != "" }, func(file, _, m string) { out[m] = file })
	return out
}

// AppChange is something that an application's .app file says, and the running application does not know: it reads that file when it
// is loaded, and new code does not change it.
type AppChange struct {
	App     string `json:"app"`
	Key     string `json:"key"`     // of the file: vsn, applications…
	Running string `json:"running"` // Erlang terms
	Disk    string `json:"disk"`
}

func (a AppChange) String() string {
	return fmt.Sprintf("%s.app: %s is %s, and %s on disk", a.App, a.Key, a.Running, a.Disk)
}

// appKeys are what is compared, each with what application:get_all_key/1 gives where the file says nothing. What env has may have been
// configured otherwise, and modules are compared themselves.
var appKeys = []struct {
	key   etf.Atom
	unset string
}{{"vsn", `""`}, {"applications", "[]"}, {"included_applications", "[]"}, {"registered", "[]"}, {"mod", "[]"}, {"start_phases", "undefined"}}

// appChanges compares .app files with what a node has loaded. Files that cannot be read say nothing.
func appChanges(ctx context.Context, n *node.Node, name string, files []string) ([]AppChange, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var loaded []struct{ App, Desc, Vsn etf.Term }
	if err := n.CallInto(ctx, name, &loaded, "application", "loaded_applications"); err != nil {
		return nil, err
	}
	have := make(map[etf.Atom]bool) // so that no atom is new to the node
	for _, l := range loaded {
		if app, ok := l.App.(etf.Atom); ok {
			have[app] = true
		}
	}
	var apps []*appFile
	var names []etf.Term
	for _, path := range files {
		a, err := readAppFile(path)
		if err != nil || !have[a.name] || slices.Contains(names, etf.Term(a.name)) {
			continue
		}
		apps, names = append(apps, a), append(names, a.name)
	}
	if len(apps) == 0 {
		return nil, nil
	}
	var all []etf.Term // {ok, [{Key, Value}]}; undefined: unloaded since
	if err := n.CallInto(ctx, name, &all, "lists", "map", etf.Export{Module: "application", Function: "get_all_key", Arity: 1}, etf.List(names)); err != nil {
		return nil, err
	}
	var out []AppChange
	for i, t := range all[:min(len(all), len(apps))] {
		pair, ok := t.(etf.Tuple)
		if !ok || len(pair) != 2 {
			continue
		}
		list, _ := pair[1].(etf.List)
		running := properties(list)
		for _, k := range appKeys {
			disk, now := k.unset, etf.Format(running[k.key])
			if v, ok := apps[i].keys[k.key]; ok {
				disk = etf.Format(v)
			}
			if disk != now {
				out = append(out, AppChange{string(apps[i].name), string(k.key), now, disk})
			}
		}
	}
	return out, nil
}
