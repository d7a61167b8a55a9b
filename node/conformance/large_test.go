package conformance

import (
	"bytes"
	"crypto/md5" //nolint:gosec // to compare with erlang:md5/1
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

var largeCases = []Case{
	{"16 MB to the node, while pings go on", largeOut},
	{"16 MB from the node, while pings go on", largeIn},
	{"16 MB both ways, four times at once", largeBoth},
	{"200,000 small terms in one", manySmall},
	{"sizes around a fragment's", fragmentSizes},
	{"100 MB to the node: the median ping meanwhile takes less than half of its time", hugeOut},
	{"100 MB from the node: the median ping meanwhile takes less than half of its time", hugeIn},
}

const large = 16 << 20

func blob(size int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), size/16) }

// pings measures pings, one after the other, until over is closed or there are so many.
func (p *Peer) pings(over <-chan struct{}, most int) (times []time.Duration) {
	p.t.Helper()
	for len(times) < most {
		begun := time.Now()
		if err := p.Node.Ping(p.t.Context(), p.Name); err != nil {
			p.t.Errorf("after %d pings: %v", len(times), err)
			return times
		}
		times = append(times, time.Since(begun))
		select {
		case <-over:
			return times
		default:
		}
	}
	return times
}

// pinging counts the pings that begin and end while f runs: once, or some times more for there to be enough.
func (p *Peer) pinging(f func()) int64 {
	p.t.Helper()
	var count atomic.Int64
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			err := p.Node.Ping(p.t.Context(), p.Name)
			select {
			case <-over:
				return
			default:
			}
			if err != nil {
				p.t.Errorf("after %d pings: %v", count.Load(), err)
				return
			}
			count.Add(1)
		}
	})
	for n := 0; n == 0 || n < mostRuns && count.Load() < minPings; n++ {
		f()
	}
	close(over)
	wg.Wait()
	return count.Load()
}

// minPings: fewer, and a large term has kept everything else waiting. A ping alone takes less than a thousandth of a transfer.
const minPings = 3

// mostRuns is how often the pings get another chance to have their turn.
const mostRuns = 10

func largeOut(t *testing.T, e *Env) {
	p := e.Peer()
	data := blob(large)
	pings := p.pinging(func() {
		for range 3 {
			assert.Equal(t, int64(large), p.Call("erlang", "byte_size", data))
		}
	})
	assert.GreaterOrEqual(t, pings, int64(minPings))
}

func largeIn(t *testing.T, e *Env) {
	p := e.Peer()
	want := blob(large)
	pings := p.pinging(func() {
		for range 3 {
			got, ok := p.Do("blob", large).([]byte)
			assert.True(t, ok && bytes.Equal(want, got))
		}
	})
	assert.GreaterOrEqual(t, pings, int64(minPings))
}

func largeBoth(t *testing.T, e *Env) {
	p := e.Peer()
	data := blob(large)
	pings := p.pinging(func() {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got, err := p.Try("lists", "reverse", etf.List{1, data})
				list, ok := got.(etf.List)
				if assert.NoError(t, err) && assert.True(t, ok && len(list) == 2) {
					echoed, ok := list[0].([]byte)
					assert.True(t, ok && bytes.Equal(data, echoed))
				}
			})
		}
		wg.Wait()
	})
	assert.GreaterOrEqual(t, pings, int64(minPings))
	require.Empty(t, p.Do("events"), "on one connection all the time")
}

func manySmall(t *testing.T, e *Env) {
	p := e.Peer()
	list := make(etf.List, 200_000)
	for i := range list {
		list[i] = etf.Tuple{int64(i), etf.Atom("entry"), []byte("value")}
	}
	encoded, err := etf.Marshal(list)
	require.NoError(t, err)
	sum := md5.Sum(encoded) //nolint:gosec // as above
	// The same bytes, if the node's encoder writes atoms as ours does (OTP 26 and later).
	if e.Major >= 26 {
		assert.Equal(t, sum[:], p.Do("digest", list))
	}
	got := p.Call("lists", "reverse", p.Call("lists", "reverse", list))
	assert.True(t, etf.Equal(list, got))
}

// A fragment holds 64 KiB: one byte less, one more, and the same at the next one.
func fragmentSizes(t *testing.T, e *Env) {
	p := e.Peer()
	deadline := time.Now().Add(caseTime)
	for base := 64 << 10; base <= 128<<10; base += 64 << 10 {
		for size := base - 160; size <= base+32; size += 7 {
			require.True(t, time.Now().Before(deadline))
			data := bytes.Repeat([]byte{byte(size)}, size)
			got := p.Call("lists", "append", etf.List{etf.List{data}, etf.List{data}})
			require.Equal(t, etf.List{data, data}, got, size)
		}
	}
}

const huge = 100_000_000

// hugeTerm is a binary ready to be sent: while it is being encoded pings are quick, and prove nothing. It is shared, being large.
var hugeTerm = sync.OnceValue(func() etf.Raw {
	return append(binary.BigEndian.AppendUint32([]byte{109}, huge), blob(huge)...) // BINARY_EXT
})

// oneHuge lets one release at a time move its hundred megabytes: each is held several times over.
var oneHuge sync.Mutex

// stayQuick measures pings during transfers: of one, or of some more for enough pings. What they wait for are the two kernels' buffers,
// which hold up to 10 MB, and a busy machine's CPUs. Behind the whole term they would take all of its time.
func (p *Peer) stayQuick(transfer func()) {
	p.t.Helper()
	oneHuge.Lock()
	defer oneHuge.Unlock()
	for try := 1; ; try++ {
		busy, limit := p.beside(transfer)
		if busy < limit {
			return
		}
		require.Less(p.t, try, tries, "%v, and at most %v", busy, limit)
	}
}

// beside returns the median of pings during transfers, and what it may be.
func (p *Peer) beside(transfer func()) (busy, limit time.Duration) {
	p.t.Helper()
	const enough, most = 15, 5
	idle := median(p.pings(nil, 200))
	var times []time.Duration
	var took time.Duration
	for n := 1; n <= most && len(times) < enough; n++ {
		begun := time.Now()
		over := make(chan struct{})
		go func() { defer close(over); transfer() }()
		times = append(times, p.pings(over, math.MaxInt)...)
		<-over
		took = max(took, time.Since(begun))
	}
	busy = median(times)
	idle = max(idle, median(p.pings(nil, 200)))
	p.t.Logf("median of %d pings: %v, idle: %v, transfer: %v", len(times), busy, idle, took)
	return busy, max(10*idle, took/2)
}

func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return math.MaxInt64
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func hugeOut(t *testing.T, e *Env) {
	p := e.Peer()
	data := hugeTerm()
	p.stayQuick(func() {
		got, err := p.Try("erlang", "byte_size", data)
		assert.Equal(t, int64(huge), got, "%v", err)
	})
}

func hugeIn(t *testing.T, e *Env) {
	p := e.Peer()
	p.stayQuick(func() {
		got, err := p.Try("conformance", "blob", huge)
		data, _ := got.([]byte)
		assert.True(t, len(data) == huge, "%d bytes, %v", len(data), err) //nolint:testifylint // too long to print
	})
}
