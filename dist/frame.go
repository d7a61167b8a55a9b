package dist

import (
	"encoding/binary"
	"slices"
)

// After the handshake every frame has a 4-byte length; length 0 is a tick. What is inside, with FRAGMENTS and
// without an atom cache negotiated (erl_ext_dist, "Distribution Header"):
//
//	131 68 0 Control [Payload]                  one whole message
//	131 69 Seq:8 Frag:8 0 Control Part          the first of Frag fragments
//	131 70 Seq:8 Frag:8 Part                    the next; the last one is number 1
//	112 131 Control [131 Payload]               pass-through, from peers without fragments
const (
	version         = 131
	tagHeader       = 68
	tagFirstFrag    = 69
	tagNextFrag     = 70
	tagPassThrough  = 112
	frameLen        = 4
	fragHeaderLen   = 2 + 8 + 8
	fragmentSize    = 64 << 10 // ERTS_DIST_FRAGMENT_SIZE
	readBufferSize  = 256 << 10
	readStep        = 1 << 20 // a claimed length is believed only so far ahead of the bytes
	headerNoAtoms   = 0
	minFirstFragLen = fragHeaderLen + 1
)

const (
	// MaxFrame bounds one frame. OTP cuts messages into 64 KiB fragments; only peers without fragments (C nodes) send
	// more in one piece, and ei itself cannot build much more.
	MaxFrame = 128 << 20
	// MaxAssembly bounds the bytes of all messages being put together from fragments on one connection: it is what a
	// peer can make us hold. Large enough for any term a person moves, and far below what hurts this process.
	MaxAssembly = 512 << 20
	// MaxSequences bounds how many fragmented messages may be open at once on one connection: each is one
	// Erlang process in the middle of a large send.
	MaxSequences = 1024
)

// frames cuts a byte stream into frames. It does no I/O: what is read goes into room, which add is told of.
type frames struct {
	buf  []byte
	r, w int    // what has come and was not taken is buf[r:w]
	big  []byte // a frame that does not fit buf, as far as it has come
	want int    // its length; 0: there is none
}

func newFrames() frames { return frames{buf: make([]byte, readBufferSize)} }

// room is where the next bytes go, at least one.
func (f *frames) room() []byte {
	if f.want > 0 { // not allocated ahead of what has really come
		step := min(f.want-len(f.big), readStep)
		f.big = slices.Grow(f.big, step)
		return f.big[len(f.big) : len(f.big)+step]
	}
	if f.r > 0 {
		f.r, f.w = 0, copy(f.buf, f.buf[f.r:f.w])
	}
	return f.buf[f.w:]
}

// add takes the first n bytes of room.
func (f *frames) add(n int) {
	if f.want > 0 {
		f.big = f.big[:len(f.big)+n]
	} else {
		f.w += n
	}
}

// next returns the next frame, empty for a tick, if a whole one has come. It is valid until the next call of any method.
func (f *frames) next() (frame []byte, ok bool, err error) {
	if f.want > 0 {
		if len(f.big) < f.want {
			return nil, false, nil
		}
		frame = f.big
		if f.want, f.big = 0, f.big[:0]; cap(frame) > readStep {
			f.big = nil // do not keep what one huge frame needed
		}
		return frame, true, nil
	}
	have := f.buf[f.r:f.w]
	if len(have) < frameLen {
		return nil, false, nil
	}
	n := int(binary.BigEndian.Uint32(have))
	have = have[frameLen:]
	switch {
	case n > MaxFrame:
		return nil, false, protocolErrorf("frame of %d bytes (the limit is %d)", n, MaxFrame)
	case n <= len(have):
		f.r += frameLen + n
		return have[:n], true, nil
	case frameLen+n > len(f.buf):
		f.big, f.want = append(f.big, have...), n
		f.r, f.w = 0, 0
	}
	return nil, false, nil
}

// offer has take look at what has come of the next frame, and forgets it if it was taken.
func (f *frames) offer(take func(have []byte) bool) {
	if take(f.buf[f.r:f.w]) {
		f.r, f.w = 0, 0
	}
}

// partial tells whether part of a frame has come.
func (f *frames) partial() bool { return f.r < f.w || f.want > 0 }
