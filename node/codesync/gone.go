package codesync

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// gone plans to delete what the node has loaded from the set's folders, and is in them no more.
func (c *comparison) gone(ctx context.Context, have map[etf.Atom]*loaded) error {
	for name, l := range have {
		if c.by[name] == nil && !c.set.has(l.file) {
			sum := l.sum
			c.plan.Delete = append(c.plan.Delete, Change{Module: name, Old: &sum, File: l.file})
		}
	}
	return c.goneCovered(ctx)
}

// has says whether a file is among those of the set's folders now.
func (s *Set) has(file string) bool {
	if !s.Here {
		return false
	}
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// goneCovered refuses cover-compiled modules that would be deleted, as it does those that would be replaced. Such a
// module does not say where it was loaded from, only what it was compiled from: it counts as one of the set's folders
// if a module of the set was compiled from the same folder, and no folder of the set has its file.
func (c *comparison) goneCovered(ctx context.Context) error {
	if len(c.set.Dirs) == 0 {
		return nil
	}
	var infos []etf.List
	if err := zipped(ctx, c.remote, &infos, "erlang", "get_module_info", c.covered, etf.Atom("compile")); err != nil {
		return err
	}
	sources := make(map[string]bool)
	for _, b := range c.set.Beams {
		if b.Source != "" {
			sources[filepath.Dir(b.Source)] = true
		}
	}
	for i, name := range c.covered {
		var source string
		s, _ := infos[i].Lookup("source")
		_ = etf.Assign(s, &source) // it may have none
		there := slices.ContainsFunc(c.set.Dirs, func(dir string) bool { return c.set.has(filepath.Join(dir, string(name)+".beam")) })
		if source != "" && sources[filepath.Dir(source)] && !there {
			c.refuse(name, WhyCover, "its file is gone, and it is cover-compiled there, which deleting it would end: cover:stop() first")
		}
	}
	return nil
}
