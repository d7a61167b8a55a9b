package etf

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxInflated is the largest term that is unpacked from a compressed one: enough for any table or backup one would
	// put through term_to_binary(_, [compressed]), little enough to hold a few of at once.
	MaxInflated = 64 << 20
	// maxRatio is what deflate can at best achieve; a header that claims more lies, and is refused before inflating.
	maxRatio = 1032
)

// Unmarshal decodes b, which begins with the version byte and holds nothing behind the term, and assigns the term to
// what v points at as [Assign] does. A compressed term may unpack to [MaxInflated] bytes. A *[Raw] gets a copy of the
// encoding as it came, of which only the structure is checked ([Skip]).
func Unmarshal(b []byte, v any) error {
	if len(b) == 0 || b[0] != Version {
		return &DecodeError{Offset: 0, Err: ErrVersion}
	}
	body, base := b[1:], 1
	if len(body) > 0 && body[0] == tagCompressed {
		inflated, err := inflate(body[1:])
		if err != nil {
			return err
		}
		body, base = inflated, 0
	}
	err := unmarshalBody(body, v)
	if e, ok := errors.AsType[*DecodeError](err); ok {
		e.Offset += base
	}
	return err
}

// unmarshalBody assigns the term that b is, without version byte.
func unmarshalBody(b []byte, v any) error {
	if raw, ok := v.(*Raw); ok && raw != nil {
		n, err := Skip(b)
		if err != nil {
			return err
		}
		if n < len(b) {
			return &DecodeError{Offset: n, Err: ErrTrailing}
		}
		*raw = bytes.Clone(b)
		return nil
	}
	t, rest, err := Decode(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return &DecodeError{Offset: len(b) - len(rest), Err: ErrTrailing}
	}
	return Assign(t, v)
}

// inflate unpacks what follows the tag of a compressed term: the size of the term and a zlib stream of exactly that.
func inflate(b []byte) ([]byte, error) {
	bad := func(why string, args ...any) error {
		return &DecodeError{Offset: 1, Err: fmt.Errorf("%w: %s", ErrCompressed, fmt.Sprintf(why, args...))}
	}
	if len(b) < 4 {
		return nil, bad("no size")
	}
	size, packed := binary.BigEndian.Uint32(b), b[4:]
	if size > MaxInflated {
		return nil, bad("%d bytes, at most %d are unpacked", size, MaxInflated)
	}
	if uint64(size) > maxRatio*uint64(len(packed)) {
		return nil, bad("%d bytes cannot come from %d", size, len(packed))
	}
	in := bytes.NewReader(packed)
	z, err := zlib.NewReader(in)
	if err != nil {
		return nil, bad("%v", err)
	}
	out := make([]byte, size)
	if _, err := io.ReadFull(z, out); err != nil {
		return nil, bad("%v", err)
	}
	if n, err := z.Read(make([]byte, 1)); n > 0 || err != io.EOF { // also verifies the checksum
		return nil, bad("more than the %d bytes it claims, or a bad checksum", size)
	}
	if in.Len() > 0 {
		return nil, bad("%d bytes follow it", in.Len())
	}
	return out, nil
}
