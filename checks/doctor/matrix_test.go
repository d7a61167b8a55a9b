//go:build matrix

package doctor_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/node/nodetest"
)

var releasesFile = flag.String("releases", "", "what scripts/otp-releases.sh wrote")

// TestReleases: of every Elixir on every OTP it is known from files alone whether it runs, and that is true.
func TestReleases(t *testing.T) {
	require.NotEmpty(t, *releasesFile, "make test-matrix")
	type release struct{ otp, erl, elixir string }
	var all []release
	for _, r := range nodetest.Releases(t, *releasesFile) {
		one := release{otp: strconv.Itoa(r.Major), erl: r.Program("erl"), elixir: r.Program("elixir")}
		if own := filepath.Join(filepath.Dir(r.Bin), "root", "usr", "bin", "elixir"); exists(own) {
			one.elixir = own // the other is a wrapper, which insists on its own erl
		}
		all = append(all, one)
	}
	for _, otp := range all {
		for _, elixir := range all {
			t.Run("elixir of "+elixir.otp+" on "+otp.otp, func(t *testing.T) {
				u := newUser(t)
				u.path(map[string]string{"erl": otp.erl, "elixir": elixir.elixir, "mix": filepath.Join(filepath.Dir(elixir.elixir), "mix")})
				u.Env["PATH"] += ":/usr/bin:/bin" // for the shell scripts
				u.mix("")
				u.Project.Programs[0].Path = u.Env["PATH"]
				r := u.examine()
				found := result(t, r, "erl")
				assert.True(t, strings.HasPrefix(found.Saw, "OTP "+otp.otp+"."), found.Saw)
				assert.NotContains(t, found.Saw, "had to be run")

				cmd := exec.CommandContext(t.Context(), "elixir", "-e", "IO.puts 1")
				cmd.Path = filepath.Join(filepath.SplitList(u.Env["PATH"])[0], "elixir")
				cmd.Env = []string{"HOME=" + u.home, "PATH=" + u.Env["PATH"], "ERL_CRASH_DUMP=/dev/null"}
				out, err := cmd.CombinedOutput()
				res := result(t, r, "versions")
				assert.Equal(t, err == nil, res.Verdict != doctor.Fail, "%s\n%s", text(res), out)
			})
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
