package launcher

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/beamctl/beamctl/checks"
)

// FileKind says what a [StateFile] is.
type FileKind string

// The kinds.
const (
	FileLog    FileKind = "log"    // what a node has printed, each line with its time
	FileOutput FileKind = "output" // of beamctl's own processes and the build
	FileEvents FileKind = "events" // an Event a line
	FileDump   FileKind = "dump"   // a crash dump
	FileRecord FileKind = "record" // the Record
)

// StateFile is a file that a cluster has left in its state directory.
type StateFile struct {
	Kind FileKind
	Node string // full name; "": it is the cluster's
	Name string // below the state directory, with slashes
	Path string
}

// Files returns the logs, events, crash dumps and the record that there are now, the older of two first.
func (c *Cluster) Files() []StateFile {
	var out []StateFile
	add := func(kind FileKind, node string, paths ...string) {
		for _, path := range paths {
			name, err := filepath.Rel(string(c.place), path)
			if fi, serr := os.Stat(path); err == nil && serr == nil && fi.Mode().IsRegular() {
				out = append(out, StateFile{kind, node, filepath.ToSlash(name), path})
			}
		}
	}
	add(FileRecord, "", c.place.record())
	add(FileEvents, "", c.place.events()+oldSuffix, c.place.events())
	add(FileOutput, "", c.place.supervisorLog()+oldSuffix, c.place.supervisorLog(), c.place.buildLog()+oldSuffix, c.place.buildLog())
	for i := range c.record.Spec.Nodes {
		n := &c.record.Spec.Nodes[i]
		add(FileLog, n.Name, c.place.console(n.Short())+oldSuffix, c.place.console(n.Short()))
		add(FileDump, n.Name, c.place.crashDump(n.Short()))
	}
	return slices.Clip(out)
}

// BuildLog returns the file with what the build has said, if that is all there is to read: no node was started. "": it is not.
func (c *Cluster) BuildLog() string {
	if fi, err := os.Stat(c.place.buildLog()); err != nil || fi.Size() == 0 {
		return ""
	}
	if slices.ContainsFunc(c.Files(), func(f StateFile) bool { return f.Kind == FileLog }) {
		return ""
	}
	return c.place.buildLog()
}

// Secrets returns the values of environment variables that are likely to be secrets by their names, and the cookie.
func (c *Cluster) Secrets() []string {
	var out []string
	if b, err := os.ReadFile(c.CookieFile()); err == nil {
		out = append(out, string(b))
	}
	spec := &c.record.Spec
	out = append(out, spec.secrets()...)
	for i := range spec.Nodes {
		out = append(out, spec.Nodes[i].secrets()...)
	}
	return out
}

// secrets returns the values of variables that are likely to be secrets by their names.
func (l *Launch) secrets() []string {
	var out []string
	for name, value := range l.Env {
		if checks.SecretName(name) {
			out = append(out, value)
		}
	}
	return out
}
