package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRabbitMQ makes Debian's RabbitMQ a cluster, from the example's beamctl.yaml alone.
func TestRabbitMQ(t *testing.T) {
	w := newWorld(t, "rabbitmq")
	s := sample(t)
	st := w.started("rabbit")
	require.Len(t, st.Nodes, 3)
	secret := w.secret()
	w.well()
	knowsAll := func(name string) {
		eventually(t, name+" knows all of RabbitMQ's cluster", func() bool {
			return strings.Count(w.ok("rpc", name, "rabbit_nodes:all_running()"), "rabbit") == 3
		})
	}
	for _, name := range []string{"rabbit1", "rabbit2", "rabbit3"} {
		knowsAll(name)
	}
	for _, n := range w.record().Nodes {
		assertLoopbackOnly(t, n.Ports["amqp"])
		assert.GreaterOrEqual(t, n.Ports["amqp"], 5700)
	}

	require.NoError(t, syscall.Kill(st.Nodes[1].OSPid, syscall.SIGKILL))
	w.crashed(1)
	w.ok("start", "rabbit2")
	knowsAll("rabbit2") // it is back in the cluster
	assert.Equal(t, st.Nodes[1].Port, w.status().Nodes[1].Port, "with the port it had")

	w.stopped()
	assert.NotContains(t, s.seen(), secret)
	assert.Empty(t, w.epmds(), "an epmd was left")
}
