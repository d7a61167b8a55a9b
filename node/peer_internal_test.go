package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
)

// A node that connected to us is forgotten when it goes, whoever ends the connection: peers under ever new names leave nothing behind.
func TestGuestsAreForgotten(t *testing.T) {
	cookie := dist.NewCookie("guests")
	n, err := Start(Config{Name: "go@127.0.0.1", Cookie: cookie})
	require.NoError(t, err)
	defer n.Close()
	addr, err := n.Listen(t.Context(), ListenConfig{Unregistered: true})
	require.NoError(t, err)
	known := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.peers)
	}
	for _, end := range []func(x *Node){
		func(*Node) { n.Disconnect("x@127.0.0.1") },
		func(x *Node) { x.Disconnect("go@127.0.0.1") },
	} {
		x, err := Start(Config{Name: "x@127.0.0.1", Cookie: cookie})
		require.NoError(t, err)
		require.NoError(t, x.AddPeer(Peer{Name: "go@127.0.0.1", Addr: addr.String()}))
		require.NoError(t, x.Ping(t.Context(), "go@127.0.0.1"))
		require.Equal(t, 1, known())
		end(x)
		require.Eventually(t, func() bool { return known() == 0 }, time.Minute, time.Millisecond)
		require.NoError(t, x.Close())
	}
}
