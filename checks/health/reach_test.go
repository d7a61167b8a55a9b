package health_test

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
)

var reachFaults = []fault{
	{
		name: "node stopped",
		make: func(_ *testing.T, c *cluster) { c.nodes[1].Stop() },
		undo: func(_ *testing.T, c *cluster) { c.nodes[1].Continue() },
		mute: true,
		want: map[string]health.Status{"b *": blocked, "b ping": fail},
		saw:  map[string]string{"b ping": "does not answer", "b apps": "not asked: ping failed"},
	},
	{
		name: "cookie changed",
		make: erl(`true = rpc:call(B, erlang, set_cookie, [other])`),
		undo: erl(`true = rpc:call(B, erlang, set_cookie, [erlang:get_cookie()])`),
		want: map[string]health.Status{"b *": blocked, "b cookie": fail},
		saw:  map[string]string{"b cookie": "wrong cookie"},
	},
	{
		name: "erpc gone",
		// Another module of that name takes its place, one that can do nothing.
		make: erl(`{ok, M, Beam} = compile:forms([{attribute, 1, module, erpc}]),
			true = rpc:call(B, code, unstick_mod, [M]), {module, M} = rpc:call(B, code, load_binary, [M, "erpc.beam", Beam])`),
		want: map[string]health.Status{"b *": blocked, "b rpc": fail, "b ping": fine},
		saw:  map[string]string{"b rpc": "undef", "b apps": "not asked: rpc failed"},
	},
	{
		name: "cookie of a pair",
		make: erl(`true = rpc:call(B, erlang, set_cookie, [C, other])`),
		undo: erl(`true = rpc:call(B, erlang, set_cookie, [C, erlang:get_cookie()])`),
		want: map[string]health.Status{"b cookie": fail},
		saw:  map[string]string{"b cookie": "another cookie for c@127.0.0.1"},
	},
	{
		name: "ticks differ",
		make: erl(`change_initiated = rpc:call(B, net_kernel, set_net_ticktime, [30, 0])`),
		undo: erl(`change_initiated = rpc:call(B, net_kernel, set_net_ticktime, [60, 0])`),
		want: map[string]health.Status{"b ticks": warn},
		saw:  map[string]string{"b ticks": "30 s"},
	},
	{
		name: "slow to answer",
		make: func(t *testing.T, c *cluster) {
			t.Helper()
			c.targets[1].Addr = farAway(t, c, "b", 60*time.Millisecond)
		},
		undo: func(_ *testing.T, c *cluster) { c.targets[1].Addr = "" },
		want: map[string]health.Status{"b ping": warn},
	},
}

// farAway returns an address at which a node is reached over links with a delay.
func farAway(t *testing.T, c *cluster, alive string, delay time.Duration) string {
	t.Helper()
	there, err := c.EPMD.Client().Lookup(t.Context(), alive)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	require.NoError(t, err)
	var serving sync.WaitGroup
	var mu sync.Mutex
	var ends []net.Conn
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, c := range ends {
			_ = c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			away, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(there.Port)))) //nolint:noctx // loopback
			if err != nil {
				_ = near.Close()
				return
			}
			mu.Lock()
			ends = append(ends, near, away)
			mu.Unlock()
			l := &link{delay: delay}
			serving.Go(func() { l.carry(away, near) })
			serving.Go(func() { l.carry(near, away) })
		}
	})
	return listener.Addr().String()
}
