package doctor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
)

var cookieFaults = map[string]fault{
	"a cookie file that others may read": {
		make:  func(_ *testing.T, u *user) { u.write(".erlang.cookie", secret, 0o644) },
		wants: only("cookie_file", doctor.Fail), says: []string{"is open to others", "mode 0644", "chmod 400 "}, mends: "chmod 0600 ",
	},
	"a cookie file below XDG_CONFIG_HOME that others may read": {
		make: func(_ *testing.T, u *user) {
			u.Env["XDG_CONFIG_HOME"] = filepath.Join(u.home, "xdg")
			u.write("xdg/erlang/.erlang.cookie", secret, 0o440)
		},
		wants: only("cookie_file", doctor.Fail), says: []string{"xdg/erlang/.erlang.cookie is open to others", "mode 0440"}, mends: "chmod 0400 ",
	},
	"an empty cookie file": {
		make:  func(_ *testing.T, u *user) { u.write(".erlang.cookie", "\n", 0o400) },
		wants: map[string]doctor.Verdict{"cookie_file": doctor.Fail, "cookie_length": doctor.None, "cookies": doctor.None}, says: []string{"it is empty"},
	},
	"two lines in a cookie file": {
		make:  func(_ *testing.T, u *user) { u.write(".erlang.cookie", secret+"\n"+secret+"\n", 0o400) },
		wants: map[string]doctor.Verdict{"cookie_file": doctor.Fail, "cookie_length": doctor.None, "cookies": doctor.None}, says: []string{"not printable ASCII"},
	},
	"a directory for a cookie file": {
		make: func(t *testing.T, u *user) {
			require.NoError(t, os.Remove(filepath.Join(u.home, ".erlang.cookie")))
			require.NoError(t, os.Mkdir(filepath.Join(u.home, ".erlang.cookie"), 0o700))
		},
		wants: map[string]doctor.Verdict{"cookie_file": doctor.Fail, "cookie_length": doctor.None, "cookies": doctor.None}, says: []string{"is no regular file"},
	},
	"a short cookie": {
		make:  func(_ *testing.T, u *user) { u.write(".erlang.cookie", secret[:7], 0o400) },
		wants: only("cookie_length", doctor.Warn), says: []string{"is short", "7 characters"},
	},
	"a cookie that is no atom": {
		make: func(_ *testing.T, u *user) {
			long := ""
			for len(long) < 256 {
				long += secret
			}
			u.write(".erlang.cookie", long, 0o400)
		},
		wants: only("cookie_length", doctor.Fail), says: []string{"is too long", "at most 255"},
	},
	"RELEASE_COOKIE is another": {
		make:  func(_ *testing.T, u *user) { u.Env["RELEASE_COOKIE"] = secret + "2" },
		wants: only("cookies", doctor.Warn), says: []string{"differs from RELEASE_COOKIE"},
	},
	"a release has another": {
		make: func(_ *testing.T, u *user) {
			u.write("rel/releases/COOKIE", secret+"3", 0o644)
			u.Project.Releases = []string{filepath.Join(u.home, "rel")}
		},
		wants: only("cookies", doctor.Warn), says: []string{"rel/releases/COOKIE"},
	},
	"a cookie in ERL_FLAGS": {
		make:  func(_ *testing.T, u *user) { u.Env["ERL_FLAGS"] = "+S 1 -setcookie " + secret },
		wants: only("cookies", doctor.Warn), says: []string{"everybody on this machine can read the cookie", "ERL_FLAGS has -setcookie"},
	},
	"no cookie": {
		make:  func(t *testing.T, u *user) { require.NoError(t, os.Remove(filepath.Join(u.home, ".erlang.cookie"))) },
		wants: map[string]doctor.Verdict{"cookie_file": doctor.None, "cookie_length": doctor.None, "cookies": doctor.None},
	},
}

// What needs another user, namespaces or limits is made in the tests of the command.
var machineFaults = map[string]fault{
	"TMPDIR is not there": {
		make:  func(_ *testing.T, u *user) { u.Env["TMPDIR"] = filepath.Join(u.home, "no", "tmp") },
		wants: only("directories", doctor.Warn), says: []string{"TMPDIR names a directory that is not there"}, mends: "mkdir -p -m 700 ",
	},
	"HOME is not there": {
		make: func(_ *testing.T, u *user) { u.Env["HOME"] = filepath.Join(u.home, "no") },
		wants: map[string]doctor.Verdict{
			"directories": doctor.Warn, "cookie_file": doctor.None, "cookie_length": doctor.None, "cookies": doctor.None,
		},
		says: []string{"HOME names a directory that is not there"},
	},
	"HOME is not set, and Mix needs it": {
		make: func(_ *testing.T, u *user) {
			u.mix("")
			delete(u.Env, "HOME")
		},
		wants: map[string]doctor.Verdict{
			"directories": doctor.Fail, "cookie_file": doctor.None, "cookie_length": doctor.None, "cookies": doctor.None,
		},
		says: []string{"HOME is not set", "Mix does not start without"}, start: true,
	},
	"the sockets' directory can be written by others": {
		make:  func(t *testing.T, u *user) { u.openSockets(t, 0o777) },
		wants: only("directories", doctor.Fail), says: []string{"is not safe", "mode 0777", "who may write there", "chmod 700 "}, start: true, mends: "chmod 0700 ",
	},
	"the sockets' directory can be read by others": {
		make:  func(t *testing.T, u *user) { u.openSockets(t, 0o755) },
		wants: only("directories", doctor.Fail), says: []string{"mode 0755", "others may look into it, though not write", "chmod 700 "}, start: true, mends: "chmod 0700 ",
	},
	"the state cannot be written": {
		make:  func(_ *testing.T, u *user) { u.Project.State = filepath.Join(u.write("file", "", 0o600), "state") },
		wants: only("state", doctor.Fail), says: []string{"the cluster's state cannot be written"}, start: true,
	},
	"code from the future": {
		make: func(t *testing.T, u *user) {
			file := filepath.Join(u.Project.Build.Code[0], "kv.beam")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			at := time.Now().Add(time.Hour)
			require.NoError(t, os.Chtimes(file, at, at))
		},
		wants: only("clock", doctor.Warn), says: []string{"compiled code from the clock's future", "kv.beam"},
	},
}

// openSockets opens the directory of the control sockets to others.
func (u *user) openSockets(t *testing.T, mode os.FileMode) {
	dir := u.Clusters.Sockets.Path
	require.NoError(t, os.Chmod(dir, mode))
	u.Clusters.Sockets.Fault = func() error {
		fi, err := os.Stat(dir)
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			err = fmt.Errorf("it is open to others (mode %#o)", fi.Mode().Perm())
		}
		return err
	}
}
