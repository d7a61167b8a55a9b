// Package checks knows what a target is, when a node is ready, why one cannot be reached, and the form in which faults are
// told. Its packages know the rest: health the matrix, doctor what has to be right before a start, diagnose what is wrong.
// It takes targets (name, address, cookie), never a launcher type.
package checks

//go:generate go run ./internal/gendocs ../docs/checks.md
