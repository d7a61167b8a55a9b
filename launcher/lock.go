package launcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning says that the cluster runs already.
var ErrRunning = errors.New("is running already")

// lockPlace takes the cluster's lock and returns the file that holds it. The lock belongs to the open file, not to the process: the
// CLI takes it, supervisor and guardian inherit it, and it is free when the last of them is gone, however
// it went. An unlinked lock file is no lock: whoever gets one of those tries again with the file that has its name now.
func lockPlace(stateDir, cluster string) (place, *os.File, error) {
	var last error
	for range lockAttempts {
		p, err := openPlace(stateDir, cluster)
		var f *os.File
		if err == nil {
			f, err = os.OpenFile(p.lock(), os.O_CREATE|os.O_RDWR, 0o600)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) { // its owner is just removing the directory: there and gone again
			last = err
			continue
		}
		if err != nil {
			return "", nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return p, nil, fmt.Errorf("cluster %s %w (%s)", cluster, ErrRunning, p)
			}
			return "", nil, fmt.Errorf("lock: %w", err)
		}
		if p.lockedBy(f) {
			err := os.WriteFile(p.gitignore(), []byte(gitignore), 0o600)
			if err != nil && !errors.Is(err, unix.ENOSPC) { // a start says what there is no room for, and whoever cleans needs none
				_ = f.Close()
				return "", nil, fmt.Errorf("state directory: %w", err)
			}
			return p, f, nil
		}
		_ = f.Close()
	}
	return "", nil, fmt.Errorf("lock: %w", last)
}

// takePlace is lockPlace that waits for a cluster which is as good as gone: its supervisor was killed a moment ago, and the guardian
// is ending the nodes, or the last threads of either still hold the lock.
func takePlace(ctx context.Context, stateDir, cluster string) (place, *os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	for {
		p, lock, err := lockPlace(stateDir, cluster)
		if !errors.Is(err, ErrRunning) {
			return p, lock, err
		}
		if r, rerr := readRecord(p); rerr == nil && r.Supervisor.Alive() {
			return p, nil, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) { // who asked doesn't want it any more
				err = context.Cause(ctx)
			}
			return p, nil, err
		}
	}
}

// lockAttempts bounds how often a directory may vanish under our feet; more means that it cannot be made.
const lockAttempts = 100

// lockedBy tells whether f is the file that now stands for the lock.
func (p place) lockedBy(f *os.File) bool {
	held, err1 := f.Stat()
	named, err2 := os.Stat(p.lock())
	return err1 == nil && err2 == nil && os.SameFile(held, named)
}
