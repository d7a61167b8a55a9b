package codesync

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"

	"github.com/beamctl/beamctl/node/nodetest"
)

// judge prints, of every beam below the given folders, what the runtime makes of it: path, module, sum, and whether it has on_load
// (- if the release cannot load it).
const judge = `[begin {ok, {M, Sum}} = beam_lib:md5(F), {ok, Bin} = file:read_file(F),
	OnLoad = try erlang:has_prepared_code_on_load(erlang:prepare_loading(M, Bin)) catch _:_ -> '-' end,
	io:format("~ts\t~ts\t~s\t~s~n", [F, atom_to_list(M), [io_lib:format("~2.16.0b", [B]) || <<B>> <= Sum], OnLoad])
	end || D <- [%s], F <- filelib:wildcard(D ++ "/**/*.beam")], halt().`

// Every module of every release's Erlang and Elixir has the sum, name and on_load that the runtime itself finds.
func TestBeamsOfReleases(t *testing.T) {
	onReleases(t, func(t *testing.T, r nodetest.Release) {
		out := nodetest.New(t).RunOf(r.Bin, "+pc", "unicode", "-eval", strings.ReplaceAll(judge, "%s", `code:lib_dir(), "`+elixir(t, r)+`"`))
		lines := strings.Split(out, "\n")
		require.Greater(t, len(lines), 900)
		natives := 0
		var protocols []string
		for _, line := range lines {
			f := strings.Split(line, "\t")
			require.Len(t, f, 4, "%q", line)
			b, err := Read(f[0])
			require.NoError(t, err)
			assert.Equal(t, f[1], string(b.Module), f[0])
			assert.Equal(t, f[2], b.Sum.String(), f[0])
			assert.LessOrEqual(t, b.release(), r.Major, "%s: %s", f[0], b.Compiler)
			if strings.Contains(f[0], "/stdlib-") { // what is part of the emulator, or of libraries, may have been compiled earlier
				assert.Equal(t, r.Major, b.release(), "%s: %s", f[0], b.Compiler)
			}
			if f[3] != "-" {
				assert.Equal(t, f[3] == "true", b.Native == "on_load", f[0])
			}
			if b.Native != "" {
				natives++
			}
			if b.Protocol {
				protocols = append(protocols, f[1])
			}
			again, err := Parse(sent(t, b))
			require.NoError(t, err, f[0])
			assert.Equal(t, b.Sum, again.Sum, f[0])
			assert.Less(t, len(again.Code), len(b.Code)+1, f[0])
		}
		assert.Greater(t, natives, 3) // crypto, asn1rt_nif and others
		assert.Subset(t, protocols, []string{"Elixir.Collectable", "Elixir.Enumerable", "Elixir.Inspect", "Elixir.List.Chars", "Elixir.String.Chars"})
		assert.NotContains(t, protocols, "Elixir.Protocol")
		assert.Less(t, len(protocols), 12, "%s", protocols)
	})
}

func TestParseCompressed(t *testing.T) {
	t.Parallel()
	plain := aBeam(t)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	want, err := MD5(plain)
	require.NoError(t, err)
	b, err := Parse(z.Bytes())
	require.NoError(t, err)
	assert.Equal(t, want, b.Sum)
	assert.Equal(t, z.Bytes(), b.Code)
	loaded, err := Parse(sent(t, b))
	require.NoError(t, err)
	assert.Equal(t, want, loaded.Sum)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	plain := aBeam(t)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range MaxBeam>>20 + 1 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	for name, code := range map[string][]byte{
		"nothing":          nil,
		"text":             []byte("-module(a).\n"),
		"no atoms":         []byte("FOR1\x00\x00\x00\x04BEAM"),
		"no size":          []byte("FOR1\x00\x00\x00\x00BEAMAtU8\x00\x00\x00\x00"),
		"cut":              plain[:len(plain)-5],
		"cut in the head":  plain[:9],
		"cut gzip":         bomb.Bytes()[:1000],
		"a bomb":           bomb.Bytes(),
		"negative count":   beamWith("AtU8", "\x80\x00\x00\x00"),
		"no atom at all":   beamWith("AtU8", "\x00\x00\x00\x00"),
		"atoms cut":        beamWith("AtU8", "\x00\x00\x00\x02\x01a"),
		"an atom too long": beamWith("AtU8", "\x00\x00\x00\x01\x09a"),
		"not UTF-8":        beamWith("AtU8", "\x00\x00\x00\x01\x01\xff"),
	} {
		_, err := Parse(code)
		require.ErrorIs(t, err, ErrNotBeam, name)
	}
	_, err := Read(filepath.Join(t.TempDir(), "none.beam"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// beamWith is a file with one chunk.
func beamWith(name, data string) []byte {
	size := func(n int) string { return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) }
	padded := data + strings.Repeat("\x00", -len(data)&3)
	return []byte("FOR1" + size(4+8+len(padded)) + "BEAM" + name + size(len(data)) + padded)
}

// aBeam is a module of OTP's.
func aBeam(t testing.TB) []byte {
	t.Helper()
	files, err := filepath.Glob("/usr/lib/erlang/lib/stdlib-*/ebin/orddict.beam")
	require.NoError(t, err)
	require.NotEmpty(t, files, "Erlang is needed")
	code, err := os.ReadFile(files[0])
	require.NoError(t, err)
	return code
}

// Whatever the bytes are, they are refused or have a name and a sum, which what is sent to a node has too.
func FuzzParse(f *testing.F) {
	f.Add(aBeam(f))
	f.Add(beamWith("AtU8", "\xff\xff\xff\xff\x10a")) // as OTP 28 writes atoms
	f.Add(beamWith("Atom", "\x00\x00\x00\x01\x01\xe9"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, code []byte) {
		b, err := Parse(code)
		if err != nil {
			require.ErrorIs(t, err, ErrNotBeam)
			return
		}
		require.NotEmpty(t, b.Module)
		sent, err := Parse(sent(t, b))
		require.NoError(t, err)
		require.Equal(t, b.Sum, sent.Sum)
		require.Equal(t, b.Module, sent.Module)
		require.Equal(t, b.Native, sent.Native)
		require.Len(t, hex.EncodeToString(b.Sum[:]), len(b.Sum.String()))
	})
}

// What is no regular file is refused at once: a pipe nobody writes to, one that somebody does, a folder, a device without end, and links
// to those.
func TestNoRegularFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name+".beam") }
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	require.NoError(t, syscall.Mkfifo(at("full"), 0o600))
	writer, err := os.OpenFile(at("full"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer writer.Close()
	_, err = writer.WriteString("FOR1")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(at("folder"), 0o700))
	require.NoError(t, os.Symlink("/dev/zero", at("zero")))
	require.NoError(t, os.Symlink(at("pipe"), at("link")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, name := range []string{"pipe", "full", "folder", "zero", "link"} {
			_, err := Read(at(name))
			assert.ErrorIs(t, err, ErrNotBeam, name)
			assert.ErrorContains(t, err, at(name)+": not a .beam file: it is no regular file")
		}
		_, err := ReadDirs(t.Context(), dir)
		assert.ErrorIs(t, err, ErrNotBeam)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		require.FailNow(t, "it waits for ever") // and with it a goroutine, which goleak would show
	}
}

// sent is what a node gets of a module.
func sent(t *testing.T, b *Beam) []byte {
	t.Helper()
	term, size := b.sent(&Options{})
	raw, err := etf.Append(nil, term)
	require.NoError(t, err)
	got, _, err := etf.Decode(raw)
	require.NoError(t, err)
	require.Len(t, got, size)
	return got.([]byte)
}
