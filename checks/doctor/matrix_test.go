//go:build matrix

package doctor_test

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
)

var releasesFile = flag.String("releases", "", "what scripts/otp-releases.sh wrote")

// TestReleases: of every Elixir on every OTP it is known from files alone whether it runs, and that is true.
func TestReleases(t *testing.T) {
	f, err := os.Open(*releasesFile)
	require.NoError(t, err)
	defer f.Close()
	type release struct{ otp, erl, elixir string }
	var all []release
	for lines := bufio.NewScanner(f); lines.Scan(); {
		col := strings.Fields(lines.Text()) // suite, release, directory
		require.Len(t, col, 3)
		r := release{otp: col[1], erl: filepath.Join(col[2], "erl"), elixir: filepath.Join(col[2], "elixir")}
		if own := filepath.Join(filepath.Dir(col[2]), "root", "usr", "bin", "elixir"); exists(own) {
			r.elixir = own // the other is a wrapper, which insists on its own erl
		}
		all = append(all, r)
	}
	require.Len(t, all, 4)
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
