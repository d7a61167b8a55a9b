package launcher

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// settleTime is how long nothing must have been written for a build to be over, or to pause: compilers write their results one right
	// after the other.
	settleTime = 75 * time.Millisecond
	// lookTime is how often the files are looked at without anything having been heard: not all file systems tell of changes.
	lookTime = time.Second
)

// fileWatch tells when the files of some directories have changed and come to rest. The directories may come and go, too.
type fileWatch struct {
	root   string                   // above which nothing needs to be watched
	dirs   func() ([]string, error) // as of now
	wanted func(name string) bool   // of the files in them, by their names

	events *fsnotify.Watcher
	seen   uint64 // fingerprint of what next has told of
	seed   maphash.Seed
}

// watchFiles begins to watch. What is there already is no news.
func watchFiles(root string, dirs func() ([]string, error), wanted func(name string) bool) (*fileWatch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files (fs.inotify.max_user_instances may be too low): %w", err)
	}
	w := &fileWatch{root: root, dirs: dirs, wanted: wanted, events: events, seed: maphash.MakeSeed()}
	if err := w.rescan(); err != nil {
		return nil, errors.Join(err, events.Close())
	}
	if w.seen, err = w.fingerprint(); err != nil {
		return nil, errors.Join(err, events.Close())
	}
	return w, nil
}

func (w *fileWatch) close() { _ = w.events.Close() }

// rescan watches all directories that are there, and those above: in which one that is missing will appear.
func (w *fileWatch) rescan() error {
	dirs, err := w.dirs()
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, dir := range dirs {
		for at := dir; !done[at]; at = filepath.Dir(at) {
			done[at] = true
			// What is not there will be told of by what is above. Where the system allows no more watches, looking has to do.
			if err := w.events.Add(at); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.ENOMEM) {
				return fmt.Errorf("watching %s: %w", at, err)
			}
			if at == w.root || !filepath.IsLocal(relative(at, w.root)) && at != dir {
				break
			}
		}
	}
	return nil
}

// next returns when the files are others than those it told of last, and have come to rest; or with ctx's cause.
func (w *fileWatch) next(ctx context.Context) error {
	look := time.NewTicker(lookTime)
	defer look.Stop()
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	var last uint64 // what was found when the timer was set; 0: events told, and nothing was looked at
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-w.events.Events:
			if w.concerns(e) {
				last = 0
				settle.Reset(settleTime)
			}
		case err := <-w.events.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watching files: %w", err)
			}
			last = 0
			settle.Reset(settleTime)
		case <-look.C:
			// Directories that were made anew are watched again.
			if err := w.rescan(); err != nil {
				return err
			}
			now, err := w.fingerprint()
			if err != nil {
				return err
			}
			if now != w.seen && now != last {
				last = now
				settle.Reset(settleTime)
			}
		case <-settle.C:
			select {
			case e := <-w.events.Events: // it was there in time, and we were late
				if w.concerns(e) {
					last = 0
				}
				settle.Reset(settleTime)
				continue
			default:
			}
			if err := w.rescan(); err != nil {
				return err
			}
			now, err := w.fingerprint()
			switch {
			case err != nil:
				return err
			case last != 0 && now != last: // still being written, by somebody of whom no events tell
				last = now
				settle.Reset(settleTime)
			case now != w.seen:
				w.seen = now
				return nil
			}
		}
	}
}

// concerns tells whether an event may be of the files: of one of them, or of a directory.
func (w *fileWatch) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod { // its contents are what they were
		return false
	}
	if w.wanted(filepath.Base(e.Name)) {
		return true
	}
	if e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		st, err := os.Stat(e.Name)
		return err != nil || st.IsDir()
	}
	return false
}

// fingerprint is a hash of the names, sizes and times of all files that are wanted.
func (w *fileWatch) fingerprint() (uint64, error) {
	dirs, err := w.dirs()
	if err != nil {
		return 0, err
	}
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		for _, e := range entries {
			if !w.wanted(e.Name()) {
				continue
			}
			if st, err := e.Info(); err == nil {
				fmt.Fprintf(&h, "%s/%s %d %d\n", dir, e.Name(), st.Size(), st.ModTime().UnixNano())
			}
		}
	}
	return h.Sum64() | 1, nil // never 0
}

// isCode tells whether a file is a result of a build.
func isCode(name string) bool {
	return strings.HasSuffix(name, beamSuffix) || strings.HasSuffix(name, appSuffix)
}
