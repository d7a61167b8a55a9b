// Package health is the matrix of nodes and checks: what every node of a cluster, asked from inside, says of itself and of the
// others.
//
// A [Check] is data (its name, what it asks, when it fails, what to do) and a function that judges one node from facts. A
// fact is something that a node said; it is asked for at most once in a run, whichever checks want it, and all of them at
// once, so that a run is a handshake and very few round trips for each node, with any number of checks. A check that compares
// nodes takes the facts of the others. The registry of checks ([All]) is what docs/checks.md is made of.
package health
