package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/beamctl/beamctl/checks"
)

// maxSocketPath is what fits into sockaddr_un.sun_path on every system (104 bytes on BSDs, 108 on Linux, with a final zero).
const maxSocketPath = 103

// ErrRuntimeDir says that the per-user runtime directory cannot be trusted.
var ErrRuntimeDir = errors.New("runtime directory is not safe")

// runtimeDirs are the places where a user's control sockets may be, the best first: a short path (a socket's may not be
// long, a project's often is), the same from every shell. One shell may have XDG_RUNTIME_DIR and the next not, so
// whoever looks for clusters looks in all of them.
func runtimeDirs() []string {
	if d := os.Getenv("BEAMCTL_RUNTIME_DIR"); filepath.IsAbs(d) {
		return []string{d} // and no other: whoever says so wants to be alone
	}
	var dirs []string
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		dirs = append(dirs, filepath.Join(d, "beamctl"))
	}
	return append(dirs, fmt.Sprintf("/tmp/beamctl-%d", os.Getuid()))
}

// socketLen is how long the name of a control socket of a cluster is, which is that of its id.
func socketLen(cluster string) int { return len(newID(cluster)) + len(socketSuffix) }

// roomFor is an error if a path in d that has a name of n bytes is too long for a socket.
func roomFor(d string, n int) error {
	if len(d)+1+n > maxSocketPath {
		return fmt.Errorf("%s is too long for a unix socket, whose whole path has at most %d bytes", d, maxSocketPath)
	}
	return nil
}

// runtimeDirFinding explains that there is no runtime directory to be had.
func runtimeDirFinding(err error) *checks.Finding {
	return &checks.Finding{
		What: "there is no place for the control sockets", Saw: err.Error(),
		Cause: "they are in BEAMCTL_RUNTIME_DIR, else in XDG_RUNTIME_DIR or /tmp, in a directory of this user's alone",
		Fix:   "set BEAMCTL_RUNTIME_DIR to a directory that this user can make, with a short path", Err: err,
	}
}

// makeRuntimeDir returns the first runtime directory that can be had and has room for a socket name of n bytes.
func makeRuntimeDir(n int) (string, error) {
	var errs []error
	for _, d := range runtimeDirs() {
		if err := roomFor(d, n); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			errs = append(errs, fmt.Errorf("runtime directory: %w", err))
			continue
		}
		if err := checkRuntimeDir(d); err != nil {
			errs = append(errs, err)
			continue
		}
		return d, nil
	}
	return "", runtimeDirFinding(errors.Join(errs...))
}

// checkRuntimeDir makes sure that nobody else made the directory for us in a place where everybody may.
func checkRuntimeDir(d string) error {
	var st unix.Stat_t
	if err := unix.Lstat(d, &st); err != nil {
		return fmt.Errorf("runtime directory %s: %w", d, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%w: %s is no directory", ErrRuntimeDir, d)
	case int(st.Uid) != os.Getuid():
		return fmt.Errorf("%w: %s belongs to user %d", ErrRuntimeDir, d, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%w: %s is open to others (mode %#o)", ErrRuntimeDir, d, st.Mode&0o777)
	}
	return nil
}

// indexEntry says where a cluster is, in RUNTIMEDIR/ID.json beside its socket RUNTIMEDIR/ID.sock.
type indexEntry struct {
	Place string `json:"state_dir"` // of this cluster
}

const (
	indexSuffix  = ".json"
	socketSuffix = ".sock"
)

func writeIndex(runtimeDir, id string, p place) error {
	b, err := json.Marshal(indexEntry{Place: string(p)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(runtimeDir, id+indexSuffix), b, 0o600); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// removeIndex removes what a cluster has in the runtime directories, and those that become empty.
func removeIndex(id string) error {
	var errs []error
	for _, d := range runtimeDirs() {
		if checkRuntimeDir(d) != nil {
			continue
		}
		for _, suffix := range []string{indexSuffix, socketSuffix} {
			if err := os.Remove(filepath.Join(d, id+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		_ = os.Remove(d) // another cluster may be there
	}
	return errors.Join(errs...)
}

// indexed returns the places of all clusters in the index, by id.
func indexed() map[string]place {
	out := make(map[string]place)
	for _, d := range runtimeDirs() {
		if checkRuntimeDir(d) != nil {
			continue
		}
		for _, f := range glob(d, "*"+indexSuffix) {
			var e indexEntry
			b, err := os.ReadFile(f) //nolint:gosec // checked to be ours
			if err == nil {
				err = json.Unmarshal(b, &e)
			}
			if err == nil && filepath.IsAbs(e.Place) {
				out[strings.TrimSuffix(filepath.Base(f), indexSuffix)] = place(e.Place)
			}
		}
	}
	return out
}
