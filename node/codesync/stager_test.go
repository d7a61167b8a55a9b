package codesync

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var update = flag.Bool("update", false, "write stager.term")

func TestStagerForms(t *testing.T) {
	t.Parallel()
	forms, err := stagerForms()
	require.NoError(t, err)
	nodetest.Forms(t, "stager", map[string]etf.Atom{"Us": usName}, forms, *update)
}
