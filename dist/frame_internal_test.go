package dist

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
			require.LessOrEqual(t, asm.total, held)
		}
	})
}
