package nodetest_test

import (
	"testing"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

// A test with a real Erlang node, which is killed while a call waits.
func ExampleNew() {
	var t *testing.T // the test's

	c := nodetest.New(t)
	erl := c.Erl("shop")
	n := c.Node(erl)
	go erl.Kill()
	_, err := n.Call(t.Context(), erl.Name, "timer", "sleep", etf.Atom("infinity"))
	if err == nil {
		t.Error("the node is gone")
	}
}
