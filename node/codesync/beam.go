package codesync

import (
	"bytes"
	"compress/gzip"
	"crypto/md5" //nolint:gosec // what beam_lib computes
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/beamctl/beamctl/dist/etf"
)

// MaxBeam is the most bytes of a .beam file, unpacked, that are read: the largest of OTP and Elixir have 2 MB,
// generated parsers and tables some ten.
const MaxBeam = 64 << 20

// ErrNotBeam: the bytes are no compiled module.
var ErrNotBeam = errors.New("not a .beam file")

// Sum is the MD5 of a module's code, the one that erlang:get_module_info(M, md5) and beam_lib:md5/1 give. Debug
// information, documentation, attributes and line numbers have no part in it: modules with equal sums do the same.
type Sum [md5.Size]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText gives the sum in hexadecimal.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// AssignETF reads a binary of 16 bytes.
func (s *Sum) AssignETF(t etf.Term) error {
	b, ok := t.([]byte)
	if !ok || len(b) != len(s) {
		return etf.ErrType
	}
	copy(s[:], b)
	return nil
}

// Beam is a compiled module.
type Beam struct {
	Module etf.Atom
	Sum    Sum
	// Path is the absolute path of the file. A node that has not loaded the module yet takes it for the place where it
	// came from.
	Path string
	// Compiler is the version of OTP's application compiler that made it ("8.2.3" is OTP 25's); "" if the file does not
	// say.
	Compiler string
	// Source is the path of what it was made of, on the machine and at the time of compiling; "" if the file does not say.
	Source string
	// Native says why the module cannot be loaded and taken back at will: "on_load", "nif", or "" if it can.
	Native string
	// Protocol says that it is one of Elixir's protocols.
	Protocol bool
	// Code is the file. It may be compressed.
	Code []byte

	plain []byte // Code, unpacked
	file  FileID
}

func identify(f *os.File) (FileID, error) {
	st, err := f.Stat()
	if err != nil {
		return FileID{}, err
	}
	if !st.Mode().IsRegular() {
		return FileID{}, fmt.Errorf("%w: it is no regular file", ErrNotBeam)
	}
	return Identify(st), nil
}

// Read reads a .beam file. What is no regular file is ErrNotBeam: a pipe would be waited for until somebody
// writes to it, and devices have no end.
func Read(path string) (*Beam, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	id, err := identify(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	code, err := readAll(f, id.size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b, err := Parse(code)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b.file = id
	b.Path, err = filepath.Abs(path)
	return b, err
}

// MD5 is beam_lib:md5/1 of the contents of a .beam file.
func MD5(beam []byte) (Sum, error) {
	b, err := Parse(beam)
	if err != nil {
		return Sum{}, err
	}
	return b.Sum, nil
}

// hashed are the chunks that the sum is made of, in this order (beam_lib:md5_chunks/0). OTP before 25 knows no Meta, and
// cannot load what has it.
var hashed = [...]string{"Atom", "AtU8", "Code", "StrT", "ImpT", "ExpT", "FunT", "LitT", "Meta"}

// Parse reads the contents of a .beam file, compressed or not. The result shares its memory. The code itself is not
// checked: that is what the loader of a node does.
func Parse(code []byte) (*Beam, error) {
	b := &Beam{Code: code, plain: code}
	if bytes.HasPrefix(code, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(code))
		if err == nil {
			b.plain, err = readAll(z, 2*int64(len(code)))
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotBeam, err)
		}
	}
	chunks, err := split(b.plain)
	if err != nil {
		return nil, err
	}
	b.Sum = chunks.sum()
	atoms, err := chunks.atoms()
	if err != nil {
		return nil, err
	}
	b.Module = atoms[0]
	var info struct{ Version, Source string }
	if etf.Unmarshal(chunks["CInf"], &info) == nil {
		b.Compiler, b.Source = info.Version, info.Source
	}
	b.Protocol = exports(chunks["ExpT"], atoms, "__protocol__", 1)
	switch {
	case onLoad(chunks["Code"]):
		b.Native = "on_load"
	case imports(chunks["ImpT"], atoms, "erlang", "load_nif"):
		b.Native = "nif"
	}
	return b, nil
}

// readAll reads up to MaxBeam bytes, at once if the size is right.
func readAll(r io.Reader, size int64) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, min(size, MaxBeam)+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(r, MaxBeam+1))
	if err == nil && n > MaxBeam {
		err = fmt.Errorf("%w: more than %d bytes", ErrNotBeam, MaxBeam)
	}
	return buf.Bytes(), err
}

// chunkSet holds a file's chunks by name.
type chunkSet map[string][]byte

// split takes the container apart: FOR1, size, BEAM, then chunks of name, size, data, padded to four bytes
// (beam_lib:scan_beam/2).
func split(b []byte) (chunkSet, error) {
	if len(b) < 12 || string(b[:4]) != "FOR1" || string(b[8:12]) != "BEAM" {
		return nil, ErrNotBeam
	}
	size := uint64(binary.BigEndian.Uint32(b[4:])) + 8
	if size < 12 || size > uint64(len(b)) {
		return nil, fmt.Errorf("%w: its size is not the one that it says", ErrNotBeam)
	}
	set := chunkSet{}
	for rest := b[12:size]; len(rest) > 0; {
		name, data, next, err := chunk(rest)
		if err != nil {
			return nil, err
		}
		if _, twice := set[name]; !twice {
			set[name] = data
		}
		rest = next
	}
	return set, nil
}

func chunk(b []byte) (name string, data, rest []byte, err error) {
	if len(b) < 8 {
		return "", nil, nil, fmt.Errorf("%w: it ends within a chunk", ErrNotBeam)
	}
	name = string(b[:4])
	size := uint64(binary.BigEndian.Uint32(b[4:]))
	b = b[8:]
	if size > uint64(len(b)) {
		return "", nil, nil, fmt.Errorf("%w: it ends within chunk %q", ErrNotBeam, name)
	}
	padded := min((size+3)&^3, uint64(len(b)))
	return name, b[:size], b[padded:], nil
}

func (set chunkSet) sum() Sum {
	h := md5.New() //nolint:gosec // as above
	for _, name := range hashed {
		data := set[name]
		if name != "FunT" || len(data) < 4 {
			h.Write(data)
			continue
		}
		// The last word of each function is a hash that depends on the file (beam_lib:filter_funtab/2).
		const entry, kept = 24, 20
		h.Write(data[:4])
		data = data[4:]
		for len(data) >= entry {
			h.Write(data[:kept])
			h.Write(make([]byte, entry-kept))
			data = data[entry:]
		}
	}
	return Sum(h.Sum(nil))
}

// unread are the chunks that no loader reads (erts/emulator/beam/beam_file.c): what tools keep in a file. Without them
// modules are a third to a half as large.
var unread = map[string]bool{"Abst": true, "Dbgi": true, "Docs": true, "ExCk": true, "ExDp": true, "ExDc": true}

// loadable are the chunks of a file that the loader reads. It goes out as a binary, put together where it is sent from:
// nobody needs it elsewhere.
type loadable struct {
	size   int // of the file that they make
	chunks [][]byte
}

const (
	formHeader  = 12 // FOR1, size, BEAM
	binaryTag   = 109
	chunkHeader = 8
)

func (b *Beam) loadable() loadable {
	l := loadable{size: formHeader}
	size := binary.BigEndian.Uint32(b.plain[4:]) + 8
	for rest := b.plain[formHeader:size]; len(rest) > 0; {
		name, data, next, err := chunk(rest)
		if err != nil {
			break // cannot be: Parse has read it
		}
		if !unread[name] {
			l.chunks = append(l.chunks, rest[:chunkHeader+len(data)])
			l.size += chunkHeader + rounded(len(data))
		}
		rest = next
	}
	return l
}

// AppendETF writes BINARY_EXT (erl_ext_dist, "BINARY_EXT").
func (l loadable) AppendETF(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint32(append(dst, binaryTag), uint32(l.size))
	dst = append(dst, "FOR1"...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.size-chunkHeader))
	dst = append(dst, "BEAM"...)
	for _, c := range l.chunks {
		dst = append(dst, c...)
		dst = append(dst, "\x00\x00\x00"[:rounded(len(c))-len(c)]...)
	}
	return dst, nil
}

// rounded is the length of a chunk in the file.
func rounded(n int) int { return (n + 3) &^ 3 }

// sent is what goes to a node, and its size: what is to be written there is the file.
func (b *Beam) sent(o *Options) (etf.Term, int) {
	if o.Persist {
		return b.Code, len(b.Code)
	}
	l := b.loadable()
	return l, l.size
}

// compilers says with which version of application compiler each release of OTP began (otp_versions.table). What is
// newer than the last is not known, so that its verdict is the loader's.
var compilers = [...]struct{ major, minor, release int }{
	{7, 6, 23}, {8, 0, 24}, {8, 2, 25}, {8, 3, 26}, {8, 5, 27}, {9, 0, 28}, {10, 0, 29}, {11, 0, 0},
}

// release is the OTP release whose compiler made it, 0 if that is not known.
func (b *Beam) release() (otp int) {
	var major, minor int
	if n, _ := fmt.Sscanf(b.Compiler, "%d.%d", &major, &minor); n < 2 {
		return 0
	}
	for _, c := range compilers {
		if major > c.major || major == c.major && minor >= c.minor {
			otp = c.release
		}
	}
	return otp
}
