package dist

import "io"

// stream cuts a byte stream into messages. It does no I/O: what is read goes into room, which add is told of.
type stream struct {
	frames frames
	asm    assembler
	whole  []byte // a message that add completed
}

func newStream() stream { return stream{frames: newFrames()} }

// room is where the next bytes go, at least one.
func (s *stream) room() []byte {
	if s.asm.into != nil {
		return s.asm.room()
	}
	return s.frames.room()
}

// add takes the first n bytes of room.
func (s *stream) add(n int) {
	if s.asm.into == nil {
		s.frames.add(n)
		return
	}
	var rest []byte
	rest, s.whole = s.asm.added(n)
	s.frames.add(copy(s.frames.room(), rest))
}

// next returns the next message (control term, then payload, each without version byte), none for a tick, if a whole
// one has come. It is valid until the next call of any method, unless it is owned: then nobody else has it.
func (s *stream) next() (msg []byte, owned, ok bool, err error) {
	if msg, s.whole = s.whole, nil; msg != nil {
		return msg, true, true, nil
	}
	for {
		b, ok, err := s.frames.next()
		switch {
		case err != nil:
			return nil, false, false, err
		case !ok:
			s.frames.offer(s.asm.begin)
			return nil, false, false, nil
		case len(b) == 0:
			return nil, false, true, nil
		}
		if msg, owned, err = s.asm.frame(b); msg != nil || err != nil {
			return msg, owned, err == nil, err
		}
	}
}

// ended is the error with which reading ended, in view of whether that was inside a frame.
func (s *stream) ended(err error) error {
	if err == io.EOF && (s.frames.partial() || s.asm.into != nil) { //nolint:errorlint // wrapped it would mean something else
		return io.ErrUnexpectedEOF
	}
	return err
}
