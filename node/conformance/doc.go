// Package conformance holds the tests that every supported OTP release has to pass through the public API of the node, dist
// and etf packages: one suite of named cases (see groups), one column of docs/compatibility.md for each release.
//
// `make test-matrix` unpacks the releases and runs it against all of them. A plain `go test` runs it against the erl on
// PATH.
//
// To add a case write a func(t *testing.T, e *Env) and name it in one of the groups, then `make compatibility`.
package conformance
