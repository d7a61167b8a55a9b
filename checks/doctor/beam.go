package doctor

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/beamctl/beamctl/dist/etf"
)

// maxBeam bounds a .beam file that is looked into; those asked for have some 30 KB.
const maxBeam = 4 << 20

var errNoBeam = errors.New("is no .beam file")

// compilerOf reads from a .beam file which compiler application has made it: its CInf chunk is the property list of
// Module:module_info(compile) (beam_lib, beam_asm.erl).
func compilerOf(r io.Reader) (version string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBeam))
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // compiled with `compressed`
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return "", fmt.Errorf("%w: %w", errNoBeam, err)
		}
		if b, err = io.ReadAll(io.LimitReader(z, maxBeam)); err != nil {
			return "", fmt.Errorf("%w: %w", errNoBeam, err)
		}
	}
	const header, chunkHeader = 12, 8
	if len(b) < header || string(b[:4]) != "FOR1" || string(b[8:header]) != "BEAM" {
		return "", errNoBeam
	}
	for b = b[header:]; len(b) >= chunkHeader; {
		id, size := string(b[:4]), uint64(binary.BigEndian.Uint32(b[4:]))
		if b = b[chunkHeader:]; size > uint64(len(b)) {
			return "", fmt.Errorf("%w: chunk %q is cut off", errNoBeam, id)
		}
		if id == "CInf" {
			var info struct{ Version string }
			if err := etf.Unmarshal(b[:size], &info); err != nil {
				return "", fmt.Errorf("%w: %w", errNoBeam, err)
			}
			return info.Version, nil
		}
		b = b[min(uint64(len(b)), (size+3)&^3):] // chunks are padded to four bytes
	}
	return "", fmt.Errorf("%w with compile information", errNoBeam)
}

// compilerOTP says which OTP release a version of the application compiler belongs to; 0: not known.
// (otp_versions.table; the later ones of 25.x count up to 8.2.6.) From 9 on the major number follows the release.
func compilerOTP(version string) int {
	v := parseVersion(version)
	switch {
	case v[0] >= 9:
		return int(v[0]) + 19
	case v[0] == 8:
		switch v[1] {
		case 0, 1:
			return 24
		case 2:
			return 25
		case 3, 4:
			return 26
		default:
			return 27
		}
	case v[0] == 7:
		switch v[1] {
		case 2, 3:
			return 21
		case 4, 5:
			return 22
		case 6:
			return 23
		}
	}
	return 0
}
