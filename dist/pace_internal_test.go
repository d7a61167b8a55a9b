package dist

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a peer answers, no fragment is taken for read that was not sent, and none comes back that was read.
func FuzzPacer(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 2, 0, 1, 2, 2, 1})
	f.Add([]byte{1, 0, 1, 1, 1, 1, 2, 255, 2, 4, 1})
	f.Fuzz(func(t *testing.T, steps []byte) {
		over, cancel := context.WithCancel(t.Context())
		cancel() // who would wait gives up
		c := &Conn{done: make(chan struct{})}
		p := &c.pacer
		for i := 0; i+1 < len(steps); i++ {
			read := p.read
			switch steps[i] % 3 {
			case 0:
				p.small.Add(1)
			case 1:
				crowded := p.sent < p.until || p.small.Load() != p.seen
				if _, ask, err := p.pace(over, c); err == nil {
					require.Equal(t, crowded && p.sent-1 < p.until, ask)
				} else {
					require.GreaterOrEqual(t, p.sent-p.read, uint64(maxAhead))
				}
				read = min(read, p.read) // what was sent while nothing was asked counts as unread once
			case 2:
				i++
				p.answered(uint32(p.sent) - uint32(int8(steps[i]))) //nolint:gosec // any number
			}
			require.LessOrEqual(t, p.read, p.sent)
			require.GreaterOrEqual(t, p.read, read)
		}
	})
}
