// Package codesync makes nodes run the code that was just compiled, all of them or none, over the distribution protocol.
//
//	set, err := codesync.ReadDirs(ctx, "_build/test/lib/kv/ebin")
//	plan, err := codesync.Compare(ctx, n, nodes, set, codesync.Options{})
//	report, err := codesync.Push(ctx, n, plan)
//
// Compare asks what runs; only modules whose code differs (by MD5, not by file) are in the plan, which can be looked at
// and marshalled. Push does what it says.
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
// Before the decision nothing has changed on any node, and any failure, of a node, of the network, of this program,
// leaves it so: each stager gives up when we go. After it every node that lives runs the new code, whether we are
// killed between two nodes, or a node no longer hears us. For that the stagers are arbiters of each other.
//
// # Agreement without us
//
// A stager that has not promised may give up at any time, and says so to the others; then nobody can have been told to
// finish. One that has promised does what it is told, by us or by another stager. One that has promised and loses us
// asks, over connections that are there already, and without a limit in time, since silence is no consent: another may
// still be suspending processes, or stand still. What ends the waiting is its word, or its end (a monitor): a node that
// stands still is lost when the ticks are (net_ticktime).
//
//	prepare   "I have promised": when all have said it, all have promised
//	prepared  "all have": when all have said it, everybody knows, and finishes
//	none      "I have not heard that of all", because one is lost: the others may have heard something else
//
// The second round is for a node that stood still, was given up by the others and wakes up: their promises still lie in
// its mailbox, but not the second word, which they had not said without its own. The third is for one that dies while
// it speaks: what it said to some they repeat before they act. If nobody knows more than that one is lost, those who
// are still connected with half of the others or more give up, as a push not decided would be; a smaller part finishes:
// it is the one that was cut off, and we decide with the larger part.
//
// No protocol can do without such a guess when we and another node are lost at once. It is wrong, and leaves a mix, if
// a node is cut off from us and all others in the moment between its promise and the decision, and we notice before we
// decide; or if, we being dead, a node stands still for longer than the ticks exactly between its two words. A cluster
// whose nodes are not connected with each other has no arbiters: there the moment in which we tell one node after
// another is one in which our death, or a cut, leaves some with the new code and others without. A node that is lost to
// us after the decision (ErrLost) has either died, and then starts with what its disk has, or does as described.
//
// # Taking back
//
// That a node does not do what it has promised takes someone else who loads code at the same moment. Then all others
// take it back (ErrRolledBack), with the object code from their disk if that is what ran, or from Options.Known; what
// the plan marks as Final they cannot (ErrMixed). Taking back kills processes that still run the code that was
// replaced: the report names them.
//
// # What processes see
//
// Processes go on with the code they are in until they make a fully qualified call, as after any load. None is ended,
// except with Kill: then each stager purges old code directly before it loads the new, after all have promised, so that
// a push that fails before has killed nobody. A process that cannot be suspended within a second to convert its state
// (ErrBusy) ends the push, and all go on as before.
//
// # Others who load code
//
// One push at a time is under way on a node: its stager has a registered name, finish_loading, and a second push is
// told (ErrPushing). Whoever else loads code is noticed by the sums of what runs, which a stager compares when it
// stages, when it promises, directly before it loads, and before it takes back (ErrStale).
package codesync
