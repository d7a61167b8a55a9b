package doctor_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/doctor"
)

// elixir makes the files of an Elixir installation that tell its version and what has compiled it, and returns its programs.
func (u *user) elixir(version, compiler string) map[string]string {
	u.t.Helper()
	root := u.t.TempDir()
	for name, what := range map[string]string{
		"bin/elixir": "#!/bin/sh\nexit 1\n", "bin/mix": "#!/bin/sh\nexit 1\n",
		"lib/elixir/ebin/elixir.app":         "{application,elixir,\n  [{description,\"elixir\"},\n   {vsn,\"" + version + "\"}]}.\n",
		"lib/elixir/ebin/Elixir.System.beam": beam(u.t, compiler),
	} {
		path := filepath.Join(root, name)
		require.NoError(u.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(u.t, os.WriteFile(path, []byte(what), 0o755)) //nolint:gosec // programs
	}
	return map[string]string{"elixir": root + "/bin/elixir", "mix": root + "/bin/mix"}
}

// mix makes the project a Mix project.
func (u *user) mix(mixExs string) {
	u.Project.Programs[0].Name = "mix"
	require.NoError(u.t, os.WriteFile(filepath.Join(u.Project.Dir, "mix.exs"), []byte(mixExs), 0o600))
}

var toolFaults = map[string]fault{
	"no erl": {
		make: func(_ *testing.T, u *user) { u.path(nil) },
		wants: map[string]doctor.Verdict{
			"programs": doctor.Fail, "erl": doctor.None, "elixir": doctor.None, "rebar3": doctor.None, "versions": doctor.None,
		},
		says: []string{"erl is not on PATH", "apt-get install erlang"}, start: true,
	},
	"mix without erl": {
		make: func(t *testing.T, u *user) {
			u.path(map[string]string{"mix": which(t, "mix"), "elixir": which(t, "elixir")})
			u.mix("")
		},
		wants: map[string]doctor.Verdict{"programs": doctor.Fail, "erl": doctor.None, "rebar3": doctor.None, "versions": doctor.None},
		says:  []string{"erl is not on PATH", "mix runs it"}, start: true,
	},
	"a build program that nobody knows": {
		make: func(_ *testing.T, u *user) {
			u.Project.Programs = append(u.Project.Programs, doctor.Program{Name: "mx", Path: os.Getenv("PATH"), Build: "mx compile"})
		},
		wants: only("programs", doctor.Fail),
		says:  []string{"mx is not on PATH", "the project is built with it: `build` is mx compile", "install it, or put its directory on PATH, or say what builds it: `build` in beamctl.yaml"}, start: true,
	},
	"an OTP that is too old": {
		make: func(t *testing.T, u *user) {
			root := t.TempDir()
			require.NoError(t, os.MkdirAll(root+"/releases/22", 0o755))
			require.NoError(t, os.MkdirAll(root+"/bin", 0o755))
			require.NoError(t, os.WriteFile(root+"/releases/22/OTP_VERSION", []byte("22.3.4**\n"), 0o600))
			require.NoError(t, os.WriteFile(root+"/bin/erl", []byte("#!/bin/sh\nexit 1\n"), 0o755)) //nolint:gosec // a program
			u.path(map[string]string{"erl": root + "/bin/erl"})
		},
		wants: map[string]doctor.Verdict{"erl": doctor.Fail, "elixir": doctor.None, "rebar3": doctor.None}, says: []string{"OTP 22.3.4 is too old"}, start: true,
	},
	"a shim that leads nowhere": {
		make: func(_ *testing.T, u *user) {
			u.path(map[string]string{"erl": "#!/bin/sh\necho 'No version is set for command erl' >&2\nexit 126\n"})
		},
		wants: map[string]doctor.Verdict{"erl": doctor.Warn, "elixir": doctor.None, "rebar3": doctor.None, "versions": doctor.None},
		says:  []string{"its installation cannot be made out", "exit status 126"},
	},
	"elixir without mix": {
		make: func(t *testing.T, u *user) {
			u.path(map[string]string{"erl": which(t, "erl"), "elixir": which(t, "elixir")})
		},
		wants: map[string]doctor.Verdict{"elixir": doctor.Warn, "rebar3": doctor.None}, says: []string{"elixir is on PATH, and mix is not"},
	},
	"mix of another installation": {
		make: func(t *testing.T, u *user) {
			u.path(map[string]string{"erl": which(t, "erl"), "elixir": which(t, "elixir"), "mix": u.elixir("1.13.4", "8.0")["mix"]})
		},
		wants: map[string]doctor.Verdict{"elixir": doctor.Warn, "rebar3": doctor.None}, says: []string{"of two installations", "mix: 1.13.4 in "},
	},
	"a rebar3 that is none": {
		make: func(t *testing.T, u *user) {
			u.path(map[string]string{"erl": which(t, "erl"), "rebar3": "#!/bin/sh\nexit 1\n"})
		},
		wants: map[string]doctor.Verdict{"rebar3": doctor.Warn, "elixir": doctor.None}, says: []string{"rebar3 is there, but"},
	},
	"Elixir compiled by a later OTP": {
		make: func(t *testing.T, u *user) {
			programs := u.elixir("1.14.5", "99.0")
			programs["erl"] = which(t, "erl")
			u.path(programs)
			u.mix("")
		},
		wants: map[string]doctor.Verdict{"versions": doctor.Fail, "rebar3": doctor.None}, says: []string{"Elixir 1.14.5 does not run on OTP", "compiled by OTP 118"}, start: true,
	},
	"Elixir compiled by a later OTP, which nothing uses": {
		make: func(t *testing.T, u *user) {
			programs := u.elixir("1.14.5", "99.0")
			programs["erl"] = which(t, "erl")
			u.path(programs)
		},
		wants: map[string]doctor.Verdict{"versions": doctor.Warn, "rebar3": doctor.None}, says: []string{"does not run on OTP"},
	},
	"Elixir compiled by an OTP that is too old": {
		make: func(t *testing.T, u *user) {
			programs := u.elixir("1.9.4", "7.2")
			programs["erl"] = which(t, "erl")
			u.path(programs)
			u.mix("")
		},
		wants: map[string]doctor.Verdict{"versions": doctor.Fail, "rebar3": doctor.None}, says: []string{"Elixir 1.9.4 does not run on OTP", "compiled by OTP 21", "three releases older"}, start: true,
	},
	"Elixir too new": {
		make: func(t *testing.T, u *user) {
			programs := u.elixir("1.20.1", "8.0")
			programs["erl"] = which(t, "erl")
			u.path(programs)
			u.mix("")
		},
		wants: map[string]doctor.Verdict{"versions": doctor.Fail, "rebar3": doctor.None}, says: []string{"Elixir 1.20.1 is too new for OTP", "made for OTP 27 to 29"}, start: true,
	},
	"OTP too new": {
		make: func(t *testing.T, u *user) {
			programs := u.elixir("1.10.2", "7.4")
			programs["erl"] = which(t, "erl")
			u.path(programs)
			u.mix("")
		},
		wants: map[string]doctor.Verdict{"versions": doctor.Warn, "rebar3": doctor.None}, says: []string{"Elixir 1.10.2 was not made for OTP", "made for OTP 21 to 22"},
	},
	"a project that wants another Elixir": {
		make:  func(_ *testing.T, u *user) { u.mix("  def project, do: [app: :a, elixir: \"~> 7.1\"]\n") },
		wants: only("versions", doctor.Fail), says: []string{"the project wants another Elixir", `"~> 7.1"`}, start: true,
	},
}

// TestShim: a program that only running it tells of is run, but not before a start.
func TestShim(t *testing.T) {
	u := newUser(t)
	u.path(map[string]string{"erl": "#!/bin/sh\nPATH=" + filepath.Dir(which(t, "erl")) + ":/usr/bin:/bin exec erl \"$@\"\n"})
	begin := time.Now()
	require.NoError(t, doctor.Preflight(t.Context(), u.Subject))
	t.Log("preflight took", time.Since(begin))
	res := result(t, u.examine(), "erl")
	for end := time.Now().Add(time.Minute); res.Verdict != doctor.OK && time.Now().Before(end); { // a busy machine may not boot a VM within a check's time
		res = result(t, u.examine(), "erl")
	}
	assert.Equal(t, doctor.OK, res.Verdict, text(res))
	assert.Contains(t, res.Saw, "had to be run")

	wrapped := newUser(t)
	wrapped.path(map[string]string{"erl": "#!/bin/sh\nexec \"" + which(t, "erl") + "\" \"$@\"\n"})
	res = result(t, wrapped.examine(), "erl")
	assert.Equal(t, doctor.OK, res.Verdict, text(res))
	assert.NotContains(t, res.Saw, "had to be run", "a script that says what it runs is followed")
}
