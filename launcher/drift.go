package launcher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/codesync"
)

// diskSums knows the sums of the modules on disk. A file is read again only when it has changed.
type diskSums struct {
	mu    sync.Mutex
	files map[string]diskSum
}

type diskSum struct {
	at   time.Time
	size int64
	sum  codesync.Sum
}

// of returns a file's sum; ok is false if it is no module, or being written.
func (d *diskSums) of(path string) (sum codesync.Sum, ok bool) {
	st, err := os.Stat(path)
	if err != nil {
		return sum, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[path]; ok && f.at.Equal(st.ModTime()) && f.size == st.Size() {
		return f.sum, true
	}
	b, err := codesync.Read(path)
	if err != nil {
		return sum, false
	}
	if d.files == nil {
		d.files = make(map[string]diskSum)
	}
	d.files[path] = diskSum{st.ModTime(), st.Size(), b.Sum}
	return b.Sum, true
}

// drift returns the modules that a node has loaded in another version than disk has, by name, and those that disk has no more; lost are
// those of them that disk should have, as .app files say. What is cover-compiled is another version on purpose.
func (d *diskSums) drift(ctx context.Context, n *node.Node, name string, code *Code) (differ, lost []string, err error) {
	if code == nil || len(code.Dirs) == 0 {
		return nil, nil, nil
	}
	var all []struct {
		Module etf.Atom
		File   etf.Term
	}
	if err := n.CallInto(ctx, name, &all, "code", "all_loaded"); err != nil {
		return nil, nil, err
	}
	var ours []etf.Atom
	for _, m := range all {
		var file string
		if _, word := m.File.(etf.Atom); word || etf.Assign(m.File, &file) != nil {
			continue
		}
		if code.Beams[string(m.Module)] != "" {
			ours = append(ours, m.Module)
		} else if slices.Contains(code.Dirs, filepath.Dir(file)) {
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				differ = append(differ, string(m.Module))
			}
		}
	}
	if len(differ) > 0 { // nearly never: only then are the files read
		missing := code.missing()
		for _, m := range differ {
			if missing[m] != "" {
				lost = append(lost, m)
			}
		}
		slices.Sort(lost)
	}
	var sums []codesync.Sum
	md5 := slices.Repeat([]etf.Atom{"md5"}, len(ours))
	fn := etf.Export{Module: "erlang", Function: "get_module_info", Arity: 2}
	if err := n.CallInto(ctx, name, &sums, "lists", "zipwith", fn, ours, md5); err != nil {
		return nil, nil, err
	}
	for i, sum := range sums[:min(len(sums), len(ours))] {
		module := string(ours[i])
		if disk, ok := d.of(code.Beams[module]); ok && disk != sum {
			differ = append(differ, module)
		}
	}
	slices.Sort(differ)
	return differ, lost, nil
}
