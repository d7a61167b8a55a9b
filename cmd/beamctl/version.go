package main

import (
	"cmp"
	"runtime/debug"
)

// maxRevision is how much of a commit's hash is shown: as much as git does of those of a large repository.
const maxRevision = 12

// version says which beamctl this is, as the Go toolchain has noted it when it was built: its version (that of the module; "(devel)" of a
// build that has none), the commit, and the Go that built it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown: built without module support"
	}
	return versionText(info)
}

func versionText(info *debug.BuildInfo) string {
	vcs := make(map[string]string)
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	text := cmp.Or(info.Main.Version, "(devel)")
	if rev := vcs["vcs.revision"]; rev != "" {
		text += ", commit " + rev[:min(len(rev), maxRevision)]
		if vcs["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return text + ", built with " + info.GoVersion
}
