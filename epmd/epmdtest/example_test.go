package epmdtest_test

import (
	"os/exec"
	"testing"

	"github.com/beamctl/beamctl/epmd/epmdtest"
)

// A test in which a real node registers with an EPMD of the test's own.
func ExampleStart() {
	var t *testing.T // the test's

	e := epmdtest.Start(t)
	cmd := exec.CommandContext(t.Context(), "erl", "-name", "shop@127.0.0.1", "-start_epmd", "false", "-noinput", "-eval", "halt().")
	cmd.Env = append(cmd.Environ(), e.Env())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names, err := e.Client().Names(t.Context())
	t.Log(names, err) // it has gone again
}
