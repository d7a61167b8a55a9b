package codesync

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
)

// MaxModules is how many modules a set may have: OTP, Elixir and all their libraries together have some 5,000.
const MaxModules = 50_000

// Set is the code that nodes shall run.
type Set struct {
	Beams []*Beam // of different modules
	// Dirs are the folders, as the nodes know them, that the set is the whole of: what a node has loaded from there and
	// is not among Beams is deleted on it.
	Dirs []string
	// Here says that the folders are this machine's, too: a module whose file is there by now, since they were read, is
	// not deleted.
	Here bool
}

// ReadDirs reads the .beam files of folders (not of those below), which become the set's Dirs, Here. Of a module that
// is in several, the first counts, as in Erlang's code path. Errors of all files are joined.
func ReadDirs(ctx context.Context, dirs ...string) (Set, error) {
	set := Set{Here: true}
	var paths []string
	seen := map[string]bool{}
	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return set, err
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return set, err
		}
		set.Dirs = append(set.Dirs, dir)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".beam") && !e.IsDir() && !seen[e.Name()] {
				seen[e.Name()] = true
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	var err error
	set.Beams, err = ReadFiles(ctx, paths...)
	return set, err
}

// ReadFiles reads .beam files, several at a time, each of which has to be named after its module. Errors are joined.
func ReadFiles(ctx context.Context, paths ...string) ([]*Beam, error) {
	if len(paths) > MaxModules {
		return nil, fmt.Errorf("%d modules: %d at most", len(paths), MaxModules)
	}
	beams := make([]*Beam, len(paths))
	errs := make([]error, len(paths))
	var wg sync.WaitGroup
	todo := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(paths)) {
		wg.Go(func() {
			for i := range todo {
				beams[i], errs[i] = readNamed(paths[i])
			}
		})
	}
	for i := range paths {
		if ctx.Err() != nil {
			errs[i] = context.Cause(ctx)
			break
		}
		todo <- i
	}
	close(todo)
	wg.Wait()
	if err := joined(errs); err != nil {
		return nil, err
	}
	return beams, nil
}

func readNamed(path string) (*Beam, error) {
	b, err := Read(path)
	if err != nil {
		return nil, err
	}
	if base := strings.TrimSuffix(filepath.Base(path), ".beam"); base != string(b.Module) {
		return nil, fmt.Errorf("%w: %s holds module %s, and could not be loaded by that name", ErrNotBeam, path, b.Module)
	}
	return b, nil
}

// validate checks what a caller may get wrong, and returns the modules by name.
func (s *Set) validate() (map[etf.Atom]*Beam, error) {
	if len(s.Beams) > MaxModules {
		return nil, fmt.Errorf("codesync: %d modules: %d at most", len(s.Beams), MaxModules)
	}
	by := make(map[etf.Atom]*Beam, len(s.Beams))
	for _, b := range s.Beams {
		switch {
		case b == nil || b.Module == "" || b.plain == nil:
			return nil, fmt.Errorf("codesync: a Beam in a Set comes from Read, ReadFiles, ReadDirs or Parse")
		case !filepath.IsAbs(b.Path):
			return nil, fmt.Errorf("codesync: module %s: %q is no absolute path", b.Module, b.Path)
		case by[b.Module] != nil:
			return nil, fmt.Errorf("codesync: module %s twice: %s and %s", b.Module, by[b.Module].Path, b.Path)
		}
		by[b.Module] = b
	}
	for _, d := range s.Dirs {
		if !filepath.IsAbs(d) {
			return nil, fmt.Errorf("codesync: folder %q is no absolute path", d)
		}
	}
	return by, nil
}

// owns says whether the set is the whole of the folder that the file is in.
func (s *Set) owns(file string) bool {
	dir := filepath.Dir(file)
	return slices.ContainsFunc(s.Dirs, func(d string) bool { return filepath.Clean(d) == dir })
}
