package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/codesync"
)

// probes is how many files are compared to know whether this machine sees the node's disk.
const probes = 3

// shared says whether the node's files are this machine's: not so for another host or a container.
func (x *exam) shared(ctx context.Context, mine map[etf.Atom]build) (bool, error) {
	var here []codesync.FileID
	var names []etf.Term
	for _, m := range slices.Sorted(maps.Keys(mine)) {
		if f, ok := stat(mine[m].file); ok && len(names) < probes {
			here, names = append(here, f), append(names, etf.Charlist(mine[m].file))
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	var there []etf.Term
	posix := etf.List{etf.Tuple{etf.Atom("time"), etf.Atom("posix")}}
	info := etf.Export{Module: "prim_file", Function: "read_file_info", Arity: 2}
	if err := x.call(ctx, &there, "lists", "zipwith", info, names, slices.Repeat([]etf.List{posix}, len(names))); err != nil {
		return false, err
	}
	for i, t := range there[:min(len(there), len(here))] {
		if codesync.Seen(t) == here[i] {
			return true, nil
		}
	}
	return false, nil
}

// stat tells a file apart from others; ok is false if it is none.
func stat(name string) (f codesync.FileID, ok bool) {
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() {
		return f, false
	}
	return codesync.Identify(st), true
}

// onDisk is the sum of a file; several nodes may have loaded it, and it is read once.
func (x *exam) onDisk(name string) (codesync.Sum, error) {
	type diskFile string
	return learn(x.common, diskFile(name), func() (codesync.Sum, error) {
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() || st.Size() > codesync.MaxBeam {
			return codesync.Sum{}, errors.Join(err, fs.ErrNotExist)
		}
		b, err := os.ReadFile(name) //nolint:gosec // a module's file, that the node has loaded
		if err != nil {
			return codesync.Sum{}, err
		}
		return codesync.MD5(b)
	})
}

// listedByApps returns those modules that an application which the node has loaded lists as its own: the others were made at run time, or
// by a shell.
func (x *exam) listedByApps(ctx context.Context, modules []etf.Atom) (names []string, err error) {
	if len(modules) == 0 {
		return nil, nil
	}
	var of []etf.Term // {ok, App}; undefined
	if err := x.call(ctx, &of, "lists", "map", etf.Export{Module: "application", Function: "get_application", Arity: 1}, modules); err != nil {
		return nil, err
	}
	for i, t := range of[:min(len(of), len(modules))] {
		if t != etf.Term(etf.Atom("undefined")) {
			names = append(names, etf.Format(modules[i]))
		}
	}
	slices.Sort(names)
	return names, nil
}

func disk(ctx context.Context, x *exam) (Cell, error) {
	mine, err := modules.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "code:all_loaded(), erlang:get_module_info(M, md5)", "a module was unloaded meanwhile, or the code server hangs")
	}
	if len(mine) == 0 {
		return none("no modules but OTP's and Elixir's")
	}
	shared, err := x.shared(ctx, mine)
	if err != nil {
		return Cell{}, x.failed(err, "prim_file:read_file_info(File, Opts)", "")
	}
	if !shared {
		return none("its files cannot be read from here")
	}
	var mu sync.Mutex
	var stale []string
	var gone []etf.Atom
	same := 0
	work := make(chan etf.Atom)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for m := range work {
				sum, err := x.onDisk(mine[m].file)
				mu.Lock()
				switch {
				case errors.Is(err, fs.ErrNotExist):
					gone = append(gone, m)
				case err != nil || sum != mine[m].sum: // what is no module any more is another one, too
					stale = append(stale, etf.Format(m))
				default:
					same++
				}
				mu.Unlock()
			}
		})
	}
	for m, b := range mine {
		if b.file != "" {
			work <- m
		}
	}
	close(work)
	wg.Wait()
	whole := fmt.Sprintf("all %d", same)
	if same < len(mine) {
		whole = fmt.Sprintf("%d of %d", same, len(mine))
	}
	c, _ := ok("%s as on disk", whole)
	if rest := len(mine) - same - len(stale); rest > 0 { // made at run time, or the file is gone
		c.Saw += fmt.Sprintf(", %d without a file", rest)
	}
	withoutFile := len(gone)
	gone = slices.DeleteFunc(gone, func(m etf.Atom) bool { // as what is in an archive, or may not be read, is not
		_, err := os.Stat(mine[m].file)
		return !errors.Is(err, fs.ErrNotExist)
	})
	lost, err := x.listedByApps(ctx, gone)
	if err != nil {
		return Cell{}, x.failed(err, "application:get_application(M)", "")
	}
	c.Values = map[string]float64{"same": float64(same), "stale": float64(len(stale)), "gone": float64(withoutFile)}
	switch {
	case len(lost) > 0:
		c.Status, c.Saw = Warn, "not on disk: "+listed(lost)
		c.Cause = "the last build failed and has deleted what it was to write, or the module was taken out of its application"
		c.Fix = "a restart would be without it: build the project (beamctl sync --compile shows what is wrong)"
	case len(stale) > 0:
		slices.Sort(stale)
		c.Status, c.Saw = Warn, "differ from their files: "+listed(stale)
		c.Cause = "the file was compiled anew and not loaded, or the module was loaded and not written to the file"
	}
	return c, nil
}
