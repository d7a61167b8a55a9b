package disttest_test

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/beamctl/beamctl/dist/disttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A trace is read as it was written, whatever the bytes, with runs of any length.
func TestTraceText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &disttest.Trace{Title: "any"}
		for _, kind := range rapid.SliceOfN(rapid.SampledFrom([]string{"message", "through", "status", "first", "next"}), 0, 4).Draw(t, "kinds") {
			var b []byte
			for _, c := range rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "bytes") {
				b = append(b, bytes.Repeat([]byte{c}, rapid.IntRange(1, 40).Draw(t, "run"))...)
			}
			want.Messages = append(want.Messages, disttest.Message{Out: rapid.Bool().Draw(t, "out"), Kind: kind, Bytes: b})
		}
		got, err := disttest.ParseTrace(want.Format())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	for _, bad := range []string{"? message 00", "> ", "> message", "> message 0", "> message zz", "> message (00)*-1", "> message (00", "> message (00)*1,(00)*134217728"} {
		_, err := disttest.ParseTrace(bad)
		require.Error(t, err, bad)
	}
}

// What goes through a recorder is cut into messages, however it is read and written.
func TestRecorder(t *testing.T) {
	a, b := net.Pipe()
	rec := disttest.Record(&disttest.Faulty{Conn: a, Dribble: true}, "both ways")
	theirs := append([]byte{0, 3, 's', 'o', 'k', 0, 17, 'a'}, make([]byte, 16)...)
	theirs = append(theirs, 0, 0, 0, 0, 0, 0, 0, 5, 131, 68, 0, 97, 1)
	go func() {
		_, _ = b.Write(theirs)
		_, _ = b.Read(make([]byte, 64))
		_ = b.Close()
	}()
	for n := 0; n < len(theirs); {
		k, err := rec.Read(make([]byte, 100))
		require.NoError(t, err)
		n += k
	}
	_, err := rec.Write([]byte{0, 2, 'N', 1})
	require.NoError(t, err)
	require.NoError(t, rec.Close())
	var kinds []string
	for _, m := range rec.Trace().Messages {
		kinds = append(kinds, m.Kind)
	}
	assert.Equal(t, []string{"status", "ack", "tick", "message", "name"}, kinds)
}
