package dist

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// opening is the first fragment of a message that announces as many as it may.
func opening(seq uint64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{version, tagFirstFrag}, seq)
	b = binary.BigEndian.AppendUint64(b, MaxAssembly/fragmentSize*2)
	return append(append(b, headerNoAtoms), data...)
}

func following(seq, num uint64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{version, tagNextFrag}, seq)
	return append(binary.BigEndian.AppendUint64(b, num), data...)
}

// Messages that announce far more than comes, as many as there may be, cost a small multiple of what has come.
func TestAnnouncedFragments(t *testing.T) {
	for _, size := range []int{1, 1000, fragmentSize} {
		var asm assembler
		data := make([]byte, size)
		for seq := range uint64(MaxSequences) {
			_, _, err := asm.frame(opening(seq, data))
			require.NoError(t, err)
		}
		held := 0
		for _, s := range asm.open {
			held += cap(s.buf)
		}
		require.Equal(t, held, asm.total)
		require.LessOrEqual(t, held, ahead*MaxSequences*size)
		_, _, err := asm.frame(opening(MaxSequences, data))
		require.ErrorIs(t, err, ErrProtocol)
	}
}

// Fragments without end come to one: by their number if they are small, else by their bytes.
func TestEndlessFragments(t *testing.T) {
	var asm assembler
	_, _, err := asm.frame(opening(1, nil))
	require.NoError(t, err)
	num := uint64(MaxAssembly/fragmentSize*2) - 1
	for ; num > 1; num-- {
		_, _, err = asm.frame(following(1, num, nil))
		require.NoError(t, err)
	}
	_, _, err = asm.frame(following(1, 1, nil))
	require.NoError(t, err)
	require.Empty(t, asm.open)
	require.Zero(t, asm.total)

	asm.total = MaxAssembly - 100*fragmentSize // what other messages hold
	_, _, err = asm.frame(opening(1, make([]byte, fragmentSize)))
	require.NoError(t, err)
	num = uint64(MaxAssembly/fragmentSize*2) - 1
	sent := 1
	for ; err == nil; num-- {
		_, _, err = asm.frame(following(1, num, make([]byte, fragmentSize)))
		require.LessOrEqual(t, sent, 101)
		sent++
	}
	require.ErrorIs(t, err, ErrProtocol)
	require.Greater(t, sent, 50, "all the room may be used")
}

// Whatever the frames, the assembler neither panics nor holds more than it has been given.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{131, 68, 0, 104, 0}, []byte{131, 69, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}, []byte{131, 70, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2})
	f.Add([]byte{112, 131, 97, 1}, []byte{112, 131, 97, 1, 131, 97, 1}, []byte{131})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var asm assembler
		held := 0
		for _, frame := range [][]byte{a, b, c} {
			if len(frame) == 0 {
				continue
			}
			msg, _, err := asm.frame(frame)
			if err != nil {
				return
			}
			held += len(frame)
			require.LessOrEqual(t, len(msg), held)
			require.LessOrEqual(t, asm.total, ahead*held)
		}
	})
}

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
		want := io.EOF
		if len(left) > 0 {
			want = io.ErrUnexpectedEOF
		}
		require.Equal(t, want, in.ended(io.EOF))
	})
}
