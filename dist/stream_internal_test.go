package dist

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// framed is the stream of some frames.
func framed(frames ...[]byte) []byte {
	var b []byte
	for _, f := range frames {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// first is the first fragment of a message that has as many as num says.
func first(seq, num uint64, data []byte) []byte {
	b := opening(seq, data)
	binary.BigEndian.PutUint64(b[2+8:], num)
	return b
}

// cut is what a stream comes to that is read by step bytes at most, into a buffer of size bytes, and the error with which it ends.
func cut(t *testing.T, b []byte, size, step int) (msgs [][]byte, err error) {
	in := stream{frames: frames{buf: make([]byte, size)}}
	for len(b) > 0 {
		room := in.room()
		require.NotEmpty(t, room)
		n := copy(room, b[:min(len(b), step)])
		in.add(n)
		b = b[n:]
		for {
			msg, _, ok, err := in.next()
			if err != nil {
				return msgs, err
			}
			if !ok {
				break
			}
			msgs = append(msgs, bytes.Clone(msg))
		}
		total := 0
		for _, s := range in.asm.open {
			total += cap(s.buf)
		}
		require.Equal(t, total, in.asm.total)
	}
	return msgs, in.ended(io.EOF)
}

// A stream comes to the same messages however it is cut, whether fragments are read to where they belong or not.
func FuzzStream(f *testing.F) {
	part := bytes.Repeat([]byte("part"), 20)
	f.Add(framed(first(1, 3, part), following(1, 2, part), following(1, 1, part), nil), uint16(30))
	f.Add(framed(first(1, 3, part), first(2, 2, part), following(1, 2, part), nil, following(2, 1, part), following(1, 1, part), []byte{131, 68, 0, 97, 1}), uint16(70))
	f.Add(framed(first(1, 2, part), following(1, 3, part)), uint16(30))
	f.Add(framed(first(1, 2, part), following(1, 1, nil)), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		want, ended := cut(t, b, len(b)+1, len(b)) // at once
		got, err := cut(t, b, 64, int(step)+1)
		require.Equal(t, want, got)
		require.Equal(t, ended, err)
	})
}

// The rest of a fragment that has begun to come is not copied, nor are those that follow it.
func TestFragmentsReadInPlace(t *testing.T) {
	const fragments = 20
	data := bytes.Repeat([]byte("0123456789abcdef"), fragmentSize/16)
	all := [][]byte{first(1, fragments, data)}
	for num := uint64(fragments - 1); num > 0; num-- {
		all = append(all, following(1, num, data))
	}
	b := framed(all...)
	in := stream{frames: frames{buf: make([]byte, readBufferSize)}}
	direct := 0
	take := func(n int) (msg []byte) {
		if in.asm.into != nil {
			direct += n
		}
		copy(in.room(), b[:n])
		in.add(n)
		b = b[n:]
		msg, _, _, err := in.next()
		require.NoError(t, err)
		return msg
	}
	require.Nil(t, take(readBufferSize))
	var msg []byte
	for msg == nil {
		require.ErrorIs(t, in.ended(io.EOF), io.ErrUnexpectedEOF)
		msg = take(min(len(b), len(in.room())))
	}
	require.Equal(t, bytes.Repeat(data, fragments), msg)
	require.Empty(t, b)
	assert.Greater(t, direct, (fragments-5)*fragmentSize)
	require.ErrorIs(t, in.ended(io.EOF), io.EOF)
}
