package dist

import (
	"encoding/binary"
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
