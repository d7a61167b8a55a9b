// Package codesync makes nodes run the code that was just compiled, all of them or none, over the distribution protocol.
//
//	set, err := codesync.ReadDirs(ctx, "_build/test/lib/kv/ebin")
//	plan, err := codesync.Compare(ctx, n, nodes, set, codesync.Options{})
//	report, err := codesync.Push(ctx, n, plan)
//
// Compare asks what runs; only modules whose code differs (by MD5, not by file) are in the plan, which can be looked at and marshalled.
// Push does what it says.
//
// # All or none
//
// On each node one process (stager.erl, evaluated there: no helper module is loaded) holds what is to change.
//
//	stage    the code is sent, and prepared on every node (code:prepare_loading/1)
//	gate     old code is purged: of each module a node holds two generations, and processes may run the one before (see Purge)
//	prepare  every node promises to finish
//	         --- the decision ---
//	finish   every node loads everything at once (code:finish_loading/1), deletes modules, and shows the sums of what it runs
//	done
//
// Before the decision nothing has changed on any node, and any failure, of a node, of the network, of this program, leaves it so: each
// stager gives up when we go. After it every node that lives runs the new code: a stager that has promised, and loses us,
// asks the others, over connections that are there already, and finishes unless one of them has given up. So it makes no difference whether
// we are killed between two nodes, nor whether a node can still hear us. A node that is lost meanwhile (ErrLost) has either died, and then
// starts with what its disk has, or does the same as the others. A cluster whose nodes are not connected with each other lacks this: there
// the moment in which we tell one node after another is one in which our death, or a cut, leaves some with the new code and others without.
//
// That a node does not do what it has promised takes someone else who loads code at the same moment. Then all others take it back
// (ErrRolledBack), with the object code from their disk if that is what ran, or from Options.Known; what the plan marks as
// Final they cannot (ErrMixed). Taking back kills processes that still run the code that was replaced: the report names them.
//
// # What processes see
//
// Processes go on with the code they are in until they make a fully qualified call, as after any load. None is ended, except with Kill.
package codesync
