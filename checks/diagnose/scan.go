package diagnose

import "time"

// Scan reads logs alone: what was logged since a time, without what hide removes. Entries without a time count as later.
func Scan(sources []Source, since time.Time, hide *Redactor) Logs {
	return (&Report{}).scanLogs(sources, since, hide)
}

// Errors is the groups of level error and above, the gravest first, and how many entries they have.
func (l *Logs) Errors() (groups []Group, entries int) {
	for _, g := range l.Groups {
		switch g.Level {
		case "error", "critical", "alert", "emergency":
			groups, entries = append(groups, g), entries+g.Count
		}
	}
	return groups, entries
}
