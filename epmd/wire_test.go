package epmd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var aName = rapid.StringMatching(`[^\x00-\x1f\x7f@]{1,255}`).Filter(func(s string) bool { return checkName(s) == nil })

var aNode = rapid.Custom(func(t *rapid.T) Node {
	n := Node{
		Name: aName.Draw(t, "name"), Port: rapid.Uint16().Draw(t, "port"),
		Type: NodeType(rapid.Byte().Draw(t, "type")), Protocol: rapid.Byte().Draw(t, "protocol"),
		HighestVersion: rapid.Uint16().Draw(t, "highest"), LowestVersion: rapid.Uint16().Draw(t, "lowest"),
	}
	if extra := rapid.SliceOfN(rapid.Byte(), 0, maxExtra).Draw(t, "extra"); len(extra) > 0 {
		n.Extra = extra
	}
	return n
})

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := request{op: rapid.SampledFrom([]byte{opAlive, opPort, opNames, opDump, opKill, opStop}).Draw(t, "op")}
		switch r.op {
		case opAlive:
			r.node = aNode.Draw(t, "node")
		case opPort, opStop:
			r.name = aName.Draw(t, "name")
		}
		b, err := appendRequest([]byte("before"), r)
		require.NoError(t, err)
		b, found := bytes.CutPrefix(b, []byte("before"))
		require.True(t, found)

		body, err := splitRequest(b)
		require.NoError(t, err)
		got, err := parseRequest(body)
		require.NoError(t, err)
		assert.Equal(t, r, got)

		for i := range b { // no part of it is a request
			_, err := splitRequest(b[:i])
			require.ErrorIs(t, err, errShort)
		}
		_, err = splitRequest(append(b, 0))
		require.ErrorIs(t, err, ErrProtocol)
	})
}

func TestReplyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := aNode.Draw(t, "node")
		b := appendPortReply(nil, n)
		got, err := parsePortReply(b)
		require.NoError(t, err)
		assert.Equal(t, n, got)
		for i := range b {
			_, err := parsePortReply(b[:i])
			require.ErrorIs(t, err, errShort)
		}

		want := rapid.Uint32Range(1, 1<<32-1).Draw(t, "creation")
		if n.HighestVersion < extendedVersion {
			want = want%3 + 1
		}
		b = aliveReply(n.HighestVersion, want)
		given, err := parseAliveReply(b)
		require.NoError(t, err)
		assert.Equal(t, want, given)
		for i := range b {
			_, err := parseAliveReply(b[:i])
			require.ErrorIs(t, err, errShort)
		}
		_, err = parseAliveReply(aliveReply(n.HighestVersion, 0))
		require.ErrorIs(t, err, ErrNameTaken)
	})
}

func TestListingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reply := []byte{0, 0, 0x11, 0x11}
		dump := bytes.Clone(reply)
		var names []NamePort
		var entries []DumpEntry
		for _, n := range rapid.SliceOfN(aNode, 0, 5).Draw(t, "nodes") {
			names = append(names, NamePort{n.Name, n.Port})
			reply = appendNamesLine(reply, n)
			d := DumpEntry{n.Name, n.Port, rapid.IntRange(-1, 1<<20).Draw(t, "fd"), rapid.Bool().Draw(t, "active")}
			entries = append(entries, d)
			dump = appendDumpLine(dump, d)
		}
		gotNames, err := parseNames(reply)
		require.NoError(t, err)
		assert.Equal(t, names, gotNames)
		gotEntries, err := parseDump(dump)
		require.NoError(t, err)
		assert.Equal(t, entries, gotEntries)
	})
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"x", "a b", "name x at port 1", strings.Repeat("a", 255), strings.Repeat("𝄞", 255)} {
		require.NoError(t, checkName(good), "%q", good)
	}
	for _, bad := range []string{
		"", "x@host", "a\nb", "a\x00", "\x7f", "\xe9", "\xed\xa0\x80", strings.Repeat("a", 256), strings.Repeat("𝄞", 256),
	} {
		require.ErrorIs(t, checkName(bad), ErrBadName, "%q", bad)
	}
}

// TestReceiveBounds gives replies in one piece, byte by byte, cut off, and without end.
func TestReceiveBounds(t *testing.T) {
	n := Node{Name: "x", Port: 1, Extra: []byte("extra")}
	reply := appendPortReply(nil, n)
	var got Node
	parse := func(b []byte, _ bool) (err error) { got, err = parsePortReply(b); return err }
	for _, r := range []io.Reader{
		bytes.NewReader(reply), iotest.OneByteReader(bytes.NewReader(reply)), iotest.DataErrReader(bytes.NewReader(reply)),
	} {
		got = Node{}
		require.NoError(t, receive(r, maxReply, parse))
		assert.Equal(t, n, got)
	}
	for i := range reply {
		require.ErrorIs(t, receive(bytes.NewReader(reply[:i]), maxReply, parse), io.ErrUnexpectedEOF, "%d bytes", i)
	}
	broken := errors.New("broken")
	require.ErrorIs(t, receive(io.MultiReader(bytes.NewReader(reply[:3]), iotest.ErrReader(broken)), maxReply, parse), broken)

	endless := binary.BigEndian.AppendUint16([]byte{tagPort, 0, 0, 1, 77, 0, 0, 6, 0, 5}, 0xffff) // a name of 65,535 bytes
	err := receive(io.MultiReader(bytes.NewReader(endless), forever{}), maxReply, parse)
	require.ErrorIs(t, err, ErrProtocol)
	err = receive(forever{}, maxListing, whole(func([]byte) error { return nil }))
	require.ErrorIs(t, err, ErrProtocol)
}

type forever struct{}

func (forever) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// The fuzz targets ask of every decoder that it does not panic, and that what it accepts survives the way back.

func FuzzRequest(f *testing.F) {
	for _, r := range []request{
		{op: opAlive, node: Node{Name: "x", Port: 4711, Type: TypeNormal, HighestVersion: 6, LowestVersion: 5, Extra: []byte{1}}},
		{op: opPort, name: "x"},
		{op: opNames},
		{op: opStop, name: "é"},
	} {
		b, err := appendRequest(nil, r)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := splitRequest(b)
		if err != nil {
			return
		}
		r, err := parseRequest(body)
		if err != nil || checkName(r.node.Name) != nil && r.op == opAlive || len(r.node.Extra) > maxExtra {
			return
		}
		again, err := appendRequest(nil, r)
		require.NoError(t, err)
		got, err := parseRequest(again[2:])
		require.NoError(t, err)
		require.Equal(t, r, got)
	})
}

func FuzzAliveReply(f *testing.F) {
	f.Add(aliveReply(6, 77))
	f.Add(aliveReply(5, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if creation, err := parseAliveReply(b); err == nil && creation != 0 {
			version := uint16(5)
			if b[0] == tagAliveX {
				version = extendedVersion
			}
			require.True(t, bytes.HasPrefix(b, aliveReply(version, creation)))
		}
	})
}

func FuzzPortReply(f *testing.F) {
	f.Add(appendPortReply(nil, Node{Name: "x", Port: 4711, Extra: []byte{1}}))
	f.Add([]byte{tagPort, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parsePortReply(b); err == nil {
			require.True(t, bytes.HasPrefix(b, appendPortReply(nil, n)))
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add(append([]byte{0, 0, 17, 17}, "name x at port 4711\nname at port 1 at port 2\n"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := parseNames(b)
		if err != nil {
			return
		}
		again := bytes.Clone(b[:4])
		for _, n := range names {
			again = appendNamesLine(again, Node{Name: n.Name, Port: n.Port})
		}
		got, err := parseNames(again)
		require.NoError(t, err)
		require.Equal(t, names, got)
	})
}

func FuzzDump(f *testing.F) {
	f.Add(appendDumpLine([]byte{0, 0, 17, 17}, DumpEntry{"x", 4711, 5, true}))
	f.Add(appendDumpLine([]byte{0, 0, 17, 17}, DumpEntry{"x", 4711, -1, false}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseDump(b)
		if err != nil {
			return
		}
		again := bytes.Clone(b[:4])
		for _, d := range entries {
			again = appendDumpLine(again, d)
		}
		got, err := parseDump(again)
		require.NoError(t, err)
		require.Equal(t, entries, got)
	})
}
