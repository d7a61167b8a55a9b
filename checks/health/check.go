package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// Group is what a check is about.
type Group string

// The groups, in the order in which they are shown.
const (
	Reach     Group = "reach"
	App       Group = "app"
	Cluster   Group = "cluster"
	Code      Group = "code"
	Resources Group = "resources"
	Alarms    Group = "alarms"
)

// Check is one thing to know of every node. All but run is documentation: docs/checks.md is made of it.
type Check struct {
	Name  string // one word; a column of the matrix
	Group Group
	What  string // what is known when it is ok
	Asks  string // the functions that are called on the node, as module:function/arity
	Fails string // when it fails or warns
	Fix   string // what to do then, in general

	// run judges one node. An error is a failure that explains itself; best a *checks.Finding.
	run func(ctx context.Context, x *exam) (Cell, error)
}

// registry is all checks there are, in the order of the matrix's columns.
var registry = slices.Concat(reachChecks, appChecks, clusterChecks, codeChecks, resourceChecks, alarmChecks)

// All returns all checks in the order of the matrix's columns.
func All() []*Check { return slices.Clone(registry) }

// ErrNoCheck says that there is no check or group of a name.
var ErrNoCheck = errors.New("no such check")

// Select returns the checks that only names, or all if it is empty, without those that skip names. Both name checks and groups.
// The error is an ErrNoCheck.
func Select(all []*Check, only, skip []string) ([]*Check, error) {
	named := func(c *Check, names []string) bool {
		return slices.Contains(names, c.Name) || slices.Contains(names, string(c.Group))
	}
	for _, name := range slices.Concat(only, skip) {
		if !slices.ContainsFunc(all, func(c *Check) bool { return named(c, []string{name}) }) {
			return nil, unknown(all, name)
		}
	}
	var out []*Check
	for _, c := range all {
		if (len(only) == 0 || named(c, only)) && !named(c, skip) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: none is left", ErrNoCheck)
	}
	return out, nil
}

// unknown is the ErrNoCheck for a name.
func unknown(all []*Check, name string) error {
	var groups, names []string
	for _, c := range all {
		if !slices.Contains(groups, string(c.Group)) {
			groups = append(groups, string(c.Group))
		}
		names = append(names, c.Name)
	}
	meant := ""
	if near := checks.Nearest(name, slices.Concat(groups, names)); near != "" {
		meant = fmt.Sprintf(": did you mean %s?", near)
	}
	return fmt.Errorf("%w: %q%s\n  groups  %s\n  checks  %s", ErrNoCheck, name, meant, strings.Join(groups, ", "), strings.Join(names, ", "))
}

// ok is the cell of a check that found nothing wrong.
func ok(format string, args ...any) (Cell, error) {
	return Cell{Status: OK, Saw: fmt.Sprintf(format, args...)}, nil
}

// none is the cell of a check that has nothing to check.
func none(format string, args ...any) (Cell, error) {
	return Cell{Status: None, Saw: fmt.Sprintf(format, args...)}, nil
}
