package dist

import (
	"encoding/binary"

	"github.com/beamctl/beamctl/dist/etf"
)

// assembler puts messages together from frames. It does no I/O.
type assembler struct {
	open  map[uint64]*sequence
	total int // bytes of their buffers

	into *sequence // of which a fragment is being read to where it belongs
	id   uint64    // its key in open
	left int       // bytes of that fragment that have yet to come
}

// sequence is one message of which fragments are still missing.
type sequence struct {
	next   uint64 // the fragment number that must come next
	expect int    // about how long it will be, if what it announces is true
	buf    []byte
}

// ahead is how far what a message announces is believed: its buffer is made so many times as large as what has come. So
// little is copied twice (100 MB are made room for three times), and who wants us to hold as much as there may be has
// to send some of it.
const ahead = 64

// reserve makes room for n more bytes. What counts is the room that a message takes, not what is in it.
func (a *assembler) reserve(s *sequence, n int) error {
	need := len(s.buf) + n
	if have := cap(s.buf); need > have {
		size := max(need, min(s.expect, ahead*need))
		if a.total-have+size > MaxAssembly/2 { // the rest is for many
			size = max(need, min(s.expect, 2*need))
		}
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
	return nil
}

// advance counts a fragment that is complete, and returns the message if it was the last.
func (a *assembler) advance(seq uint64, s *sequence) []byte {
	if s.next--; s.next > 0 {
		return nil
	}
	delete(a.open, seq)
	a.total -= cap(s.buf)
	return s.buf
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
	if err := a.reserve(s, len(data)); err != nil {
		return nil, err
	}
	s.buf = append(s.buf, data...)
	return a.advance(seq, s), nil
}

// headLen is what tells where the data of a fragment belongs.
const headLen = frameLen + fragHeaderLen

// begin takes the beginning of a frame of which more is to come, if it is a fragment in the middle of a message. What
// is to come of it is then read to where it belongs, by room and added: half of what reading large messages costs was
// to copy them.
func (a *assembler) begin(have []byte) bool {
	if len(have) < headLen || have[frameLen] != version || have[frameLen+1] != tagNextFrag {
		return false
	}
	n := int(binary.BigEndian.Uint32(have)) - fragHeaderLen
	seq, num := binary.BigEndian.Uint64(have[frameLen+2:]), binary.BigEndian.Uint64(have[frameLen+10:])
	s, data := a.open[seq], have[headLen:]
	if s == nil || s.next != num || n > fragmentSize || a.reserve(s, n) != nil { // what is wrong is told when it has come
		return false
	}
	s.buf = append(s.buf, data...)
	a.into, a.id, a.left = s, seq, n-len(data)
	return true
}

// room is where the rest of the fragment goes, and the head of the next if there is room: with it that one can begin.
func (a *assembler) room() []byte {
	end := len(a.into.buf)
	return a.into.buf[end:min(end+a.left+headLen, cap(a.into.buf))]
}

// added takes the first n bytes of room. It returns those that belong to the next frame, and the message if it is complete.
func (a *assembler) added(n int) (rest, msg []byte) {
	s := a.into
	end := len(s.buf) + min(n, a.left)
	rest = s.buf[end : len(s.buf)+n]
	a.left -= end - len(s.buf)
	s.buf = s.buf[:end]
	if a.left > 0 {
		return nil, nil
	}
	a.into = nil
	return rest, a.advance(a.id, s)
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
