package main

import (
	"regexp"
	"strings"
)

// advise returns a fix, or the text of findings, with the --cluster that was given in each command it advises: without it the command
// would mean another cluster, or none. What was seen stays as it was.
func (a *app) advise(text string) string {
	if a.cluster == "" || !strings.Contains(text, "beamctl ") {
		return text
	}
	command := regexp.MustCompile(`\bbeamctl (start|stop|restart|add|remove|status|health|diagnose|rpc|shell|sync|logs|events|exec|env)\b`)
	lines := strings.Split(text, "\n")
	seen := false // in a field of a finding that says what was seen, or why; what is further in goes on with it
	for i, line := range lines {
		if !strings.HasPrefix(line, strings.Repeat(" ", fieldIndent)) {
			seen = strings.HasPrefix(line, "  saw   ") || strings.HasPrefix(line, "  cause ")
		}
		if !seen {
			lines[i] = command.ReplaceAllStringFunc(line, func(c string) string { return c + " --cluster " + a.cluster })
		}
	}
	return strings.Join(lines, "\n")
}
