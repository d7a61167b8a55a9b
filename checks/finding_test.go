package checks_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
)

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
	f := &checks.Finding{What: "what", Saw: "one\n\n \ntwo", Cause: "why", Fix: "do"}
	assert.Equal(t, "what\n  saw   one\n\n\n        two\n  cause why\n  fix   do", f.Error())
}

func TestIsGuest(t *testing.T) {
	for name, want := range map[string]bool{
		"3FNZ0JN5QDBJS@127.0.0.1": true, "ABC123@h": true, "ABC12@h": false, "rabbit@h": false, "3FNZ0JN5QDBJS0@h": false, "ABC123": false, "NODE-1@h": false,
	} {
		assert.Equal(t, want, checks.IsGuest(name), name)
	}
}
