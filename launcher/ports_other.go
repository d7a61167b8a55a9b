//go:build !linux

package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// lockPort reserves a port against this user's other beamctl processes, by a lock on a file in the runtime directory, which
// is free when the process that has it is gone.
func lockPort(port int) (release func(), err error) {
	name := "port-" + strconv.Itoa(port)
	dir, err := makeRuntimeDir(len(name))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // checked to be ours
	if err != nil {
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	held, err1 := f.Stat()
	named, err2 := os.Stat(path)
	if err == nil && (err1 != nil || err2 != nil || !os.SameFile(held, named)) { // its owner has just removed it
		err = unix.EWOULDBLOCK
	}
	if err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errReserved
		}
		return nil, fmt.Errorf("port %d: %w", port, err)
	}
	return func() { _ = os.Remove(path); _ = f.Close() }, nil
}
