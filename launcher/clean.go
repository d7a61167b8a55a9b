package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

// Cleaned is something that Clean removed.
type Cleaned struct {
	Cluster string `json:"cluster"`
	What    string `json:"what"` // "cluster", "processes", "files", "index"
	Detail  string `json:"detail"`
}

func (c Cleaned) String() string { return fmt.Sprintf("%s: %s (%s)", c.Cluster, c.What, c.Detail) }

// CleanConfig says what to clean.
type CleanConfig struct {
	Where Where // its state directory is cleaned, too, where the index doesn't lead there
	All   bool  // running clusters as well: they are stopped
	Dead  bool  // only what is left of clusters that died: the files of those that failed or were stopped to be kept stay
	Look  bool  // nothing is done; what would be is returned
}

// Clean removes everything that beamctl ever left, and only that: processes that carry the marker of a cluster whose
// supervisor is gone, state directories and index entries of clusters that don't run. It goes on after an error.
func Clean(ctx context.Context, cfg CleanConfig) (done []Cleaned, err error) {
	var errs []error
	clusters, err := everywhere(cfg.Where)
	if err != nil {
		errs = append(errs, err)
	}
	live := make(map[string]bool)
	for _, c := range clusters {
		running := c.running() == nil || c.record.State == Skewed
		if running && !cfg.All {
			live[c.record.ID] = true
			continue
		}
		if cfg.Dead && c.record.State != Dead {
			continue
		}
		if cfg.Look {
			what := "files"
			if running {
				what = "cluster"
			}
			done = append(done, Cleaned{c.Name(), what, string(c.place)})
			continue
		}
		if running {
			if _, err := c.Stop(ctx, StopConfig{}); err == nil {
				done = append(done, Cleaned{c.Name(), "cluster", c.Dir()})
				continue
			}
		}
		if err := c.force(ctx, false); err != nil {
			errs = append(errs, fmt.Errorf("cluster %s: %w", c.Name(), err))
			continue
		}
		done = append(done, Cleaned{c.Name(), "files", string(c.place)})
	}
	orphans, err := cleanProcesses(ctx, live, cfg.Look)
	done = append(done, orphans...)
	errs = append(errs, err)
	stumps, err := cleanStumps(cfg.Where, cfg.Look)
	done = append(done, stumps...)
	errs = append(errs, err)
	stale, err := cleanIndex(cfg.Look)
	done = append(done, stale...)
	errs = append(errs, err)
	return done, errors.Join(errs...)
}

// everywhere returns the clusters of the index and those of w's state directory.
func everywhere(w Where) ([]*Cluster, error) {
	out := All()
	stateDir, err := w.stateDir()
	if err != nil || stateDir == "" {
		return out, err
	}
	local, err := clustersIn(stateDir)
	for _, c := range local {
		known := slices.ContainsFunc(out, func(o *Cluster) bool { return o.record.ID == c.record.ID })
		if !known {
			out = append(out, c)
		}
	}
	return out, err
}

// cleanProcesses ends what carries the marker of a cluster of this user's that has no supervisor any more. A supervisor is
// told by its own environment, so that a cluster whose files are gone is still not taken for dead.
func cleanProcesses(ctx context.Context, live map[string]bool, look bool) (done []Cleaned, err error) {
	byCluster, err := proc.Marked(MarkerEnv)
	if err != nil {
		return nil, err
	}
	var errs []error
	for id, ps := range byCluster {
		supervised := slices.ContainsFunc(ps, func(p proc.ID) bool { return proc.Getenv(p.Pid, roleEnv) == "supervisor" })
		ours := slices.ContainsFunc(ps, func(p proc.ID) bool { return proc.UID(p.Pid) == os.Getuid() }) // root sees everybody's
		if live[id] || supervised || !ours {
			continue
		}
		if look {
			done = append(done, Cleaned{id, "processes", fmt.Sprintf("%d run", len(ps))})
			continue
		}
		if err := killMarked(ctx, id); err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, Cleaned{id, "processes", fmt.Sprintf("%d ended", len(ps))})
	}
	return done, errors.Join(errs...)
}

// cleanStumps removes directories in which a start was killed before it had written its record. They have nothing but
// files of ours, the lock among them, which is free.
func cleanStumps(w Where, look bool) (done []Cleaned, err error) {
	stateDir, err := w.stateDir()
	if err != nil || stateDir == "" {
		return nil, err
	}
	var errs []error
	for _, f := range glob(stateDir, "*/lock") {
		p := place(filepath.Dir(f))
		if _, err := readRecord(p); err == nil || !p.ours() {
			continue
		}
		p, lock, err := lockPlace(stateDir, filepath.Base(string(p)))
		if errors.Is(err, ErrRunning) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !look {
			err = p.remove()
		}
		if err != nil {
			errs = append(errs, err)
		} else {
			done = append(done, Cleaned{filepath.Base(string(p)), "files", string(p)})
		}
		_ = lock.Close()
	}
	if look {
		return done, errors.Join(errs...)
	}
	if filepath.Base(stateDir) == StateDirName {
		entries, err := os.ReadDir(stateDir)
		errs = append(errs, ignoreMissing(err))
		for _, e := range entries {
			if e.IsDir() { // the earliest stump is an empty one; others stay
				_ = os.Remove(filepath.Join(stateDir, e.Name()))
			}
		}
		removeStateDir(stateDir)
	}
	return done, errors.Join(errs...)
}

// cleanIndex removes entries that lead nowhere.
func cleanIndex(look bool) (done []Cleaned, err error) {
	var errs []error
	for id, p := range indexed() {
		if r, err := readRecord(p); err == nil && r.ID == id {
			continue
		}
		if !look {
			if err := removeIndex(id); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		done = append(done, Cleaned{id, "index", string(p)})
	}
	return done, errors.Join(errs...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func parentDir(p place) string { return filepath.Dir(string(p)) }
