package conformance

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// The node itself says what it is: a folder's name proves nothing.
var releaseCases = []Case{
	{"Debian suite", func(_ *testing.T, e *Env) { e.Note("%s", e.Suite) }},
	{"`otp_release`", otpRelease},
	{"ERTS", ertsVersion},
	{"Elixir", elixirVersion},
}

func otpRelease(t *testing.T, e *Env) {
	var got string
	p := e.Peer()
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &got, "erlang", "system_info", etf.Atom("otp_release")))
	require.Equal(t, strconv.Itoa(e.Major), got)
	e.Note("%s", got)
}

func ertsVersion(t *testing.T, e *Env) {
	var got string
	p := e.Peer()
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &got, "erlang", "system_info", etf.Atom("version")))
	e.Note("%s", got)
}

// elixir is the folder of the release's Elixir application.
func (e *Env) elixir() string {
	e.t.Helper()
	out, err := exec.CommandContext(e.t.Context(), e.Program("elixir"), "-e", "IO.write(:code.lib_dir(:elixir))").Output()
	require.NoError(e.t, err)
	return strings.TrimSpace(string(out))
}

func elixirVersion(t *testing.T, e *Env) {
	var got string
	p := e.Peer("-pa", e.elixir()+"/ebin")
	require.NoError(t, p.Node.CallInto(t.Context(), p.Name, &got, "Elixir.System", "version"))
	require.Regexp(t, `^1\.\d+\.\d+`, got)
	e.Note("%s", got)
}
