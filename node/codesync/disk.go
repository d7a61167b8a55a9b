package codesync

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
)

// unwritten are modules that run as they shall, and whose files are others: a restart would bring those back, which
// Persist is against.
func (c *comparison) unwritten(ctx context.Context, same []*Beam, have map[etf.Atom]*loaded) ([]*Beam, error) {
	if !c.opts.Persist {
		return nil, nil
	}
	var asked, found []*Beam
	var files []string
	for _, b := range same {
		if l := have[b.Module]; l.file != "" {
			asked, files = append(asked, b), append(files, l.file)
		}
	}
	sums, err := c.onDisk(ctx, files)
	for i, b := range asked {
		if err == nil && sums[i] != b.Sum {
			found = append(found, b)
		}
	}
	return found, err
}

// onDisk asks for the sums of files there; that of what is no beam file is zero.
func (c *comparison) onDisk(ctx context.Context, files []string) ([]Sum, error) {
	names := make([]etf.Charlist, len(files))
	for i, f := range files {
		names[i] = etf.Charlist(f)
	}
	var raw []etf.Term
	if err := mapped(ctx, c.remote, &raw, "beam_lib", "md5", names); err != nil {
		return nil, err
	}
	sums := make([]Sum, len(raw))
	for i, t := range raw {
		var res struct { // {ok, {Module, Sum}}
			OK  etf.Atom
			Got struct {
				Module etf.Atom
				Sum    Sum
			}
		}
		if etf.Assign(t, &res) == nil {
			sums[i] = res.Got.Sum
		}
	}
	return sums, nil
}

// notOnDisk leaves out modules that the node will load from the very same file: it is interactive, the folder is in its
// code path, no folder before has a file of that name, and what it sees there is the file that was read here.
func (c *comparison) notOnDisk(ctx context.Context, beams []*Beam) ([]*Beam, error) {
	if c.plan.Mode != "interactive" || len(beams) == 0 {
		return beams, nil
	}
	path, err := c.codePath(ctx)
	if err != nil {
		return nil, err
	}
	var there, rest []*Beam
	var names []etf.Term
	for _, b := range beams {
		if b.file != (FileID{}) && slices.Contains(path, filepath.Dir(b.Path)) {
			there, names = append(there, b), append(names, etf.Charlist(b.Path))
		} else {
			rest = append(rest, b)
		}
	}
	var infos []etf.Term
	posix := etf.List{etf.Tuple{etf.Atom("time"), etf.Atom("posix")}}
	if err := zipped(ctx, c.remote, &infos, "prim_file", "read_file_info", names, posix); err != nil {
		return nil, err
	}
	first, err := c.first(ctx, path, there)
	if err != nil {
		return nil, err
	}
	for i, b := range there {
		if Seen(infos[i]) == b.file && first[filepath.Base(b.Path)] == filepath.Dir(b.Path) {
			c.plan.OnDisk++
		} else {
			rest = append(rest, b)
		}
	}
	return rest, nil
}

// first says of the modules' file names which of the folders the node finds them in. It lists each once, which costs
// less than code:where_is_file/1 for each module, that looks into one after another.
func (c *comparison) first(ctx context.Context, path []string, beams []*Beam) (map[string]string, error) {
	last := 0
	wanted := map[string]bool{}
	for _, b := range beams {
		last = max(last, slices.Index(path, filepath.Dir(b.Path))+1)
		wanted[filepath.Base(b.Path)] = true
	}
	dirs := make([]etf.Charlist, last)
	for i, dir := range path[:last] {
		dirs[i] = etf.Charlist(dir)
	}
	var lists []etf.Term // {ok, Names} or error
	if err := mapped(ctx, c.remote, &lists, "erl_prim_loader", "list_dir", dirs); err != nil {
		return nil, err
	}
	first := map[string]string{}
	for i, t := range lists {
		var list struct {
			OK    etf.Atom
			Names []string
		}
		_ = etf.Assign(t, &list) // a folder that is not there has nothing
		for _, name := range list.Names {
			if _, known := first[name]; wanted[name] && !known {
				first[name] = path[i]
			}
		}
	}
	return first, nil
}

// codePath is the node's code path, in which OTP keeps relative folders as they were given.
func (c *comparison) codePath(ctx context.Context) ([]string, error) {
	var path []string
	var cwd struct {
		OK  etf.Atom
		Dir string
	}
	err := each([]func() error{
		func() error { return c.into(ctx, &path, "code", "get_path") },
		func() error { return c.into(ctx, &cwd, "file", "get_cwd") },
	}, func(_ int, f func() error) error { return f() })
	for i, dir := range path {
		if !filepath.IsAbs(dir) {
			path[i] = filepath.Join(cwd.Dir, dir)
		}
	}
	return path, err
}
