package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/beamctl/beamctl/launcher"
)

// advise returns a fix, or the text of findings, with what says which cluster is meant in each command it advises: without it the command
// would mean another cluster, or none. What was seen stays as it was.
func (a *app) advise(text string) string {
	state, cluster := a.adviseState(), ""
	if a.cluster != "" {
		cluster = " --cluster " + shellQuote(a.cluster)
	}
	if state+cluster == "" || !strings.Contains(text, "beamctl ") {
		return text
	}
	command := regexp.MustCompile(`\bbeamctl (start|stop|restart|add|remove|status|health|diagnose|rpc|shell|sync|logs|events|exec|env|clean)\b`)
	lines := strings.Split(text, "\n")
	seen := false // in a field of a finding that says what was seen, or why; what is further in goes on with it
	for i, line := range lines {
		if line != "" && !strings.HasPrefix(line, strings.Repeat(" ", fieldIndent)) {
			seen = strings.HasPrefix(line, "  saw   ") || strings.HasPrefix(line, "  cause ")
		}
		if seen {
			continue
		}
		lines[i] = command.ReplaceAllStringFunc(line, func(c string) string {
			if c == "beamctl clean" { // is for all clusters
				return c + state
			}
			return c + state + cluster
		})
	}
	return strings.Join(lines, "\n")
}

// adviseState says where the cluster's state is, if a command would not find it there by itself: --state-dir was given, or the project is not that
// of the current directory.
func (a *app) adviseState() string {
	dir := a.stateDir
	switch {
	case dir != "" && dir == os.Getenv("BEAMCTL_STATE_DIR"): // which is there for the next command, too
		return ""
	case dir != "":
	case a.project != "" && !here(a.project):
		dir = filepath.Join(a.project, launcher.StateDirName)
	default:
		return ""
	}
	return " --state-dir " + shellQuote(dir)
}

// here tells whether the current directory is in dir.
func here(dir string) bool {
	at, err := os.Getwd()
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(dir, at)
	return err == nil && filepath.IsLocal(rel)
}
