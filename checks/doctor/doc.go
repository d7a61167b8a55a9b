// Package doctor knows what has to be right before a cluster can start and nodes can find each other: the machine, its
// tools, the user's cookie, the project's names and ports, what earlier clusters have left.
//
// A [Check] is data (its name, where it looks, when it fails, what to do) and a function that looks. It reads files,
// asks the kernel, resolves names and speaks with an EPMD; it boots a BEAM only to ask a shim of a version manager what
// it stands for, and never before a start. What only a higher room knows (the project, clusters, how to clear one away)
// comes in the [Subject]. [Examine] runs all checks at once, [Mend] does what is safe to do about what they found, and
// [Preflight] runs those without which nothing can start. The registry of checks ([All]) is what docs/checks.md is made
// of.
package doctor
