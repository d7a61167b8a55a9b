package launcher

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node/codesync"
)

// realTemp is a temporary directory without symbolic links in its path.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return dir
}

func TestCodeOfEachRuntime(t *testing.T) {
	umbrella := "def project, do: [apps_path: \"apps\"]\n"
	app := func(name string) string { return "def project, do: [app: :" + name + "]\n" }
	for name, c := range map[string]struct {
		files  []string
		mixExs string
		rel    string // of releases/1/x.rel
		launch Launch
		dirs   []string
		beams  map[string]string // those that are there twice
	}{
		"erl": {
			files: []string{"ebin/m.beam", "ebin/x.app", "deps/d/ebin/m.beam", "deps/d/ebin/d.beam"}, launch: Launch{Runtime: "erl", Ebin: ebinDirs},
			dirs: []string{"deps/d/ebin", "ebin"}, beams: map[string]string{"m": "deps/d/ebin/m.beam", "d": "deps/d/ebin/d.beam"},
		},
		"rebar3": {
			files: []string{"_build/default/lib/x/ebin/m.beam", "_build/test/lib/x/ebin/m.beam"}, launch: Launch{Runtime: "rebar3"},
			dirs: []string{"_build/default/lib/x/ebin"}, beams: map[string]string{"m": "_build/default/lib/x/ebin/m.beam"},
		},
		"mix": {
			mixExs: app("x"), launch: Launch{Runtime: "mix"},
			files: []string{"_build/test/lib/x/ebin/Elixir.P.beam", "_build/test/lib/x/consolidated/Elixir.P.beam", "_build/test/lib/d/ebin/d.beam", "_build/dev/lib/x/ebin/old.beam"},
			dirs:  []string{"_build/test/lib/x/consolidated", "_build/test/lib/d/ebin", "_build/test/lib/x/ebin"},
			beams: map[string]string{"Elixir.P": "_build/test/lib/x/consolidated/Elixir.P.beam", "d": "_build/test/lib/d/ebin/d.beam"},
		},
		"mix with a target": {
			mixExs: app("x"), launch: Launch{Runtime: "mix", Env: map[string]string{"MIX_ENV": "prod", "MIX_TARGET": "rpi"}},
			files: []string{"_build/rpi_prod/lib/x/ebin/m.beam"},
			dirs:  []string{"_build/rpi_prod/lib/x/consolidated", "_build/rpi_prod/lib/x/ebin"},
		},
		"umbrella": {
			mixExs: umbrella, launch: Launch{Runtime: "mix"},
			files: []string{"_build/test/lib/x/ebin/Elixir.P.beam", "_build/test/consolidated/Elixir.P.beam", "_build/test/lib/x/consolidated/Elixir.P.beam"},
			dirs:  []string{"_build/test/consolidated", "_build/test/lib/x/ebin"},
			beams: map[string]string{"Elixir.P": "_build/test/consolidated/Elixir.P.beam"},
		},
		"release": {
			launch: Launch{Runtime: "release"}, rel: `%% coding: utf-8
{release,{"x","1"},{erts,"13.1.5"},[{kernel,"8.5",permanent},{x,"1.1"},{y,"2",load,[x]},{'../z',"1"}]}.`,
			files: []string{"lib/x-1.1/ebin/m.beam", "lib/x-1.0/ebin/m.beam", "releases/1/consolidated/Elixir.P.beam", "lib/y-2/ebin/Elixir.P.beam"},
			dirs:  []string{"releases/1/consolidated", "lib/kernel-8.5/ebin", "lib/x-1.1/ebin", "lib/y-2/ebin"},
			beams: map[string]string{"m": "lib/x-1.1/ebin/m.beam", "Elixir.P": "releases/1/consolidated/Elixir.P.beam"},
		},
		"command": {launch: Launch{Runtime: "command", Command: []string{"x"}}, files: []string{"ebin/m.beam"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(realTemp(t), "odd [name]*")
			for _, f := range c.files {
				write(t, filepath.Join(dir, f), "")
			}
			if c.mixExs != "" {
				write(t, filepath.Join(dir, "mix.exs"), c.mixExs)
			}
			if c.rel != "" {
				c.launch.Release = dir
				write(t, filepath.Join(dir, "releases/start_erl.data"), "13.1.5 1")
				write(t, filepath.Join(dir, "releases/1/x.rel"), c.rel)
			}
			abs := func(names []string) (out []string) {
				for _, n := range names {
					out = append(out, filepath.Join(dir, n))
				}
				return out
			}
			s := Spec{Dir: dir, Launch: c.launch, Nodes: []NodeSpec{{Name: "a@127.0.0.1"}, {Name: "b@127.0.0.1"}}}
			s.Pin(nil)
			codes, err := s.Code()
			require.NoError(t, err)
			code := codes["a@127.0.0.1"]
			assert.Same(t, code, codes["b@127.0.0.1"])
			assert.Equal(t, abs(c.dirs), code.Dirs)
			for m, path := range c.beams {
				assert.Equal(t, filepath.Join(dir, path), code.Beams[m])
			}
		})
	}
}

// The shell from which one starts may have another MIX_ENV than that from which one looks.
func TestCodeIsWhereItWasStartedFrom(t *testing.T) {
	dir := realTemp(t)
	write(t, filepath.Join(dir, "mix.exs"), "app: :x")
	for _, env := range []string{"dev", "prod", "test"} {
		write(t, filepath.Join(dir, "_build", env, "lib/x/ebin/m.beam"), "")
	}
	for started, want := range map[string]string{"prod": "prod", "": "test"} {
		s := Spec{Dir: dir, Launch: Launch{Runtime: "mix"}, Nodes: []NodeSpec{{Name: "a@127.0.0.1"}}}
		s.Pin([]string{"MIX_ENV=" + started})
		t.Setenv("MIX_ENV", "dev")
		codes, err := s.Code()
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "_build", want, "lib/x/ebin/m.beam"), codes["a@127.0.0.1"].Beams["m"])
	}
}

func TestCodeAt(t *testing.T) {
	dir := realTemp(t)
	for _, f := range []string{"lib/a/ebin/Elixir.P.beam", "lib/a/consolidated/Elixir.P.beam", "lib/a/ebin/a.app", "lib/b/ebin/b.beam", "one/c.beam", "one/note.txt"} {
		write(t, filepath.Join(dir, f), "")
	}
	c, err := CodeAt([]string{filepath.Join(dir, "lib"), filepath.Join(dir, "one/c.beam")})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"Elixir.P": filepath.Join(dir, "lib/a/consolidated/Elixir.P.beam"), "b": filepath.Join(dir, "lib/b/ebin/b.beam"), "c": filepath.Join(dir, "one/c.beam"),
	}, c.Beams)
	assert.Equal(t, []string{filepath.Join(dir, "lib/a/ebin/a.app")}, c.Apps)
	whole := []string{filepath.Join(dir, "lib/a/consolidated"), filepath.Join(dir, "lib/a/ebin"), filepath.Join(dir, "lib/b/ebin")}
	assert.Equal(t, whole, c.Dirs, "of the folder of a file nothing else is said")
	assert.Equal(t, append(whole, filepath.Join(dir, "one")), c.folders())

	write(t, filepath.Join(dir, "two/c.beam"), "")
	_, err = CodeAt([]string{dir})
	require.ErrorContains(t, err, "two files are module c")
	_, err = CodeAt([]string{filepath.Join(dir, "one/note.txt")})
	require.ErrorIs(t, err, ErrNoCode)
	_, err = CodeAt([]string{filepath.Join(dir, "none")})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A pipe that nobody writes to is no application's file, and not waited for.
func TestAppFileIsAFile(t *testing.T) {
	pipe := filepath.Join(realTemp(t), "x.app")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	done := make(chan error, 1)
	go func() {
		_, err := readAppFile(pipe)
		done <- err
	}()
	select {
	case err := <-done:
		require.ErrorContains(t, err, "no application's file")
	case <-time.After(time.Minute):
		require.FailNow(t, "it waits for ever")
	}
}

// TestStale compiles a project and then changes it, one thing after the other.
func TestStale(t *testing.T) {
	dir := realTemp(t)
	write(t, filepath.Join(dir, "include/h.hrl"), "-include(\"deep.hrl\").\n")
	write(t, filepath.Join(dir, "src/deep.hrl"), "-define(X, 1).\n")
	write(t, filepath.Join(dir, "src/a.erl"), "-module(a).\n-include(\"h.hrl\").\n-export([x/0]).\nx() -> ?X.\n")
	write(t, filepath.Join(dir, "src/b.erl"), "-module(b).\n")
	write(t, filepath.Join(dir, "deps/d/src/d.erl"), "-module(d).\n")
	for _, d := range []string{"ebin", "deps/d/ebin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	now := time.Now()
	set := func(name string, age time.Duration) {
		t.Helper()
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), now.Add(-age), now.Add(-age)))
	}
	for src, ebin := range map[string]string{"src/a.erl": "ebin", "src/b.erl": "ebin", "deps/d/src/d.erl": "deps/d/ebin"} {
		cmd := exec.CommandContext(t.Context(), "erlc", "-I", "include", "-o", ebin, filepath.Join(dir, src))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	sources := []string{"src/a.erl", "src/b.erl", "deps/d/src/d.erl", "include/h.hrl", "src/deep.hrl"}
	s := Spec{Dir: dir, Launch: Launch{Runtime: "erl", Ebin: ebinDirs}, Nodes: []NodeSpec{{Name: "a@127.0.0.1"}}}
	for name, c := range map[string]struct {
		change func()
		built  time.Duration // ago; 0: never
		want   []string
	}{
		"nothing":           {},
		"a source":          {change: func() { set("src/b.erl", 0) }, want: []string{"src/b.erl"}},
		"a dependency":      {change: func() { set("deps/d/src/d.erl", 0) }},
		"a header":          {change: func() { set("src/deep.hrl", 0) }, want: []string{"src/deep.hrl"}},
		"an unused header":  {change: func() { write(t, filepath.Join(dir, "src/unused.hrl"), "") }},
		"a new source":      {change: func() { write(t, filepath.Join(dir, "src/new.erl"), "") }, want: []string{"src/new.erl"}},
		"what was left out": {change: func() { write(t, filepath.Join(dir, "src/new.erl"), ""); set("src/new.erl", time.Minute) }, built: 30 * time.Second},
		"before a build":    {change: func() { set("src/b.erl", time.Minute) }, built: 30 * time.Second},
		"after a build":     {change: func() { set("src/b.erl", time.Minute) }, built: 90 * time.Second, want: []string{"src/b.erl"}},
		"in the same second": {change: func() {
			same := now.Truncate(time.Second)
			require.NoError(t, os.Chtimes(filepath.Join(dir, "ebin/b.beam"), same, same))
			set("src/b.erl", now.Sub(same)-time.Millisecond)
		}, built: time.Nanosecond, want: []string{"src/b.erl"}},
		"only a beam": {change: func() { require.NoError(t, os.Remove(filepath.Join(dir, "src/b.erl"))) }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, f := range sources {
				set(f, time.Hour)
			}
			for _, f := range []string{"ebin/a.beam", "ebin/b.beam", "deps/d/ebin/d.beam"} {
				set(f, 10*time.Minute)
			}
			b, err := os.ReadFile(filepath.Join(dir, "src/b.erl"))
			require.NoError(t, err)
			t.Cleanup(func() {
				write(t, filepath.Join(dir, "src/b.erl"), string(b))
				_ = os.Remove(filepath.Join(dir, "src/new.erl"))
				_ = os.Remove(filepath.Join(dir, "src/unused.hrl"))
			})
			if c.change != nil {
				c.change()
			}
			var built time.Time
			if c.built > 0 {
				built = now.Add(-c.built)
			}
			stale, err := s.Stale(built)
			require.NoError(t, err)
			var names []string
			for _, f := range stale {
				names = append(names, f.Source)
			}
			assert.Equal(t, c.want, names)
		})
	}
	t.Run("a copy elsewhere", func(t *testing.T) {
		s.Dir = filepath.Join(realTemp(t), "moved")
		require.NoError(t, os.CopyFS(s.Dir, os.DirFS(dir)))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "src")))
		same := now.Truncate(time.Second)
		for _, f := range slices.Concat([]string{"ebin/a.beam", "ebin/b.beam"}, sources) {
			require.NoError(t, os.Chtimes(filepath.Join(s.Dir, f), same, same))
			same = same.Add(time.Millisecond)
		}
		for _, f := range []string{"src/b.erl", "deps/d/src/d.erl"} {
			require.NoError(t, os.Chtimes(filepath.Join(s.Dir, f), now.Add(time.Hour), now.Add(time.Hour)))
		}
		stale, err := s.Stale(time.Time{})
		require.NoError(t, err)
		require.Len(t, stale, 1)
		assert.Equal(t, "src/b.erl", stale[0].Source)
	})
}

// TestBuildOfTheSameSecond changes what Emakefile's projects are compiled of in the second of that. erl -make compares whole seconds.
func TestBuildOfTheSameSecond(t *testing.T) {
	dir := realTemp(t)
	write(t, filepath.Join(dir, "Emakefile"), `{'src/*', [{i, "include"}, {outdir, "ebin"}]}.`)
	write(t, filepath.Join(dir, "include/h.hrl"), "-define(X, 1).\n")
	write(t, filepath.Join(dir, "src/a.erl"), "-module(a).\n-include(\"h.hrl\").\n-export([x/0]).\nx() -> ?X.\n")
	write(t, filepath.Join(dir, "src/b.erl"), "-module(b).\n-export([x/0]).\nx() -> 1.\n")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "ebin"), 0o755))
	project := func(dir string) *Spec {
		return &Spec{Dir: dir, Launch: Launch{Runtime: "erl", Ebin: ebinDirs, Build: []string{"erl", "-make"}}, Nodes: []NodeSpec{{Name: "a@127.0.0.1"}}}
	}
	build := func(s *Spec) {
		t.Helper()
		var said bytes.Buffer
		require.NoError(t, s.Compile(t.Context(), &said), "%s", &said)
	}
	second := time.Now().Truncate(time.Second).Add(-time.Minute)
	set := func(dir string, after time.Duration, names ...string) {
		t.Helper()
		for _, name := range names {
			require.NoError(t, os.Chtimes(filepath.Join(dir, name), second.Add(after), second.Add(after)))
		}
	}
	md5 := func(dir, module string) codesync.Sum {
		t.Helper()
		b, err := codesync.Read(filepath.Join(dir, "ebin", module+".beam"))
		require.NoError(t, err)
		return b.Sum
	}
	sources := []string{"src/a.erl", "src/b.erl", "include/h.hrl"}
	beams := []string{"ebin/a.beam", "ebin/b.beam"}
	build(project(dir))
	copied := filepath.Join(realTemp(t), "copied")
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	for name, dir := range map[string]string{"in its own place": dir, "in a copy of one that is still there": copied} {
		t.Run(name, func(t *testing.T) {
			set(dir, -time.Hour, sources...)
			set(dir, 100*time.Millisecond, beams...)
			a, b := md5(dir, "a"), md5(dir, "b")
			write(t, filepath.Join(dir, "src/b.erl"), "-module(b).\n-export([x/0]).\nx() -> 2.\n")
			set(dir, 900*time.Millisecond, "src/b.erl")
			build(project(dir))
			assert.NotEqual(t, b, md5(dir, "b"))
			st, err := os.Stat(filepath.Join(dir, "ebin/a.beam"))
			require.NoError(t, err)
			assert.Equal(t, second.Add(100*time.Millisecond), st.ModTime(), "what was not changed is left alone")

			set(dir, 100*time.Millisecond, beams...)
			set(dir, -time.Hour, sources...)
			write(t, filepath.Join(dir, "include/h.hrl"), "-define(X, 2).\n")
			set(dir, 900*time.Millisecond, "include/h.hrl")
			build(project(dir))
			assert.NotEqual(t, a, md5(dir, "a"))
			stale, err := project(dir).Stale(time.Time{})
			require.NoError(t, err)
			assert.Empty(t, stale)
		})
	}
}
