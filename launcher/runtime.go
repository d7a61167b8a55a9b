package launcher

import "strings"

// A runtime knows how one kind of project becomes a running node. It only says what to run: where, with which
// name, cookie and log is the same for all.
type runtime interface {
	// command is what starts one node.
	command(s *Spec) []string
	// workDir is where a node runs: in the project, or in a directory of its own.
	workDir(s *Spec, nodeDir string) string
	// env is added to the environment of the build and of the nodes, given what the user has.
	env(user map[string]string) map[string]string
	// startApps are the applications that boot.erl has to start, because the command doesn't.
	startApps(s *Spec) []string
}

var runtimes = map[string]runtime{
	"erl": erlRuntime{},
	"mix": mixRuntime{},
}

func (s *Spec) runtime() runtime { return runtimes[s.Runtime] }

// erlRuntime runs plain Erlang: ebin directories on the code path of a bare erl.
type erlRuntime struct{}

func (erlRuntime) command(s *Spec) []string {
	argv := []string{"erl", "-noinput"}
	if len(s.Paths) > 0 {
		argv = append(append(argv, "-pa"), s.Paths...)
	}
	return append(argv, s.Args...)
}

// A directory of its own: what an application writes relative to where it runs (Mnesia.node1@…) is not shared.
func (erlRuntime) workDir(_ *Spec, nodeDir string) string { return nodeDir }

func (erlRuntime) env(map[string]string) map[string]string { return nil }

func (erlRuntime) startApps(s *Spec) []string { return s.Apps }

// mixRuntime runs a Mix project, compiled once beforehand so that N compilers don't fight for one _build.
type mixRuntime struct{}

func (mixRuntime) command(s *Spec) []string {
	return append([]string{"mix", "run", "--no-compile", "--no-halt"}, s.Args...)
}

// Mix finds mix.exs, config and _build where it runs.
func (mixRuntime) workDir(s *Spec, _ string) string { return s.Dir }

func (mixRuntime) env(user map[string]string) map[string]string {
	if user["MIX_ENV"] != "" {
		return nil
	}
	return map[string]string{"MIX_ENV": "test"}
}

func (mixRuntime) startApps(*Spec) []string { return nil }

// startAppsEnv is the variable in which boot.erl finds the applications it has to start, as atoms.
func startAppsEnv(s *Spec) map[string]string {
	if apps := s.runtime().startApps(s); len(apps) > 0 {
		return map[string]string{"BEAMCTL_START_APPS": "['" + strings.Join(apps, "','") + "']"}
	}
	return nil
}
