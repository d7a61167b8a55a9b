package diagnose

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Form says how secrets are taken out of a file of a bundle.
type Form int

// The forms.
const (
	Text    Form = iota // a log or a configuration: known secrets, and what looks like one
	DumpOf              // a crash dump: the same, and the data of the processes
	Written             // beamctl has written it, without secrets: only those that are known are looked for
)

// File is one file for a bundle.
type File struct {
	Name string // in the bundle, with slashes
	Form Form
	Open func() (io.ReadCloser, error)
}

// Bytes is a File that is in memory.
func Bytes(name string, b []byte) File {
	return File{Name: name, Form: Written, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// bundleReadme is the first thing in a bundle.
const bundleReadme = `This is a diagnosis by beamctl, to attach to a bug report.

report.json, report.html   what was found
matrix.json                what health said of every node
%s
Removed: the cluster's cookie, values of variables and settings that are secrets by their names (password, token, key…), keys in PEM,
and from crash dumps the data of the processes (heaps, stacks, messages, dictionaries, binaries). Logs may hold other private data, such as states of
processes: please look before you publish it.
`

// Bundle writes a .tar.gz of files, all of them in the folder name, without secrets. A file that cannot be read is told
// of in the bundle's README, and no error.
func Bundle(w io.Writer, name string, files []File, hide *Redactor, at time.Time) error {
	z := gzip.NewWriter(w)
	out := tar.NewWriter(z)
	var list strings.Builder
	for _, f := range files {
		problem := ""
		if err := addFile(out, path.Join(name, f.Name), f, hide, at); err != nil {
			if _, broken := errors.AsType[*writeError](err); broken {
				return fmt.Errorf("bundle: %w", err)
			}
			problem = "  not here: " + hide.Text(err.Error())
		}
		if f.Form != Written {
			fmt.Fprintf(&list, "%s%s\n", f.Name, problem)
		}
	}
	readme := Bytes("README.txt", fmt.Appendf(nil, bundleReadme, list.String()))
	if err := addFile(out, path.Join(name, readme.Name), readme, hide, at); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := errors.Join(out.Close(), z.Close()); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

// writeError is one of the bundle itself.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// addFile takes the secrets out of a file, on disk since its size has to be known first, and adds it.
func addFile(out *tar.Writer, name string, f File, hide *Redactor, at time.Time) error {
	src, err := f.Open()
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // read only
	tmp, err := os.CreateTemp("", "beamctl-bundle-*")
	if err != nil {
		return &writeError{err}
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // nothing to be done about it
	defer tmp.Close()           //nolint:errcheck // it goes
	switch f.Form {
	case DumpOf:
		err = copyDump(tmp, src, hide)
	case Written:
		err = hide.copyLiteral(tmp, src)
	case Text:
		err = hide.Copy(tmp, src)
	}
	if err != nil {
		return err
	}
	length, err := tmp.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return &writeError{err}
	}
	const mode = fs.FileMode(0o600)
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: int64(mode), Size: length, ModTime: at, Format: tar.FormatPAX}); err != nil {
		return &writeError{err}
	}
	if _, err := io.Copy(out, tmp); err != nil {
		return &writeError{err}
	}
	return nil
}
