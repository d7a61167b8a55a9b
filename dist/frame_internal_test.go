package dist

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stream comes to the same frames however it is cut, and what it claims is not believed far ahead of what has come.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 2, 1, 2}, uint16(1))
	f.Add(append([]byte{0, 0, 2, 0}, make([]byte, 500)...), uint16(9))
	f.Add(append(append([]byte{0, 0, 1, 5}, make([]byte, 1<<8+5)...), 0, 0, 0, 1, 9), uint16(60))
	f.Add([]byte{8, 0, 0, 1}, uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		whole := 0 // bytes of the stream that are frames
		in := frames{buf: make([]byte, 64)}
		for rest := stream; len(rest) > 0; {
			room := in.room()
			require.NotEmpty(t, room)
			n := copy(room, rest[:min(len(rest), int(step)+1)])
			in.add(n)
			rest = rest[n:]
			for {
				b, ok, err := in.next()
				if err != nil {
					require.ErrorIs(t, err, ErrProtocol)
					require.Greater(t, int(binary.BigEndian.Uint32(stream[whole:])), MaxFrame)
					return
				}
				if !ok {
					break
				}
				require.Len(t, b, int(binary.BigEndian.Uint32(stream[whole:])))
				whole += frameLen
				require.True(t, bytes.Equal(stream[whole:whole+len(b)], b))
				whole += len(b)
			}
			require.LessOrEqual(t, cap(in.big), 2*(len(stream)+readStep))
		}
		left := stream[whole:]
		require.True(t, len(left) < frameLen || int(binary.BigEndian.Uint32(left)) > len(left)-frameLen, "a whole frame was left")
		require.Equal(t, len(left) > 0, in.partial())
	})
}
