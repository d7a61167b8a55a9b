package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersion(t *testing.T) {
	w := newWorld(t, "")
	out := w.ok("--version")
	assert.Regexp(t, `^beamctl \S+, .*built with `+runtime.Version()+`\n$`, out)
	r := w.run("version")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "did you mean --version?")

	info := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "v1.2.3"}}
	assert.Equal(t, "v1.2.3, built with go1.26.0", versionText(info))
	info.Main.Version = ""
	info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	assert.Equal(t, "(devel), commit 0123456789ab with changes, built with go1.26.0", versionText(info))
}
