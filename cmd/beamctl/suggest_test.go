package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is wrong with a command line points to the help of its verb, and to what was perhaps meant.
func TestUsageErrorsPointTheWay(t *testing.T) {
	w := newWorld(t, "")
	for line, c := range map[string]struct {
		args       []string
		meant, see string
	}{
		"verb with a typing error": {[]string{"statsu"}, "did you mean status?", "beamctl --help"},
		"swapped, and flags":       {[]string{"strat", "-n", "3"}, "did you mean start?", "beamctl --help"},
		"verb, no other is near":   {[]string{"frobnicate"}, "", "beamctl --help"},
		"flag of a verb":           {[]string{"status", "--wacth"}, "did you mean --watch?", "beamctl status --help"},
		"beginning of a flag":      {[]string{"health", "--cookie", "x"}, "did you mean --cookie-file?", "beamctl health --help"},
		"global flag":              {[]string{"stop", "--clustr", "x"}, "did you mean --cluster?", "beamctl stop --help"},
		"flag as erl has them":     {[]string{"start", "-name", "x"}, "did you mean --name?", "beamctl start --help"},
		"value of a flag":          {[]string{"health", "--fail-on", "never"}, "", "beamctl health --help"},
		"argument":                 {[]string{"health", "node1"}, "", "beamctl health --help"},
		"verb of a verb":           {[]string{"epmd", "names", "--por", "1"}, "did you mean --port?", "beamctl epmd names --help"},
		"help of a verb":           {[]string{"help", "stat"}, "did you mean status?", "beamctl help --help"},
		"help of a verb of a verb": {[]string{"help", "epmd", "nmaes"}, "did you mean names?", "beamctl help --help"},
		"help of what has none":    {[]string{"help", "start", "node1"}, "", "beamctl help --help"},
		"command of run":           {[]string{"run"}, "", "beamctl run --help"},
	} {
		r := w.run(c.args...)
		assert.Equal(t, exitUsage, r.code, line)
		assert.Contains(t, r.err, "See \""+c.see+"\".", line)
		if c.meant == "" {
			assert.NotContains(t, r.err, "did you mean", line)
		} else {
			assert.Contains(t, r.err, c.meant, line)
		}
	}
}
