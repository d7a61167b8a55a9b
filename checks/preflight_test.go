package checks_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
)

func TestPreflightPasses(t *testing.T) {
	require.NoError(t, checks.Preflight(t.Context(), checks.PreflightSpec{
		Dir: t.TempDir(), State: filepath.Join(t.TempDir(), "not", "yet"), Tools: []checks.Tool{{Name: "erl", Path: os.Getenv("PATH")}},
		Names: []string{"node1@127.0.0.1", "node2@127.0.0.1"},
	}))
}

// All faults are reported at once, each with what was seen.
func TestPreflightFindsEverything(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	err = checks.Preflight(t.Context(), checks.PreflightSpec{
		Dir:   file,
		Tools: []checks.Tool{{Name: "erl", Path: "/nowhere"}},
		Names: []string{"a@127.0.0.1", "a@127.0.0.1", "short@host", "nohost", "sp ace@127.0.0.1", "b@no.such.host.invalid", "c@192.0.2.1"},
		Ports: []int{port},
	})
	var all *multierror.Error
	require.ErrorAs(t, err, &all)
	text := err.Error()
	for _, want := range []string{
		"is not a directory", "erl is not on PATH", "two nodes are called a@127.0.0.1", "the host of short@host is not a full one",
		`"nohost" is not a node name`, `"sp ace@127.0.0.1" is not a node name`, "the host no.such.host.invalid does not resolve",
		"nodes cannot listen on 192.0.2.1", "is taken", "held by pid",
	} {
		assert.Contains(t, text, want)
	}
	assert.Len(t, all.Errors, 9)
	for _, e := range all.Errors {
		var f *checks.Finding
		require.ErrorAs(t, e, &f)
	}
}

func TestPortHolderIsUs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	pid, cmd, ok := checks.PortHolder(l.Addr().(*net.TCPAddr).Port)
	require.True(t, ok)
	assert.Equal(t, os.Getpid(), pid)
	assert.NotContains(t, cmd, " ")
	assert.True(t, strings.HasPrefix(filepath.Base(os.Args[0]), cmd) || cmd != "")
}

func TestFindingText(t *testing.T) {
	f := &checks.Finding{What: "what", Saw: "one\ntwo", Cause: "why", Fix: "do"}
	assert.Equal(t, "what\n  saw   one\n        two\n  cause why\n  fix   do", f.Error())
}
