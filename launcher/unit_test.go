package launcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Spec // of which Runtime, Build, Apps, Ebin, SysConfig and Cluster are compared
		err   error
	}{
		"nothing": {err: ErrNoProject},
		"mix": {
			files: map[string]string{"mix.exs": "def project do\n    [\n      # app: :no,\n      app: :my_app, version: \"1\"]\n"},
			want:  Spec{Launch: Launch{Runtime: "mix", Build: []string{"mix", "compile"}, Apps: []string{"my_app"}}, Cluster: "my_app"},
		},
		"umbrella": {
			files: map[string]string{
				"mix.exs": `[apps_path: "apps"]`, "apps/b/mix.exs": "app: :b", "apps/a/mix.exs": "app: :a",
			},
			want: Spec{Launch: Launch{Runtime: "mix", Build: []string{"mix", "compile"}, Apps: []string{"a", "b"}}, Cluster: "a"},
		},
		"ebin": {
			files: map[string]string{"ebin/kv.app": "", "deps/dep/ebin/dep.app": "", "lib/l/ebin/l.beam": ""},
			want:  Spec{Launch: Launch{Runtime: "erl", Apps: []string{"kv"}, Ebin: []string{"ebin", "lib/l/ebin", "deps/dep/ebin"}}, Cluster: "kv"},
		},
		"Emakefile": {
			files: map[string]string{"Emakefile": "", "ebin/kv.app": ""},
			want:  Spec{Launch: Launch{Runtime: "erl", Build: []string{"erl", "-make"}, Apps: []string{"kv"}, Ebin: []string{"ebin"}}, Cluster: "kv"},
		},
		"rebar3": {
			files: map[string]string{"rebar.config": "%% {config, \"no\"}.\n{shell, [{config, \"config/sys.config\"}]}.", "config/sys.config": "[].", "src/kv.app.src": ""},
			want: Spec{Launch: Launch{
				Runtime: "rebar3", Build: []string{"rebar3", "compile"}, Apps: []string{"kv"}, Ebin: rebar3Ebin, SysConfig: "config/sys.config",
			}, Cluster: "kv"},
		},
		"rebar3 with several applications": {
			files: map[string]string{"rebar.config": "", "apps/b/src/b.app.src": "", "apps/a/src/a.app.src": ""},
			want:  Spec{Launch: Launch{Runtime: "rebar3", Build: []string{"rebar3", "compile"}, Apps: []string{"a", "b"}, Ebin: rebar3Ebin}, Cluster: "a"},
		},
		"Emakefile without application": {files: map[string]string{"Emakefile": ""}, err: ErrNoProject},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			require.NoError(t, err)
			dir = filepath.Join(dir, "odd [name]*")
			require.NoError(t, os.Mkdir(dir, 0o755))
			for f, content := range c.files {
				write(t, filepath.Join(dir, f), content)
			}
			resolved, err := Resolve(Sources{Dir: dir})
			require.ErrorIs(t, err, c.err)
			if c.err != nil {
				return
			}
			s := resolved.Spec
			assert.Equal(t, c.want, Spec{
				Launch: Launch{Runtime: s.Runtime, Build: s.Build, Apps: s.Apps, Ebin: s.Ebin, SysConfig: strings.TrimPrefix(s.SysConfig, dir+"/")}, Cluster: s.Cluster,
			})
			require.NoError(t, s.Validate())
			assert.Equal(t, "node3@127.0.0.1", s.Nodes[2].Name)
		})
	}
}

func TestClusterNameFrom(t *testing.T) {
	assert.Equal(t, "odd--name", clusterNameFrom([]string{"", "--", "odd é"[:4] + "-name"}))
	assert.Equal(t, "cluster", clusterNameFrom(nil))
	assert.Len(t, clusterNameFrom([]string{strings.Repeat("x", 500)}), maxClusterName)
}

func TestValidateReportsEverything(t *testing.T) {
	s := Spec{
		Cluster: "../etc", Dir: "relative", Port: -1,
		Launch: Launch{Runtime: "perl", Env: map[string]string{"A B": "", "BEAMCTL_NODE": ""}},
		Nodes:  []NodeSpec{{Name: "no-host"}, {Name: "a@127.0.0.1"}, {Name: "a@127.0.0.2"}, {Name: "b c@127.0.0.1"}, {Name: "d@short"}},
	}
	err := s.Validate()
	require.ErrorIs(t, err, ErrSpec)
	for _, text := range []string{"../etc", "relative", "perl", "-1", "A B", "BEAMCTL_NODE", "no-host", "two nodes are called a", "b c@", "d@short"} {
		assert.ErrorContains(t, err, text)
	}
}

func TestNodeEnv(t *testing.T) {
	state := t.TempDir()
	s := Spec{
		Dir: "/project", Cluster: "c", Launch: Launch{
			Runtime: "erl", Apps: []string{"a", "b"}, Env: map[string]string{"X": "spec", "Y": "spec", "AT": `{{.Node}} {{.Index}} {{.Port "http"}} {{join .Nodes ","}}`},
			VMArgs: []string{"+S", "1:1", "-x", "two words"}, Files: map[string]string{"a/b.conf": "port = {{.Port \"http\"}}, {{.Dir}}\n"},
			Ebin: []string{state + "/*/ebin"}, SysConfig: "/project/sys.config", Args: []string{"-s", "{{.Cluster}}"}, Bin: []string{"/otp/bin"},
		},
		Nodes: []NodeSpec{{Name: "n@127.0.0.1", Launch: Launch{Env: map[string]string{"Y": "node"}}}},
	}
	s = s.withDefaults()
	require.NoError(t, os.MkdirAll(filepath.Join(state, "lib", "ebin"), 0o755))
	var ports portTable
	defer ports.release("")
	p := planner{
		spec: &s, place: place(state), id: "id", ports: &ports,
		base: []string{"HOME=/h", "PATH=/bin", "X=user", "ERL_AFLAGS=+P 5000", "BEAMCTL_CLUSTER=other", "BEAMCTL_NODES=z"},
	}
	plan, err := p.plan(&s.Nodes[0], "127.0.0.1", "4711")
	require.NoError(t, err)
	have := ports.of("n@127.0.0.1")
	dist, http := fmt.Sprint(have["dist"]), fmt.Sprint(have["http"])
	dir := filepath.Join(state, "nodes", "n")
	assert.Equal(t, map[string]string{
		"HOME": "/h", "PATH": "/otp/bin:/bin", "X": "spec", "Y": "node", "AT": "n 1 " + http + " n@127.0.0.1", "BEAMCTL_CLUSTER": "id", "BEAMCTL_ROLE": "node", "BEAMCTL_MEMBER": "n",
		"BEAMCTL_BOOT": state + "/boot.erl", "BEAMCTL_NODE": "n@127.0.0.1", "BEAMCTL_NODE_COOKIE": state + "/cookie",
		"BEAMCTL_START_APPS": "['a','b']", "BEAMCTL_USER_AFLAGS": "+P 5000", "ERL_EPMD_PORT": "4711",
		"ERL_CRASH_DUMP": dir + "/erl_crash.dump",
		"ERL_AFLAGS": "+P 5000 +S 1:1 -x 'two words' -start_epmd false -kernel inet_dist_use_interface {127,0,0,1} inet_dist_listen_min " + dist +
			" inet_dist_listen_max " + dist + " -nocookie -eval '" + bootEval + "'",
	}, environment(plan.env))
	assert.Equal(t, []string{"erl", "-noinput", "-pa", state + "/lib/ebin", "-config", "/project/sys.config", "-s", "c"}, plan.argv)
	assert.Equal(t, "port = "+http+", "+dir+"\n", readFile(filepath.Join(dir, "a", "b.conf")))
	again, err := p.plan(&s.Nodes[0], "127.0.0.1", "4711")
	require.NoError(t, err)
	assert.Equal(t, plan, again, "a node that starts again keeps its ports")

	mix := Launch{Runtime: "mix"}
	assert.Equal(t, "test", projectEnv(nil, &mix)["MIX_ENV"])
	assert.Equal(t, "dev", projectEnv([]string{"MIX_ENV=dev"}, &mix)["MIX_ENV"])
}

func TestLock(t *testing.T) {
	state := filepath.Join(t.TempDir(), StateDirName)
	p, lock, err := lockPlace(state, "c")
	require.NoError(t, err)
	_, _, err = lockPlace(state, "c")
	require.ErrorIs(t, err, ErrRunning)
	_, other, err := lockPlace(state, "d")
	require.NoError(t, err, "another cluster is another lock")
	require.NoError(t, other.Close())

	require.NoError(t, p.remove(), "as the owner does, while it holds the lock")
	_, again, err := lockPlace(state, "c")
	require.NoError(t, err, "a lock whose file is gone holds nobody up")
	require.NoError(t, again.Close())
	require.NoError(t, lock.Close())
}

// TestPlaceRace has clusters of one project come and go at the same time: each makes the directory of all, and removes it when it is empty.
func TestPlaceRace(t *testing.T) {
	state := filepath.Join(t.TempDir(), StateDirName)
	var wg sync.WaitGroup
	for cluster := range strings.SplitSeq("abcdefgh", "") {
		wg.Go(func() {
			for range 1500 {
				p, lock, err := lockPlace(state, cluster)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, p.remove())
				assert.NoError(t, lock.Close())
			}
		})
	}
	wg.Wait()
}

// TestLockRace has many take, remove and give back one lock: never two at once, never an error but ErrRunning.
func TestLockRace(t *testing.T) {
	state := filepath.Join(t.TempDir(), StateDirName)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				p, lock, err := lockPlace(state, "c")
				if errors.Is(err, ErrRunning) {
					continue
				}
				if err != nil { // require is not for goroutines
					t.Error(err)
					return
				}
				assert.True(t, mu.TryLock(), "two hold the lock")
				mu.Unlock()
				assert.NoError(t, p.remove())
				assert.NoError(t, lock.Close())
			}
		})
	}
	wg.Wait()
	assert.NoDirExists(t, state)
}

func TestPlaceIsOnlyOurs(t *testing.T) {
	state := t.TempDir()
	write(t, filepath.Join(state, "c", "thesis.tex"), "")
	_, _, err := lockPlace(state, "c")
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorIs(t, place(filepath.Join(state, "c")).remove(), ErrForeign)
	assert.FileExists(t, filepath.Join(state, "c", "thesis.tex"))
}

func TestRuntimeDirIsChecked(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	require.NoError(t, os.Mkdir(filepath.Join(base, "beamctl"), 0o777))
	require.NoError(t, os.Chmod(filepath.Join(base, "beamctl"), 0o777))
	require.ErrorIs(t, checkRuntimeDir(filepath.Join(base, "beamctl")), ErrRuntimeDir)
	require.NoError(t, os.Chmod(filepath.Join(base, "beamctl"), 0o700))
	d, err := makeRuntimeDir(20)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(base, "beamctl"), d)
	require.NoError(t, os.Symlink("/tmp", filepath.Join(base, "link")))
	require.ErrorIs(t, checkRuntimeDir(filepath.Join(base, "link")), ErrRuntimeDir)

	t.Setenv("XDG_RUNTIME_DIR", "/"+strings.Repeat("x", 100))
	d, err = makeRuntimeDir(20)
	require.NoError(t, err, "a path that is too long for a socket is passed over")
	assert.True(t, strings.HasPrefix(d, "/tmp/beamctl-"))
	_ = os.Remove(d) // unless a cluster is there
}

func TestCatalogue(t *testing.T) {
	for text, want := range map[string]string{
		"Protocol 'inet_tcp': the name node1@127.0.0.1 seems to be in use by another Erlang node":                           "its name is taken",
		"Can't set short node name!\nPlease check your configuration":                                                       "its distribution refused the name",
		"Protocol 'inet_tls': register/listen error: eaddrinuse":                                                            "its distribution port is taken",
		"Protocol 'inet_tcp': register/listen error: econnrefused":                                                          "it found no EPMD",
		"Protocol 'inet_tcp': register/listen error: badarg":                                                                "its distribution cannot listen at its host's address",
		"  This BEAM file was compiled for a later version of the run-time system than 23.":                                 "its code was built by a later OTP",
		"  This BEAM file was compiled for a later version of the runtime system than Erlang/OTP 25.\n{app_failed,a,{a,x}}": "its code was built by a later OTP",
		"Too many open files": "it ran out of file descriptors",
		"** (Mix) Could not start application a: A.start(:normal, []) returned an error: x":                                                              "application a failed to start",
		"** (Mix) Could not start application a: exited in eaddrinuse":                                                                                   "a port that it wants is taken",
		"** (Mix) Could not start application a: exited in: A.start(:normal, [])\n    ** (EXIT) an exception was raised:\n        ** (ArgumentError) no": "an exception ended the start of an application",
		"** (CompileError) lib/a.ex:2: undefined function":                                                                                               "an Elixir error ended it",
		`{"init terminating in do_boot",{badarg,[]}}`:                                                                                                    "it crashed while it booted",
		`beamctl-boot: {distribution,"node1@127.0.0.1"}`:                                                                                                 "its distribution did not start",
	} {
		e := evidence{name: "n", lines: append([]string{"noise"}, strings.Split(text, "\n")...), first: 41, file: "log"}
		f := e.explain()
		assert.Equal(t, "n did not start: "+want, f.What, text)
		assert.Regexp(t, `\(log:4[234]\)$`, f.Saw)
	}
	f := evidence{name: "n", file: "log", first: 1, exit: &exit{Code: -1, Signal: 9}}.explain()
	assert.Equal(t, "n did not start: its process ended (killed by signal 9 (SIGKILL))", f.What)
	assert.Equal(t, "no output (log)", f.Saw)
	gone := evidence{name: "n", first: 1, lines: []string{"noise", "Too many open files"}}
	assert.Equal(t, "Too many open files", gone.explain().Saw, "nobody is sent to a log that will be gone")
	assert.Equal(t, "noise\nToo many open files\n", gone.tail())
}

func TestEvidenceOfALongLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	write(t, log, strings.Repeat("0123456789\n", 100_000)+"the end\xff\n")
	e := readEvidence("n", log)
	assert.Less(t, len(e.lines), 50_000)
	assert.Equal(t, "the end?", e.lines[len(e.lines)-1])
	assert.Equal(t, 100_001, e.first+len(e.lines)-1, "lines are counted from the beginning")
}

// A finding is also read where there are no colours.
func TestEvidenceHasNoColours(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	write(t, log, "\x1b[0;32m===> Verifying dependencies...\n\x1b[0m\n2026-11-23T03:32:46.200Z \x1b[1;31m\u2502\x1b[39;49m line 1\x1b[m\n")
	e := readEvidence("n", log)
	assert.Equal(t, []string{"===> Verifying dependencies...", "", "│ line 1"}, e.lines)
}

// What a former life has said is no evidence of this one.
func TestEvidenceOfThisLife(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	write(t, log, "2026-11-23T03:32:45.100Z old\n2026-11-23T03:32:46.200Z new\nwithout a time\n")
	at := time.Date(2026, 11, 23, 3, 32, 46, 200_900_000, time.UTC)
	e := readEvidence("n", log)
	e.since(at)
	assert.Equal(t, []string{"new", "without a time"}, e.lines)
	assert.Equal(t, 2, e.first)
	e.since(at.Add(time.Second))
	assert.Empty(t, e.lines)
	e = readEvidence("n", log)
	e.since(time.Time{})
	assert.Len(t, e.lines, 3)
}
