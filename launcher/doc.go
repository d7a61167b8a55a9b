// Package launcher runs clusters as processes of the operating system: from a project's directory to the proof that nothing is left.
//
//	resolved, err := launcher.Resolve(launcher.Sources{Dir: "examples/erlang-kv", Env: os.Environ()})
//	cluster, err := launcher.Start(ctx, launcher.StartConfig{Spec: resolved.Spec}) // returns when all nodes are ready
//	targets, err := cluster.Targets()                                              // how to reach them, for packages checks and node
//	report, err := cluster.Stop(ctx, launcher.StopConfig{})
//
// In a test, package clustertest does all of that. What nodes are asked is packages node's and checks'.
//
// # Who runs what
//
//	Start ──► supervisor         one per cluster; outlives who started it, unless that was Tied
//	            │   holds the lock, the EPMD, the record, a connection with each node; answers Cluster's methods (package control)
//	            └─► guardian     parent of all that the cluster runs, and a child subreaper
//	                  └─► nodes  each with a process group, a directory and a log of its own
//
// Supervisor and guardian are the calling binary, started anew: its main begins with [Daemon]. Each watches the other over a
// socket, and when one ends the other ends all that is left. What even that has missed carries the cluster's id in its environment
// ([MarkerEnv]), by which [Clean] finds it; nothing is ever found by its name.
//
// # One fact, one place
//
// The supervisor holds the truth. The state directory beside the project ([StateDirName]; see place.go) has what must survive it: the
// [Record], the cookie, logs, events and crash dumps. A [Status] is measured, and not read from there.
//
// # Where to read
//
//	config*.go, detect.go, launch.go, spec.go      from flags, environment, beamctl.yaml and what a directory holds to a Spec
//	runtime.go, boot.go, template.go               from a NodeSpec to a command line, for each kind of project
//	start.go, supervisor.go, bringup.go, mesh.go   the life of a cluster; change.go and restart.go those of its nodes
//	stop.go, teardown.go, clean.go                 its end
//	guard.go, guardian.go, logpipe.go              processes and what they print
//	catalogue.go, words.go, fate.go                why a node did not start, crashed, does not answer
//	code.go, build.go, stale.go, sync*.go          what nodes run, and what they should
//	exec.go, guest.go, run.go                      commands that use a cluster
package launcher
