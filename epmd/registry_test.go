package epmd

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCreation: never 0, different each time, and for old nodes 1 to 3.
func TestCreation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRegistry()
		var last uint32
		var lastVersion uint16
		for i, version := range rapid.SliceOfN(rapid.SampledFrom([]uint16{5, 6}), 2, 20).Draw(t, "versions") {
			n, ok := r.register(Node{Name: "x", HighestVersion: version}, i)
			require.True(t, ok)
			if version == 5 {
				assert.Contains(t, []uint32{1, 2, 3}, n.Creation)
			} else {
				assert.GreaterOrEqual(t, n.Creation, uint32(firstCreation))
			}
			if version == lastVersion {
				assert.NotEqual(t, last, n.Creation)
			}
			last, lastVersion = n.Creation, version
			_, ok = r.unregister("x", i)
			require.True(t, ok)
		}
	})
}

// TestCreationWraps starts at the end of the numbers.
func TestCreationWraps(t *testing.T) {
	r := newRegistry()
	r.retired.add(&entry{node: Node{Name: "x"}, count: 1<<32 - 2})
	for _, want := range []uint32{1<<32 - 1, firstCreation, firstCreation + 1} {
		n, ok := r.register(Node{Name: "x", HighestVersion: 6}, 1)
		require.True(t, ok)
		assert.Equal(t, want, n.Creation)
		_, ok = r.unregister("x", 1)
		require.True(t, ok)
	}
}

// TestRetiredIsBounded registers more names than are remembered: the oldest are forgotten.
func TestRetiredIsBounded(t *testing.T) {
	r := newRegistry()
	for i := range maxRetired + 10 {
		name := "n" + strconv.Itoa(i)
		_, ok := r.register(Node{Name: name}, i)
		require.True(t, ok)
		_, ok = r.unregister(name, i)
		require.True(t, ok)
	}
	dump := r.dump()
	require.Len(t, dump, maxRetired)
	assert.Equal(t, DumpEntry{Name: "n10", FD: 10}, dump[0])
}

// TestOnlyTheHolderUnregisters: another connection's end does not free a name.
func TestOnlyTheHolderUnregisters(t *testing.T) {
	r := newRegistry()
	_, ok := r.register(Node{Name: "x"}, 1)
	require.True(t, ok)
	_, ok = r.unregister("x", 2)
	assert.False(t, ok)
	_, ok = r.register(Node{Name: "x"}, 2)
	assert.False(t, ok)
	_, ok = r.register(Node{Name: "y", Extra: make([]byte, maxExtra+1)}, 2)
	assert.False(t, ok)
}
