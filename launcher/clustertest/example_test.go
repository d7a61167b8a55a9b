package clustertest_test

import (
	"testing"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/launcher"
	"github.com/beamctl/beamctl/launcher/clustertest"
)

// Two nodes of the project, asked from Go. The package's TestMain has called Init.
func ExampleStart() {
	var t *testing.T // the test's

	c := clustertest.Start(t, "../../examples/erlang-kv", func(s *launcher.Spec) { s.Nodes = s.Nodes[:2] })
	if _, err := c.Node.Call(t.Context(), c.Names[0], "kv", "put", etf.Atom("colour"), "red"); err != nil {
		t.Fatal(err)
	}
	var got struct{ Tag, Colour string } // {ok, <<"red">>}
	if err := c.Node.CallInto(t.Context(), c.Names[0], &got, "kv", "get", etf.Atom("colour")); err != nil {
		t.Fatal(err)
	}
	if got.Colour != "red" {
		t.Error(got)
	}
}
