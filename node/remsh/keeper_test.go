package remsh

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node/nodetest"
)

var update = flag.Bool("update", false, "write keeper.term")

func TestKeeperForms(t *testing.T) {
	t.Parallel()
	forms, err := keeperForms()
	require.NoError(t, err)
	nodetest.Forms(t, "keeper", map[string]etf.Atom{"Us": usName, "What": whatName}, forms, *update)
}
