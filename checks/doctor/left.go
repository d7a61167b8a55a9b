package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

var leftChecks = []*Check{
	{
		Name: "clusters", Group: Left,
		What:  "no cluster has died and left processes or files",
		Looks: "the index of this user's clusters and the project's state directory; the environment of every process of this user's, for a cluster's marker",
		Fails: "warns when the supervisor of a cluster is gone and something of it is left. What was kept on purpose (stop --keep, a failed start) is none",
		Fix:   "beamctl clean",
		Mends: "clears it away, as `beamctl clean` does, but leaves what was kept on purpose",
		run:   checkClusters,
	},
}

func checkClusters(_ context.Context, x *exam) {
	c := &x.Clusters
	if len(c.Running) > 0 {
		x.see("running: %s", list(c.Running))
	}
	if len(c.Kept) > 0 {
		x.see("kept: %s", list(c.Kept))
	}
	if len(c.Dead) == 0 {
		if len(x.saw) == 0 {
			x.see("nothing is left of any")
		}
		return
	}
	x.problem(Warn, checks.Finding{
		What: "a cluster that died has left something", Saw: strings.Join(c.Dead, "\n"),
		Cause: "its supervisor or guardian was killed, or the machine went down", Fix: "beamctl clean",
	}, x.clean())
}

// clean clears away what dead clusters left; nil if that cannot be done from here.
func (x *exam) clean() mend {
	c := &x.Clusters
	if c.Clean == nil {
		return nil
	}
	return func(ctx context.Context) (string, error) {
		done, err := c.Clean(ctx)
		if err != nil {
			return "", errors.Join(err, errors.New("done before: "+strings.Join(done, ", ")))
		}
		c.Dead = nil
		return strings.Join(done, "\n"), nil
	}
}
