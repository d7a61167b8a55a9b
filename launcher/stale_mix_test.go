package launcher

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/codesync"
)

// TestMixBuildOfTheSameSecond changes what a Mix project is compiled of in the second of that, and leaves its size as it was: Mix would see
// nothing of it.
func TestMixBuildOfTheSameSecond(t *testing.T) {
	dir := realTemp(t)
	write(t, filepath.Join(dir, "mix.exs"), "defmodule P.MixProject do\n  use Mix.Project\n  def project, do: [app: :p, version: \"1.0.0\"]\nend\n")
	write(t, filepath.Join(dir, "lib/a.ex"), "defmodule A do\n  def v, do: 1\nend\n")
	write(t, filepath.Join(dir, "lib/t.ex"), "defmodule T do\n  @external_resource \"lib/t.eex\"\n  def t, do: unquote(File.read!(\"lib/t.eex\"))\nend\n")
	write(t, filepath.Join(dir, "lib/t.eex"), "one")
	write(t, filepath.Join(dir, "src/b.erl"), "-module(b).\n-export([v/0]).\nv() -> 1.\n")
	write(t, filepath.Join(dir, "src/g.yrl"), "Nonterminals a.\nTerminals b.\nRootsymbol a.\na -> b : 1.\n")
	s := &Spec{
		Dir: dir, Launch: Launch{Runtime: "mix", Build: []string{"mix", "compile"}, Env: map[string]string{"MIX_ENV": "test"}},
		Nodes: []NodeSpec{{Name: "a@127.0.0.1"}},
	}
	var built time.Time
	build := func() {
		t.Helper()
		began := time.Now()
		var said bytes.Buffer
		require.NoError(t, s.Compile(t.Context(), &said), "%s", &said)
		built = began
	}
	stale := func() (sources []string) {
		t.Helper()
		all, err := s.Stale(built)
		require.NoError(t, err)
		for _, one := range all {
			sources = append(sources, one.Source)
		}
		return sources
	}
	made := filepath.Join(dir, "_build/test/lib/p")
	sum := func(module string) codesync.Sum {
		t.Helper()
		b, err := codesync.Read(filepath.Join(made, "ebin", module+".beam"))
		require.NoError(t, err)
		return b.Sum
	}
	// change writes a source in the very second that what was made of it has.
	change := func(source, text string, made ...string) {
		t.Helper()
		for {
			second := time.Now().Truncate(time.Second)
			for _, path := range made {
				require.NoError(t, os.Chtimes(path, second, second))
			}
			write(t, filepath.Join(dir, source), text)
			if st, err := os.Stat(filepath.Join(dir, source)); err == nil && st.ModTime().Truncate(time.Second).Equal(second) {
				return
			}
		}
	}
	build()
	assert.Empty(t, stale())

	before := []codesync.Sum{sum("Elixir.A"), sum("Elixir.T"), sum("b")}
	manifest := filepath.Join(made, ".mix/compile.elixir")
	change("lib/a.ex", "defmodule A do\n  def v, do: 2\nend\n", manifest, filepath.Join(made, "ebin/Elixir.A.beam"))
	change("lib/t.eex", "two", manifest)
	change("src/b.erl", "-module(b).\n-export([v/0]).\nv() -> 2.\n", filepath.Join(made, "ebin/b.beam"))
	assert.Equal(t, []string{"lib/a.ex", "lib/t.eex", "src/b.erl"}, stale())
	build()
	assert.Empty(t, stale())
	for i, module := range []string{"Elixir.A", "Elixir.T", "b"} {
		assert.NotEqual(t, before[i], sum(module), module)
	}

	// A build that fails leaves nothing of what it was to write, and the .app file that lists it.
	broken := filepath.Join(dir, "lib/a.ex")
	whole := readFile(broken)
	write(t, broken, whole+"def x do\n")
	var said bytes.Buffer
	require.ErrorIs(t, s.Compile(t.Context(), &said), ErrBuild)
	require.NoFileExists(t, filepath.Join(made, "ebin/Elixir.A.beam"))
	all, err := s.Stale(built)
	require.NoError(t, err)
	assert.Contains(t, staleFinding(all, "").Error(), "_build/test/lib/p/ebin/p.app lists module Elixir.A, which is not there")
	write(t, broken, whole)
	build()
	assert.Empty(t, stale())
	for _, module := range []string{"Elixir.A", "Elixir.T", "b", "g"} { // nor is any there if the project has one module only
		require.NoError(t, os.Remove(filepath.Join(made, "ebin", module+beamSuffix)))
	}
	assert.Equal(t, slices.Repeat([]string{"_build/test/lib/p/ebin/p.app"}, 4), stale())
	require.NoError(t, os.RemoveAll(made))
	build()

	// A grammar is made into a source first. Who builds by hand is not told of what is in it already.
	later := time.Now().Add(2 * time.Second)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "src/g.yrl"), later, later))
	assert.Equal(t, []string{"src/g.yrl"}, stale())
	require.NoError(t, os.Chtimes(filepath.Join(dir, "src/g.erl"), later, later))
	later = later.Add(time.Second)
	require.NoError(t, os.Chtimes(filepath.Join(made, "ebin/g.beam"), later, later))
	assert.Empty(t, stale())
}
