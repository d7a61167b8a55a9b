// Package epmdtest runs an EPMD inside a Go test.
package epmdtest
