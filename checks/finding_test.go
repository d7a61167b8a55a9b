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
	f := &checks.Finding{What: "what", Saw: "one\ntwo", Cause: "why", Fix: "do"}
	assert.Equal(t, "what\n  saw   one\n        two\n  cause why\n  fix   do", f.Error())
}
