package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each verb is made for the command line that names it, under the name that it has there, and all for those that name none.
func TestVerbsMadeByName(t *testing.T) {
	a := &app{}
	all := a.commands(nil)
	assert.Len(t, a.commands([]string{"help"}), len(all))
	assert.Len(t, a.commands([]string{"__complete", "rpc"}), len(all))
	for _, c := range all {
		made := a.commands([]string{"--cluster", "x", c.Name(), "arg"})
		require.Len(t, made, 1, c.Name())
		assert.Equal(t, c.Name(), made[0].Name())
	}
}

// What packages make when they are initialised every command makes: a dozen regular expressions are a millisecond.
func TestStartsLight(t *testing.T) {
	const most = 200 // allocations
	cmd := exec.CommandContext(t.Context(), binary, "--help")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	require.NoError(t, cmd.Run())
	// init github.com/beamctl/beamctl/checks @2.5 ms, 1.1 ms clock, 689960 bytes, 5372 allocs
	found := regexp.MustCompile(`(?m)^init (github\.com/beamctl/\S+) .*, (\d+) allocs$`).FindAllStringSubmatch(trace.String(), -1)
	require.NotEmpty(t, found, "%s", trace.String())
	for _, f := range found {
		allocs, err := strconv.Atoi(f[2])
		require.NoError(t, err)
		assert.LessOrEqual(t, allocs, most, f[1])
	}
}
