package launcher

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks"
)

func TestPortRange(t *testing.T) {
	for text, want := range map[string]PortRange{"4000": {4000, 4000}, "4100-4199": {4100, 4199}, "any": anyPort, "1 - 2": {1, 2}} {
		var r PortRange
		require.NoError(t, r.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, r)
		b, err := r.MarshalText()
		require.NoError(t, err)
		var again PortRange
		require.NoError(t, again.UnmarshalText(b))
		assert.Equal(t, want, again)
	}
	for _, text := range []string{"", "0", "-", "2-1", "70000", "1-70000", "x", "1-", "-5"} {
		assert.ErrorIs(t, new(PortRange).UnmarshalText([]byte(text)), errPortRange, text)
	}
}

// TestReserveIsExclusive has many tables take from one range at once.
func TestReserveIsExclusive(t *testing.T) {
	r := PortRange{21000, 21040}
	var mu sync.Mutex
	seen := make(map[int]bool)
	var wg sync.WaitGroup
	tables := make([]portTable, 4)
	for i := range tables {
		wg.Go(func() {
			for n := range 5 {
				p, err := tables[i].reserve("n"+strconv.Itoa(n), "x", r)
				if err != nil { // require is not for goroutines
					t.Error(err)
					return
				}
				mu.Lock()
				assert.False(t, seen[p], "port %d was given twice", p)
				seen[p] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	again, err := tables[0].reserve("n0", "x", r)
	require.NoError(t, err)
	assert.Equal(t, tables[0].of("n0")["x"], again)
	for i := range tables {
		tables[i].release("")
	}
	assert.Empty(t, tables[0].of("n0"))
	var t2 portTable
	defer t2.release("")
	p, err := t2.reserve("n", "x", PortRange{again, again})
	require.NoError(t, err, "what was released can be had")
	assert.Equal(t, again, p)
}

func TestReservePassesOver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = reservePort(PortRange{port, port})
	require.ErrorIs(t, err, ErrNoPort, "a listener on one address is in the way")

	e := checks.KernelPorts()
	require.True(t, e.Has(port), "it came from the ephemeral range")
	h, err := reservePort(PortRange{e.Lo - 1, e.Lo + 50})
	require.NoError(t, err)
	defer h.release()
	assert.Equal(t, e.Lo-1, h.port, "ports that the kernel gives away come last")
	assert.False(t, checks.EphemeralPorts{Lo: 100, Hi: 200, Reserved: [][2]int{{150, 160}}}.Has(155))

	var table portTable
	defer table.release("")
	d, err := table.reserve("n", "nosuch", anyPort)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, d, anyPort.Lo)
}
