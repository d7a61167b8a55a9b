package node

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
)

func TestDynamicNames(t *testing.T) {
	var d dynamicNames
	get := func(host string, proven bool) dist.Identity {
		name, creation, err := d.grant(host)
		require.NoError(t, err)
		assert.NotZero(t, creation)
		if proven {
			d.prove(name)
		}
		return dist.Identity{Name: name, Creation: creation}
	}
	a, b := get("h", true), get("h", true)
	assert.NotEqual(t, a.Name, b.Name)
	d.release(dist.Identity{Name: a.Name, Creation: a.Creation + 1}) // another's
	assert.NotEqual(t, a.Name, get("h", true).Name)
	d.release(a)
	d.release(a)
	assert.NotEqual(t, a.Name, get("other", true).Name)
	again := get("h", false) // also when its next user fails, the name stays in the pool
	assert.Equal(t, dist.Identity{Name: a.Name, Creation: a.Creation + 1}, again)
	d.release(again)
	assert.Equal(t, a.Name, get("h", true).Name)

	// Who has no cookie leaves nothing behind, and the pool has an end.
	for i := range 10 {
		d.release(get(strconv.Itoa(i), false))
	}
	assert.Empty(t, d.free)
	for i := range maxFreeNames + 10 {
		d.release(get(strconv.Itoa(i), true))
	}
	assert.Len(t, d.free, maxFreeNames)
	assert.Len(t, d.last, maxFreeNames)
}
