package checks

import "time"

// Clock writes a time for people, as their clock shows it; with the date if that is another day.
func Clock(t time.Time) string {
	t, now := t.Local(), time.Now()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}
