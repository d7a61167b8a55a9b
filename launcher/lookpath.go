package launcher

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// lookPath finds a program as a shell with that environment in that directory would. exec.LookPath looks in our own
// environment, which is not the one that the program gets.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.ContainsRune(name, '/') {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	for _, d := range filepath.SplitList(environment(env)["PATH"]) {
		if !filepath.IsAbs(d) { // "." in PATH is how strangers' programs get run
			continue
		}
		if path := filepath.Join(d, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func executable(path string) error {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &exec.Error{Name: path, Err: exec.ErrNotFound}
	case err != nil:
		return err
	case fi.IsDir() || fi.Mode()&0o111 == 0:
		return &exec.Error{Name: path, Err: fs.ErrPermission}
	}
	return nil
}
