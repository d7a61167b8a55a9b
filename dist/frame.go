package dist

import (
	"encoding/binary"
	"io"
	"slices"

	"github.com/beamctl/beamctl/dist/etf"
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

// ended is the error with which reading ended, in view of whether that was inside a frame.
func (f *frames) ended(err error) error {
	if err == io.EOF && (f.r < f.w || f.want > 0) { //nolint:errorlint // wrapped it would mean something else
		return io.ErrUnexpectedEOF
	}
	return err
}

// assembler puts messages together from frames. It does no I/O.
type assembler struct {
	open  map[uint64]*sequence
	total int // bytes of their buffers
}

// sequence is one message of which fragments are still missing.
type sequence struct {
	next   uint64 // the fragment number that must come next
	expect int    // about how long it will be, if what it announces is true
	buf    []byte
}

// ahead is how far what a message announces is believed: its buffer is made so many times as large as what has come. So little is copied
// twice, and nobody makes us hold much for nothing.
const ahead = 8

// add appends a fragment. What counts is the room that it takes, not what is in it.
func (a *assembler) add(s *sequence, data []byte) error {
	need := len(s.buf) + len(data)
	if have := cap(s.buf); need > have {
		size := max(need, min(s.expect, ahead*need))
		if a.total-have+size > MaxAssembly {
			size = need
		}
		if a.total += size - have; a.total > MaxAssembly {
			return protocolErrorf("more than %d bytes of unfinished messages", MaxAssembly)
		}
		grown := make([]byte, len(s.buf), size)
		copy(grown, s.buf)
		s.buf = grown
	}
	s.buf = append(s.buf, data...)
	return nil
}

// frame takes one non-empty frame and returns a complete message (control term, then payload, each without
// version byte), or nil while fragments are missing. The message is valid as long as the frame is, unless it is owned: then
// nobody else has it.
func (a *assembler) frame(b []byte) (msg []byte, owned bool, err error) {
	if b[0] == tagPassThrough {
		msg, err = passThrough(b[1:])
		return msg, false, err
	}
	if len(b) < 2 || b[0] != version {
		return nil, false, protocolErrorf("frame starts with %d", b[0])
	}
	switch b[1] {
	case tagHeader:
		if len(b) < 4 || b[2] != headerNoAtoms {
			return nil, false, protocolErrorf("distribution header with an atom cache that was not negotiated")
		}
		return b[3:], false, nil
	case tagFirstFrag, tagNextFrag:
		msg, err = a.fragment(b)
		return msg, true, err
	}
	return nil, false, protocolErrorf("frame starts with 131 %d", b[1])
}

func (a *assembler) fragment(b []byte) ([]byte, error) {
	if len(b) < fragHeaderLen {
		return nil, protocolErrorf("fragment of %d bytes", len(b))
	}
	first := b[1] == tagFirstFrag
	seq, num := binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:])
	data := b[fragHeaderLen:]
	s := a.open[seq]
	if first {
		switch {
		case s != nil:
			return nil, protocolErrorf("fragment sequence %d begins twice", seq)
		case len(b) < minFirstFragLen || data[0] != headerNoAtoms:
			return nil, protocolErrorf("fragment with an atom cache that was not negotiated")
		case num == 0:
			return nil, protocolErrorf("fragment number 0")
		case num == 1:
			return append([]byte(nil), data[1:]...), nil
		case len(a.open) >= MaxSequences:
			return nil, protocolErrorf("more than %d fragmented messages at once", MaxSequences)
		}
		data = data[1:]
		if num > MaxAssembly/fragmentSize*2 {
			return nil, protocolErrorf("a message of %d fragments", num)
		}
		if a.open == nil {
			a.open = map[uint64]*sequence{}
		}
		s = &sequence{next: num, expect: min(int(num)*len(data), MaxAssembly)} //nolint:gosec // num was bounded above
		a.open[seq] = s
	}
	if s == nil || s.next != num {
		return nil, protocolErrorf("fragment %d of sequence %d out of order", num, seq)
	}
	if err := a.add(s, data); err != nil {
		return nil, err
	}
	if s.next--; s.next > 0 {
		return nil, nil
	}
	delete(a.open, seq)
	a.total -= cap(s.buf)
	return s.buf, nil
}

// passThrough strips the version bytes of a pass-through frame, so that every message has one form.
func passThrough(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != version {
		return nil, protocolErrorf("pass-through frame without a term")
	}
	b = b[1:]
	n, err := etf.Skip(b)
	if err != nil {
		return nil, err
	}
	if n == len(b) {
		return b, nil
	}
	if b[n] != version {
		return nil, protocolErrorf("pass-through payload starts with %d", b[n])
	}
	msg := make([]byte, 0, len(b)-1)
	return append(append(msg, b[:n]...), b[n+1:]...), nil
}
