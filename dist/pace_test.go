package dist_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
	"github.com/beamctl/beamctl/dist/etf"
)

// reading is a scripted peer that says what it has read only when it is told to.
type reading struct {
	*disttest.Peer
	fragments chan struct{}
	probes    chan dist.Control
}

func readingPeer(t *testing.T, p *disttest.Peer) *reading {
	t.Helper()
	r := &reading{p, make(chan struct{}, 1000), make(chan dist.Control, 1000)}
	go func() {
		for {
			b, err := p.ReadFrame()
			if err != nil {
				return
			}
			if len(b) == 0 {
				continue
			}
			var ctl dist.Control
			if b[1] != 68 {
				r.fragments <- struct{}{}
			} else if _, err := dist.ParseControl(b[3:], &ctl); assert.NoError(t, err) && ctl.Op == dist.OpMonitor {
				r.probes <- ctl
			}
		}
	}()
	return r
}

// answer says that there is no process of the name that a probe monitors.
func (r *reading) answer(probe dist.Control) {
	r.T.Helper()
	b, err := dist.AppendControl([]byte{131, 68, 0}, &dist.Control{Op: dist.OpPayloadMonitorExit, From: probe.To, To: probe.From, Ref: probe.Ref})
	require.NoError(r.T, err)
	noproc, err := etf.Append(nil, etf.Atom("noproc"))
	require.NoError(r.T, err)
	require.NoError(r.T, r.WriteFrame(append(b, noproc...)))
}

// While small messages are sent a large one is not far ahead of what the peer says that it has read; the answers are nobody else's.
func TestLargeBesideSmall(t *testing.T) {
	const fragments, ahead = 50, 4
	synctest.Test(t, func(t *testing.T) {
		c, p, in := connected(t, dist.Config{})
		r := readingPeer(t, p)
		require.NoError(t, c.Send(t.Context(), sendTo(theirPid), encode(t, int64(1))))
		large := encode(t, make([]byte, fragments<<16-100))
		go func() { assert.NoError(t, c.Send(t.Context(), sendTo(theirPid), large)) }()
		for range fragments {
			synctest.Wait()
			require.NotEmpty(t, r.fragments)
			require.LessOrEqual(t, len(r.fragments), ahead)
			<-r.fragments
			if len(r.probes) > 0 {
				r.answer(<-r.probes)
			}
		}
		assert.Empty(t, in.msgs)
		require.NoError(t, c.Close())
	})
}

// A large message alone costs no question.
func TestLargeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := connected(t, dist.Config{})
		r := readingPeer(t, p)
		require.NoError(t, c.Send(t.Context(), sendTo(theirPid), encode(t, make([]byte, 50<<16-100))))
		synctest.Wait()
		assert.Len(t, r.fragments, 50)
		assert.Empty(t, r.probes)
		require.NoError(t, c.Close())
	})
}

// A peer that does not answer costs a large message a second, once.
func TestNoAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := connected(t, dist.Config{})
		r := readingPeer(t, p)
		require.NoError(t, c.Send(t.Context(), sendTo(theirPid), encode(t, int64(1))))
		begun := time.Now()
		require.NoError(t, c.Send(t.Context(), sendTo(theirPid), encode(t, make([]byte, 50<<16-100))))
		synctest.Wait()
		assert.Len(t, r.fragments, 50)
		assert.Equal(t, time.Second, time.Since(begun))
		require.NoError(t, c.Close())
	})
}

// A peer whose ticks are too rare to believe in it, but that is there, keeps the connection; one that does not answer loses it in time.
func TestSlowTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, in := connected(t, dist.Config{TickTime: 8 * time.Second})
		r := readingPeer(t, p)
		for range 5 {
			begun := time.Now()
			probe := <-r.probes
			assert.InDelta(t, 4.5, time.Since(begun).Seconds(), 1, "half of the time")
			r.answer(probe)
		}
		begun := time.Now()
		require.ErrorIs(t, <-in.closed, dist.ErrTickTimeout)
		assert.InDelta(t, 8.5, time.Since(begun).Seconds(), 1)
		assert.Len(t, r.probes, 1)
		require.NoError(t, c.Close())
	})
}
