// Package diagnose finds out what is wrong with a cluster: the ladder to each node, rung by rung, with what was seen on
// it; the processes that cost most; what logs and crash dumps complain of, grouped; who does not see whom, and which
// links are busy.
//
// [Run] makes one [Report] of all that, and [Bundle] an archive to attach to a bug report. Targets, logs and dumps are
// plain data, so that the package serves launched clusters and any other.
package diagnose
