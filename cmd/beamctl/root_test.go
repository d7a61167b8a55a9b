package main

import (
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
