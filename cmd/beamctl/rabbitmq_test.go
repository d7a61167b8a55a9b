package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/launcher"
)

// TestRabbitMQ makes Debian's RabbitMQ a cluster, from the example's beamctl.yaml alone.
func TestRabbitMQ(t *testing.T) {
	w := newWorld(t, "rabbitmq")
	before := epmds()
	s := sample(t)
	st := w.started("rabbit")
	require.Len(t, st.Nodes, 3)
	secret := w.secret()
	w.ok("health")
	for _, name := range []string{"rabbit1", "rabbit2", "rabbit3"} {
		assert.Equal(t, 3, strings.Count(w.ok("rpc", name, "rabbit_nodes:all_running()"), "rabbit"), "%s knows all of RabbitMQ's cluster", name)
	}
	for _, n := range w.record().Nodes {
		assertLoopbackOnly(t, n.Ports["amqp"])
		assert.GreaterOrEqual(t, n.Ports["amqp"], 5700)
	}

	require.NoError(t, syscall.Kill(st.Nodes[1].OSPid, syscall.SIGKILL))
	eventually(t, "the crash is seen", func() bool { return w.status().Nodes[1].State == launcher.NodeCrashed })
	w.ok("start", "rabbit2")
	assert.Equal(t, 3, strings.Count(w.ok("rpc", "rabbit2", "rabbit_nodes:all_running()"), "rabbit"), "it is back in the cluster")
	assert.Equal(t, st.Nodes[1].Port, w.status().Nodes[1].Port, "with the port it had")

	w.stopped()
	assert.NotContains(t, s.seen(), secret)
	assert.Subset(t, before, epmds(), "an epmd was left")
}

// epmds returns the epmd daemons that run.
func epmds() []int {
	return processes(func(pid string) bool {
		comm, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		return err == nil && strings.TrimSpace(string(comm)) == "epmd"
	})
}
