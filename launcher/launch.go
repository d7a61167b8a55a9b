package launcher

import (
	"cmp"
	"maps"
)

// Launch says how a node is started. That of a Spec is for all nodes; that of a NodeSpec says what is different for one.
//
// A list that is empty says that there are none; one that is nil says nothing. (omitzero keeps the difference.)
// The values of Env and Files, and the words of Command, Args and VMArgs, are templates: see scope.
type Launch struct {
	// What starts a node: mix, rebar3, release, erl or command.
	Runtime string `json:"runtime,omitempty" yaml:"runtime"`
	// The command, word by word, that builds the project, once before the nodes start; [] for none.
	Build []string `json:"build,omitzero" yaml:"build"`
	// Applications that have to run before a node is ready. Runtimes erl and rebar3 start them.
	Apps []string `json:"apps,omitzero" yaml:"apps"`
	// Environment of the build and of the nodes.
	Env map[string]string `json:"env,omitempty" yaml:"env"`
	// Runtime command: what to run, word by word, in the project's directory.
	Command []string `json:"command,omitzero" yaml:"command"`
	// Further arguments of whatever starts a node.
	Args []string `json:"args,omitzero" yaml:"args"`
	// Flags of the emulator, word by word, before all others: [+S, "1:1"].
	VMArgs []string `json:"vm_args,omitzero" yaml:"vm_args"`
	// Runtimes erl and rebar3: directories for the code path; * stands for anything.
	Ebin []string `json:"ebin,omitzero" yaml:"ebin"`
	// Runtimes erl and rebar3: the file with the applications' configuration (sys.config).
	SysConfig string `json:"sys_config,omitempty" yaml:"sys_config"`
	// Runtime release: the directory of a release made by mix release or by relx.
	Release string `json:"release,omitempty" yaml:"release"`
	// Directories to be searched for programs before PATH: another OTP's bin, for example.
	Bin []string `json:"bin,omitzero" yaml:"bin"`
	// Files that are written into the node's own directory before it starts, by name.
	Files map[string]string `json:"files,omitempty" yaml:"files"`
	// Ports, by name, for templates to use: 4100-4199, 4000 or any. Each node gets one of each that it asks for; dist is that of its distribution.
	Ports map[string]PortRange `json:"ports,omitempty" yaml:"ports"`
	// Who starts distribution: boot (beamctl's boot expression, in ERL_AFLAGS; the default) or own (the program itself, which takes the cookie from HOME; always so for releases).
	Distribution string `json:"distribution,omitempty" yaml:"distribution"`
	// What becomes of a node that crashes: never (it stays down; the default), or on-crash (it is started again, after a pause).
	Restart Restart `json:"restart,omitempty" yaml:"restart"`
}

// The values of Launch.Distribution.
const (
	distBoot = "boot"
	distOwn  = "own"
)

// ownDistribution tells whether the node starts distribution by itself.
func (l *Launch) ownDistribution() bool {
	return cmp.Or(l.Distribution, runtimes[l.Runtime].distribution()) == distOwn
}

// over returns base with everything that l says over it. What belongs to base's runtime doesn't outlive a change of that.
func (l Launch) over(base Launch) Launch {
	if l.Runtime != "" && l.Runtime != base.Runtime {
		base.Build, base.Command, base.Args, base.Ebin, base.SysConfig, base.Release, base.Distribution = nil, nil, nil, nil, "", "", ""
	}
	return Launch{
		Runtime:      cmp.Or(l.Runtime, base.Runtime),
		Build:        firstList(l.Build, base.Build),
		Apps:         firstList(l.Apps, base.Apps),
		Env:          merged(base.Env, l.Env),
		Command:      firstList(l.Command, base.Command),
		Args:         firstList(l.Args, base.Args),
		VMArgs:       firstList(l.VMArgs, base.VMArgs),
		Ebin:         firstList(l.Ebin, base.Ebin),
		SysConfig:    cmp.Or(l.SysConfig, base.SysConfig),
		Release:      cmp.Or(l.Release, base.Release),
		Bin:          firstList(l.Bin, base.Bin),
		Files:        merged(base.Files, l.Files),
		Ports:        merged(base.Ports, l.Ports),
		Distribution: cmp.Or(l.Distribution, base.Distribution),
		Restart:      cmp.Or(l.Restart, base.Restart),
	}
}

// firstList prefers a list that was given, be it empty.
func firstList(a, b []string) []string {
	if a != nil {
		return a
	}
	return b
}

func merged[V any](base, over map[string]V) map[string]V {
	if len(over) == 0 {
		return base
	}
	m := maps.Clone(base)
	if m == nil {
		m = make(map[string]V, len(over))
	}
	maps.Copy(m, over)
	return m
}
