package dist_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

var sprintf = fmt.Sprintf

var ref = etf.Ref{Node: "us@127.0.0.1", Creation: 5, Len: 3, ID: [5]uint32{1, 2, 3}}

// controls has one of every kind that is sent.
var controls = []dist.Control{
	{Op: dist.OpLink, From: ourPid, To: theirPid},
	{Op: dist.OpSend, To: theirPid},
	{Op: dist.OpExit, From: ourPid, To: theirPid, Reason: etf.Atom("normal")},
	{Op: dist.OpRegSend, From: ourPid, To: etf.Atom("rex")},
	{Op: dist.OpGroupLeader, From: ourPid, To: theirPid},
	{Op: dist.OpExit2, From: ourPid, To: theirPid, Reason: etf.Tuple{etf.Atom("a"), int64(1)}},
	{Op: dist.OpMonitor, From: ourPid, To: etf.Atom("net_kernel"), Ref: ref},
	{Op: dist.OpDemonitor, From: ourPid, To: theirPid, Ref: ref},
	{Op: dist.OpMonitorExit, From: theirPid, To: ourPid, Ref: ref, Reason: etf.Atom("noproc")},
	{Op: dist.OpSendSender, From: ourPid, To: theirPid},
	{Op: dist.OpPayloadExit, From: ourPid, To: theirPid},
	{Op: dist.OpPayloadExit2, From: ourPid, To: theirPid},
	{Op: dist.OpPayloadMonitorExit, From: etf.Atom("name"), To: ourPid, Ref: ref},
	{
		Op: dist.OpSpawnRequest, Ref: ref, From: ourPid, GroupLeader: ourPid,
		MFA: dist.MFA{Module: "erpc", Function: "execute_call", Arity: 4}, Opts: etf.List{etf.Atom("monitor")},
	},
	{Op: dist.OpSpawnReply, Ref: ref, To: ourPid, Flags: 2, Result: theirPid},
	{Op: dist.OpAliasSend, From: ourPid, To: ref},
	{Op: dist.OpUnlinkID, ID: 1<<64 - 1, From: ourPid, To: theirPid},
	{Op: dist.OpUnlinkIDAck, ID: 7, From: ourPid, To: theirPid},
}

func TestControlRoundTrip(t *testing.T) {
	for _, want := range controls {
		b, err := dist.AppendControl(nil, &want)
		require.NoError(t, err, "%d", want.Op)
		payload := []byte(nil)
		if want.Op.HasPayload() {
			payload = []byte{97, 1}
		}
		var got dist.Control
		rest, err := dist.ParseControl(append(b, payload...), &got)
		require.NoError(t, err, "%d", want.Op)
		assert.Equal(t, want, got)
		assert.Len(t, rest, len(payload))
	}
}

// What is fatal on real nodes (op 4 since OTP 26, unknown ones always) cannot be sent.
func TestControlRefused(t *testing.T) {
	for _, op := range []dist.Op{0, 4, 5, 12, 37, 99} {
		_, err := dist.AppendControl(nil, &dist.Control{Op: op, From: ourPid, To: theirPid})
		require.Error(t, err, "%d", op)
	}
}

// A trace token is dropped.
func TestControlTraceToken(t *testing.T) {
	var got dist.Control
	b := encode(t, etf.Tuple{int64(13), theirPid, ourPid, etf.Atom("token"), etf.Atom("why")})
	_, err := dist.ParseControl(b, &got)
	require.NoError(t, err)
	assert.Equal(t, dist.Control{Op: dist.OpExit, From: theirPid, To: ourPid, Reason: etf.Atom("why")}, got)
}

func FuzzParseControl(f *testing.F) {
	for _, c := range controls {
		b, err := dist.AppendControl(nil, &c)
		require.NoError(f, err)
		f.Add(append(b, 97, 1))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c dist.Control
		if _, err := dist.ParseControl(b, &c); err != nil {
			return
		}
		if c.Op == dist.OpUnlink {
			return // read, never sent
		}
		again, err := dist.AppendControl(nil, &c)
		require.NoError(t, err)
		var c2 dist.Control
		if c.Op.HasPayload() {
			again = append(again, 97, 1)
		}
		_, err = dist.ParseControl(again, &c2)
		require.NoError(t, err)
		require.Equal(t, c, c2)
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("sok"), []byte("N"), []byte("a"), true)
	f.Add([]byte("snamed:\x00\x03a@b\x00\x00\x00\x01"), []byte("n"), []byte("c"), false)
	f.Fuzz(func(t *testing.T, a, b, c []byte, dynamic bool) {
		id := us
		if dynamic {
			id.Name = "127.0.0.1"
		}
		i := dist.NewInitiator(id, them.Name, cookie, 1, dynamic)
		_, err := i.Start(nil)
		require.NoError(t, err)
		acc := dist.NewAcceptor(them, cookie, 2, func(dist.Identity) dist.Admission {
			return dist.Admission{Status: dist.StatusOK, Name: "x@y", Creation: 1}
		})
		for _, msg := range [][]byte{a, b, c} {
			_, _ = i.Receive(msg)
			_, _ = acc.Receive(msg)
		}
		// Without the cookie nobody gets in.
		require.False(t, i.Done() || acc.Done())
	})
}
