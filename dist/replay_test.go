package dist_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/disttest"
)

// golden is the cookie of the recorded sessions; see node/conformance, which records them.
var golden = dist.NewCookie("golden")

// traces are sessions of ours with real nodes of each release.
func traces(t *testing.T) map[string]*disttest.Trace {
	t.Helper()
	files, err := filepath.Glob("disttest/testdata/*.trace")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	all := map[string]*disttest.Trace{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		trace, err := disttest.ParseTrace(string(text))
		require.NoError(t, err)
		assert.Equal(t, string(text), trace.Format(), "what the bytes mean has not changed")
		all[filepath.Base(f)] = trace
	}
	return all
}

// speaker reads who says a name or challenge message, and the challenge.
func speaker(t *testing.T, m disttest.Message) (id dist.Identity, challenge uint32) {
	t.Helper()
	b := m.Bytes[1:]
	id.Flags = dist.Flags(binary.BigEndian.Uint64(b))
	if b = b[8:]; m.Kind == "challenge" {
		challenge = binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	id.Creation, id.Name = binary.BigEndian.Uint32(b), string(b[6:])
	return id, challenge
}

// kinds finds the messages of a handshake.
func kinds(t *testing.T, messages []disttest.Message) map[string]disttest.Message {
	t.Helper()
	m := map[string]disttest.Message{}
	for _, msg := range messages {
		m[msg.Kind] = msg
	}
	require.Len(t, m, 5)
	return m
}

// machine is either side of the handshake.
type machine interface {
	Start(dst []byte) ([]byte, error)
	Receive(msg []byte) ([][]byte, error)
	Done() bool
}

// play feeds a machine what the other side said, and expects of it, byte for byte, what its own side said.
func play(t *testing.T, m machine, messages []disttest.Message, out bool) {
	t.Helper()
	first, err := m.Start(nil)
	require.NoError(t, err)
	var said [][]byte
	if first != nil {
		said = append(said, first)
	}
	for _, msg := range messages {
		if msg.Out == out {
			require.NotEmpty(t, said, "it says nothing where %s was said", msg.Kind)
			require.Equal(t, msg.Bytes, said[0], msg.Kind)
			said = said[1:]
			continue
		}
		require.Empty(t, said)
		said, err = m.Receive(msg.Bytes)
		require.NoError(t, err, msg.Kind)
	}
	require.Empty(t, said)
	require.True(t, m.Done())
}

// Our machines, with the challenges of then, say what we and the real node said, on either side.
func TestReplayHandshake(t *testing.T) {
	for name, trace := range traces(t) {
		t.Run(name, func(t *testing.T) {
			messages, _ := trace.Split()
			m := kinds(t, messages)
			local, _ := speaker(t, m["name"])
			remote, theirs := speaker(t, m["challenge"])
			ours := binary.BigEndian.Uint32(m["reply"].Bytes[1:])
			play(t, dist.NewInitiator(local, remote.Name, golden, ours, true), messages, true)
			play(t, dist.NewAcceptor(remote, golden, theirs, ok), messages, false)

			for i, msg := range messages { // and notice every flipped bit that means something
				if msg.Kind != "ack" && msg.Kind != "reply" {
					continue
				}
				for at := range msg.Bytes {
					bad := bytes.Clone(msg.Bytes)
					bad[at] ^= 1
					side := machine(dist.NewInitiator(local, remote.Name, golden, ours, true))
					if msg.Out {
						side = dist.NewAcceptor(remote, golden, theirs, ok)
					}
					_, err := side.Start(nil)
					require.NoError(t, err)
					for _, before := range messages[:i] {
						if before.Out == msg.Out {
							_, err = side.Receive(before.Bytes)
							require.NoError(t, err)
						}
					}
					_, err = side.Receive(bad)
					if msg.Out && at >= 1 && at < 5 {
						require.NoError(t, err, "their challenge is theirs to choose")
						continue
					}
					require.Error(t, err, "%s with byte %d wrong", msg.Kind, at)
					require.False(t, side.Done())
				}
			}
		})
	}
}

// A connection writes the messages that we sent then as it wrote them, and reads what the node sent.
func TestReplaySession(t *testing.T) {
	for name, trace := range traces(t) {
		t.Run(name, func(t *testing.T) {
			messages, frames := trace.Split()
			m := kinds(t, messages)
			local, _ := speaker(t, m["name"])
			remote, _ := speaker(t, m["challenge"])
			nc, p := disttest.Pipe(t)
			shaken := make(chan error, 1)
			go func() { shaken <- p.Accept(remote, golden) }()
			in := newInbox()
			c, err := dist.Dial(t.Context(), nc, dist.Config{Local: local, Peer: remote.Name, Cookie: golden, Receiver: in})
			require.NoError(t, err)
			require.NoError(t, <-shaken)
			defer c.Close()

			var whole, wire []byte // a message, and its frames, as far as they have been said
			for _, msg := range frames {
				if msg.Kind == "tick" {
					continue
				}
				wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(msg.Bytes))), msg.Bytes...)
				part, last := unframed(t, msg)
				if whole = append(whole, part...); !last {
					continue
				}
				if msg.Out {
					var ctl dist.Control
					payload, err := dist.ParseControl(whole, &ctl)
					require.NoError(t, err)
					if len(payload) == 0 {
						payload = nil
					}
					sent := make(chan error, 1)
					go func() { sent <- c.Send(t.Context(), &ctl, payload) }()
					require.True(t, bytes.Equal(wire, written(t, p, len(wire))), msg.Text())
					require.NoError(t, <-sent)
				} else {
					_, err := p.Write(wire)
					require.NoError(t, err)
					got := <-in.msgs
					again, err := dist.AppendControl(nil, &got.ctl)
					require.NoError(t, err)
					require.True(t, bytes.Equal(whole, append(again, got.payload...)), msg.Text())
				}
				whole, wire = nil, nil
			}
			require.Empty(t, wire)
			require.NoError(t, c.Err())
		})
	}
}

// unframed strips a frame of its header, and tells whether its message ends with it.
func unframed(t *testing.T, m disttest.Message) (part []byte, last bool) {
	t.Helper()
	switch m.Kind {
	case "message":
		return m.Bytes[3:], true
	case "first":
		return m.Bytes[19:], binary.BigEndian.Uint64(m.Bytes[10:]) == 1
	case "next":
		return m.Bytes[18:], binary.BigEndian.Uint64(m.Bytes[10:]) == 1
	}
	require.FailNow(t, "no frame", m.Kind)
	return nil, false
}

// written reads n bytes of frames, without ticks.
func written(t *testing.T, p *disttest.Peer, n int) (wire []byte) {
	t.Helper()
	for len(wire) < n {
		b, err := p.ReadFrame()
		require.NoError(t, err)
		if len(b) > 0 {
			wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(b))), b...)
		}
	}
	return wire
}
